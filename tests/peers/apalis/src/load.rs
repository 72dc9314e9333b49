//! What is done with a queue, whichever version is behind it.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use tokio::io::AsyncReadExt as _;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::{JoinSet, LocalSet};
use tokio::time::MissedTickBehavior;

use crate::{Flags, Mode};

/// A queue of one version. `Clone` is cheap and shares the connection.
pub trait Queue: Clone + 'static {
    /// Adds one job.
    async fn add(&mut self, payload: String) -> Result<()>;
    /// Adds several in one call.
    async fn add_bulk(&mut self, payloads: Vec<String>) -> Result<()>;
    /// Works on jobs for ever; tells `handled` of each as it starts.
    async fn work(self, handled: Arc<dyn Fn(&str) + Send + Sync>, flags: &Flags) -> Result<()>;
}

pub async fn run<Q: Queue>(queue: &Q, flags: &Flags) -> Result<()> {
    let local = LocalSet::new();
    local
        .run_until(async {
            match flags.mode {
                Mode::Add => add(queue, flags).await,
                Mode::Work => {
                    let work = queue.clone().work(Arc::new(|_| ()), flags);
                    tokio::select! { ended = work => ended, () = until_told() => Ok(()) }
                }
                Mode::Both => both(queue, flags).await,
            }
        })
        .await
}

/// 64 bytes: when the job was due, in nanoseconds after the start, and filling.
fn payload(due: Duration) -> String {
    format!("{:020}{}", due.as_nanos(), "x".repeat(44))
}

async fn add<Q: Queue>(queue: &Q, flags: &Flags) -> Result<()> {
    let start = Instant::now();
    enqueue(queue, flags.warm_up, flags, start, None).await?;
    let start = Instant::now();
    enqueue(queue, flags.jobs, flags, start, None).await?;
    let seconds = start.elapsed().as_secs_f64();
    println!("{}", serde_json::json!({ "jobs": flags.jobs, "seconds": seconds }));
    Ok(())
}

/// Adds `count` jobs, `in_flight` calls at once, each of one job or of `bulk`, as soon as there is `room`.
async fn enqueue<Q: Queue>(
    queue: &Q,
    count: usize,
    flags: &Flags,
    start: Instant,
    room: Option<Arc<Semaphore>>,
) -> Result<()> {
    let left = Rc::new(RefCell::new(count));
    let mut lanes = JoinSet::new();
    for _ in 0..flags.in_flight {
        let (mut queue, left, bulk, room) = (queue.clone(), Rc::clone(&left), flags.bulk, room.clone());
        lanes.spawn_local(async move {
            loop {
                let size = bulk.max(1).min(*left.borrow());
                *left.borrow_mut() -= size;
                if size == 0 {
                    return anyhow::Ok(());
                }
                if let Some(room) = &room {
                    room.acquire().await?.forget();
                }
                if bulk == 0 {
                    queue.add(payload(start.elapsed())).await?;
                } else {
                    queue.add_bulk((0..size).map(|_| payload(start.elapsed())).collect()).await?;
                }
            }
        });
    }
    while let Some(lane) = lanes.join_next().await {
        lane??;
    }
    Ok(())
}

async fn both<Q: Queue>(queue: &Q, flags: &Flags) -> Result<()> {
    let start = Instant::now();
    let (handled, mut waits) = mpsc::unbounded_channel();
    let room = Arc::new(Semaphore::new(flags.window));
    let more_room = Arc::clone(&room);
    let note = move |payload: &str| {
        more_room.add_permits(1);
        let due = payload[..20].parse().map_or(Duration::ZERO, Duration::from_nanos);
        // Nobody listens any more once all have been seen.
        let _ = handled.send((due, start.elapsed()));
    };
    let work = queue.clone().work(Arc::new(note), flags);
    let count = async {
        let mut seen = Vec::with_capacity(flags.jobs);
        for _ in 0..flags.jobs {
            let (due, now) = waits.recv().await.context("the worker has ended")?;
            if due >= flags.settle {
                seen.push(now.saturating_sub(due).as_secs_f64() * 1e3);
            }
        }
        say(flags.jobs, seen, start.elapsed());
        anyhow::Ok(())
    };
    let offered = async {
        if flags.rate > 0.0 {
            offer(queue, flags, start).await
        } else {
            enqueue(queue, flags.jobs, flags, start, Some(room)).await
        }
    };
    let all = async { tokio::try_join!(offered, count).map(drop) };
    let all_then_told = async {
        all.await?;
        until_told().await;
        anyhow::Ok(())
    };
    tokio::select! { ended = work => ended.and_then(|()| bail!("the worker ended")), ended = all_then_told => ended }
}

/// Adds jobs when they are due, whether or not the earlier ones have been answered.
async fn offer<Q: Queue>(queue: &Q, flags: &Flags, start: Instant) -> Result<()> {
    let mut tick = tokio::time::interval(Duration::from_millis(1));
    tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let (mut under, mut sent) = (JoinSet::new(), 0);
    while sent < flags.jobs {
        tick.tick().await;
        let now = start.elapsed();
        while sent < flags.jobs {
            let due = Duration::from_secs_f64(sent as f64 / flags.rate);
            if due > now {
                break;
            }
            let mut queue = queue.clone();
            under.spawn_local(async move { queue.add(payload(due)).await });
            sent += 1;
        }
        while let Some(added) = under.try_join_next() {
            added??;
        }
    }
    while let Some(added) = under.join_next().await {
        added??;
    }
    ensure!(sent == flags.jobs, "sent {sent} of {}", flags.jobs);
    Ok(())
}

fn say(jobs: usize, mut waits: Vec<f64>, elapsed: Duration) {
    waits.sort_by(f64::total_cmp);
    let at = |share: f64| waits.get((share * waits.len().saturating_sub(1) as f64) as usize);
    let figures = serde_json::json!({
        "jobs": jobs, "seconds": elapsed.as_secs_f64(),
        "p50_ms": at(0.5), "p99_ms": at(0.99), "p999_ms": at(0.999),
    });
    println!("{figures}");
}

/// Waits until standard input ends: also when whoever started us is gone.
async fn until_told() {
    let mut rest = Vec::new();
    // An input that breaks has ended too.
    let _ = tokio::io::stdin().read_to_end(&mut rest).await;
}
