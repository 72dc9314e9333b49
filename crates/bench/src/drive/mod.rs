//! `drive`: bookingq's own driver for `peers`, with the same flags as those in tests/peers.
//!
//! ```text
//!   add, both  ──> enqueue (clients, one booking each)  ──> calls (GroupCommit, or single calls)
//!   work, both ──> work (claim, settle, confirm, settle) ──'
//! ```

mod calls;
pub mod enqueue;
mod options;
mod work;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use bookingq_core::QueueName;
use bookingq_store::{RedisConfig, Store};
use serde_json::json;
use tokio::sync::{Semaphore, mpsc};

use self::enqueue::Clients;
use self::options::DriveMode;
pub use self::options::QUEUE;
pub use self::options::{Args, Batching, Ending};
use crate::child::parent_ends_us;

/// Between two looks at how many bookings have ended.
const COUNT_EVERY: Duration = Duration::from_millis(5);

/// Runs it, on one thread because a driver has one core.
pub fn run(args: &Args) -> Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let url = format!("redis://{}", args.redis);
        let store = bookingq_store::open(RedisConfig::new(url, QueueName::new(QUEUE)?))?;
        store.open().await?;
        match args.mode {
            DriveMode::Add => add(store, args).await,
            DriveMode::Work => {
                let worker = work::run(store, args, Arc::new(|_| ()));
                tokio::select! { ended = worker => ended, () = parent_ends_us() => Ok(()) }
            }
            DriveMode::Both => both(store, args).await,
        }
    })
}
/// How long a worker takes for the `jobs` bookings that wait, from the first one that has ended to
/// the last.
pub async fn worked_off(
    store: Arc<dyn Store>,
    jobs: u64,
    concurrency: usize,
    end: Ending,
) -> Result<Duration> {
    let args = Args::of_worker(concurrency, end);
    let work = work::run(Arc::clone(&store), &args, Arc::new(|_| ()));
    let count = async {
        let mut first = None;
        loop {
            let totals = store.snapshot().await?.totals;
            let ended = totals.confirmed + totals.rejected;
            if ended > 0 {
                let (start, before) = *first.get_or_insert((Instant::now(), ended));
                if ended >= jobs {
                    // Those that had ended before the clock started do not count.
                    let share = (jobs - before).max(1) as f64 / jobs as f64;
                    return Ok(start.elapsed().div_f64(share));
                }
            }
            tokio::time::sleep(COUNT_EVERY).await;
        }
    };
    tokio::select! {
        ended = work => ended.and_then(|()| bail!("the worker ended")),
        counted = count => counted,
    }
}

async fn add(store: Arc<dyn Store>, args: &Args) -> Result<()> {
    let clients = Clients::new(store, args.batching);
    clients.enqueue_all(args.warm_up, args, Instant::now(), None).await?;
    let start = Instant::now();
    clients.enqueue_all(args.jobs, args, start, None).await?;
    report(args.jobs, start.elapsed(), None);
    Ok(())
}

/// Enqueues and works in one process, reports how long each booking waited, and works on until it
/// is ended.
async fn both(store: Arc<dyn Store>, args: &Args) -> Result<()> {
    let start = Instant::now();
    let room = Arc::new(Semaphore::new(args.window));
    let (started, mut waits) = mpsc::unbounded_channel();
    let more_room = Arc::clone(&room);
    let on_start = move |due: Duration| {
        more_room.add_permits(1);
        // The receiver is gone once it has seen all.
        let _ = started.send((due, start.elapsed()));
    };
    let work = work::run(Arc::clone(&store), args, Arc::new(on_start));
    let clients = Clients::new(store, args.batching);
    let offered = async {
        if args.rate > 0.0 {
            clients.offer(args.jobs, args.rate, start).await
        } else {
            clients.enqueue_all(args.jobs, args, start, Some(room)).await
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
        report(args.jobs, start.elapsed(), Some(seen));
        Ok(())
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

fn report(jobs: usize, elapsed: Duration, waits: Option<Vec<f64>>) {
    let mut figures = json!({ "jobs": jobs, "seconds": elapsed.as_secs_f64() });
    if let Some(mut waits) = waits {
        waits.sort_by(f64::total_cmp);
        for (name, share) in [("p50_ms", 0.5), ("p99_ms", 0.99), ("p999_ms", 0.999)] {
            let at = (share * waits.len().saturating_sub(1) as f64) as usize;
            figures[name] = json!(waits.get(at));
        }
    }
    println!("{figures}");
}
