//! Adds jobs to a queue of either version, and works on them.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use tokio::io::AsyncReadExt as _;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::{JoinSet, LocalSet};
use tokio::time::MissedTickBehavior;

use crate::flags::{Flags, Mode};

/// Called with the payload of each job that starts.
pub type OnJob = Arc<dyn Fn(&str) + Send + Sync>;

/// A queue of one version. `Clone` is cheap and shares the connection.
pub trait PeerQueue: Clone + 'static {
    /// Adds one job.
    async fn add(&mut self, payload: String) -> Result<()>;
    /// Adds several in one call.
    async fn add_bulk(&mut self, payloads: Vec<String>) -> Result<()>;
    /// Works on jobs forever.
    async fn work(self, on_job: OnJob, flags: &Flags) -> Result<()>;
}

pub async fn run<Q: PeerQueue>(queue: &Q, flags: &Flags) -> Result<()> {
    let local = LocalSet::new();
    local
        .run_until(async {
            match flags.mode {
                Mode::Add => add(queue, flags).await,
                Mode::Work => {
                    let work = queue.clone().work(Arc::new(|_| ()), flags);
                    tokio::select! { ended = work => ended, () = parent_ends_us() => Ok(()) }
                }
                Mode::Both => both(queue, flags).await,
            }
        })
        .await
}

/// 64 bytes: the due time of the job, in nanoseconds after the start, and padding.
fn payload(due: Duration) -> String {
    format!("{:020}{}", due.as_nanos(), "x".repeat(44))
}

async fn add<Q: PeerQueue>(queue: &Q, flags: &Flags) -> Result<()> {
    let start = Instant::now();
    enqueue(queue, flags.warm_up, flags, start, None).await?;
    let start = Instant::now();
    enqueue(queue, flags.jobs, flags, start, None).await?;
    let seconds = start.elapsed().as_secs_f64();
    println!("{}", serde_json::json!({ "jobs": flags.jobs, "seconds": seconds }));
    Ok(())
}

/// Adds `count` jobs with `in_flight` calls at once, each of one job or of `bulk`, as soon as there
/// is `room`.
async fn enqueue<Q: PeerQueue>(
    queue: &Q,
    count: usize,
    flags: &Flags,
    start: Instant,
    room: Option<Arc<Semaphore>>,
) -> Result<()> {
    let left = Rc::new(RefCell::new(count));
    let mut lanes = JoinSet::new();
    for _ in 0..flags.in_flight {
        let (mut queue, left) = (queue.clone(), Rc::clone(&left));
        let (bulk, room) = (flags.bulk, room.clone());
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

async fn both<Q: PeerQueue>(queue: &Q, flags: &Flags) -> Result<()> {
    let start = Instant::now();
    let (handled, mut waits) = mpsc::unbounded_channel();
    let room = Arc::new(Semaphore::new(flags.window));
    let more_room = Arc::clone(&room);
    let on_job = move |payload: &str| {
        more_room.add_permits(1);
        let due = payload[..20].parse().map_or(Duration::ZERO, Duration::from_nanos);
        // The receiver is gone once it has seen all.
        let _ = handled.send((due, start.elapsed()));
    };
    let work = queue.clone().work(Arc::new(on_job), flags);
    let count = async {
        let mut seen = Vec::with_capacity(flags.jobs);
        for _ in 0..flags.jobs {
            let (due, now) = waits.recv().await.context("the worker has ended")?;
            if due >= flags.settle {
                seen.push(now.saturating_sub(due).as_secs_f64() * 1e3);
            }
        }
        report(flags.jobs, seen, start.elapsed());
        anyhow::Ok(())
    };
    let offered = async {
        if flags.rate > 0.0 {
            offer(queue, flags, start).await
        } else {
            enqueue(queue, flags.jobs, flags, start, Some(room)).await
        }
    };
    let until_ended = async {
        tokio::try_join!(offered, count)?;
        parent_ends_us().await;
        Ok(())
    };
    tokio::select! {
        ended = work => ended.and_then(|()| bail!("the worker ended")),
        ended = until_ended => ended,
    }
}

/// Adds jobs when they are due, whether or not the earlier ones have been answered.
async fn offer<Q: PeerQueue>(queue: &Q, flags: &Flags, start: Instant) -> Result<()> {
    let mut tick = tokio::time::interval(Duration::from_millis(1));
    tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let (mut in_flight, mut sent) = (JoinSet::new(), 0);
    while sent < flags.jobs {
        tick.tick().await;
        let now = start.elapsed();
        while sent < flags.jobs {
            let due = Duration::from_secs_f64(sent as f64 / flags.rate);
            if due > now {
                break;
            }
            let mut queue = queue.clone();
            in_flight.spawn_local(async move { queue.add(payload(due)).await });
            sent += 1;
        }
        while let Some(added) = in_flight.try_join_next() {
            added??;
        }
    }
    while let Some(added) = in_flight.join_next().await {
        added??;
    }
    ensure!(sent == flags.jobs, "sent {sent} of {}", flags.jobs);
    Ok(())
}

fn report(jobs: usize, mut waits: Vec<f64>, elapsed: Duration) {
    waits.sort_by(f64::total_cmp);
    let at = |share: f64| waits.get((share * waits.len().saturating_sub(1) as f64) as usize);
    let figures = serde_json::json!({
        "jobs": jobs, "seconds": elapsed.as_secs_f64(),
        "p50_ms": at(0.5), "p99_ms": at(0.99), "p999_ms": at(0.999),
    });
    println!("{figures}");
}

/// Waits until standard input ends: also when the parent is gone.
async fn parent_ends_us() {
    let mut rest = Vec::new();
    // An input that breaks has ended too.
    let _ = tokio::io::stdin().read_to_end(&mut rest).await;
}
