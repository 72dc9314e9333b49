//! Adds bookings and works on them in one process; says how long each waited.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use bookingq_store::Store;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use super::crowd::Door;
use super::{Args, say, until_told, worker};

/// Does both, until everything was started; then works on until told to end.
pub async fn run(store: Arc<dyn Store>, args: &Args) -> Result<()> {
    let start = Instant::now();
    let room = Arc::new(Semaphore::new(args.window));
    let (started, mut waits) = mpsc::unbounded_channel();
    let more_room = Arc::clone(&room);
    let note = move |due: Duration| {
        more_room.add_permits(1);
        // Nobody listens any more once all have been seen.
        let _ = started.send((due, start.elapsed()));
    };
    let work = worker::run(Arc::clone(&store), args, Arc::new(note));
    let door = Door::new(&store, args);
    let offered = async {
        if args.rate > 0.0 {
            offer(&door, args, start).await
        } else {
            door.enqueue_all(args.jobs, args, start, Some(room)).await
        }
    };
    let count = async {
        let mut seen = Vec::with_capacity(args.jobs);
        for _ in 0..args.jobs {
            let (due, now) = waits.recv().await.context("the worker has ended")?;
            if due >= args.settle {
                seen.push(now.saturating_sub(due).as_secs_f64() * 1e3);
            }
        }
        say(args.jobs, start.elapsed(), Some(seen));
        Ok(())
    };
    let all_then_told = async {
        tokio::try_join!(offered, count)?;
        until_told().await;
        Ok(())
    };
    tokio::select! {
        ended = work => ended.and_then(|()| bail!("the worker ended")),
        ended = all_then_told => ended,
    }
}

/// Adds bookings when they are due, whether or not the earlier ones have been answered.
async fn offer(door: &Door, args: &Args, start: Instant) -> Result<()> {
    let mut tick = tokio::time::interval(Duration::from_millis(1));
    tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let (mut under_way, mut sent) = (JoinSet::new(), 0);
    while sent < args.jobs {
        tick.tick().await;
        let now = start.elapsed();
        while sent < args.jobs {
            let due = Duration::from_secs_f64(sent as f64 / args.rate);
            if due > now {
                break;
            }
            let door = door.clone();
            under_way.spawn(async move { door.enqueue(due).await });
            sent += 1;
        }
        while let Some(added) = under_way.try_join_next() {
            added??;
        }
    }
    while let Some(added) = under_way.join_next().await {
        added??;
    }
    Ok(())
}
