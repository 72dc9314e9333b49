//! `drive`: bookingq's own driver for `peers`, with the flags that those in tests/peers have.
//!
//! ```text
//!   add, both ── lanes ──> crowd (GroupCommit or the store, one booking or many in a call)
//!   work, both ──────────> worker (claim, settle, confirm, settle)
//! ```

mod add;
mod both;
mod crowd;
mod worker;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use bookingq_core::QueueName;
use bookingq_store::RedisConfig;
use bookingq_store::Store;
use serde_json::json;
use tokio::io::AsyncReadExt as _;

/// The queue of every run: Redis is emptied between them.
pub const QUEUE: &str = "bench";

/// One run of one work. See tests/peers/README.md.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// host:port
    #[arg(long)]
    redis: String,
    #[arg(long)]
    mode: Mode,
    /// How a booking ends
    #[arg(long, default_value = "sold-out")]
    end: End,
    /// Whether calls are batched
    #[arg(long, default_value = "grouped")]
    batching: Batching,
    /// Bookings to add
    #[arg(long, default_value_t = 0)]
    jobs: usize,
    /// Bookings to add before the clock starts
    #[arg(long, default_value_t = 0)]
    warm_up: usize,
    /// Calls under way at once
    #[arg(long, default_value_t = 1)]
    in_flight: usize,
    /// Bookings in one call; 0: the call for a single booking
    #[arg(long, default_value_t = 0)]
    bulk: usize,
    /// both: bookings a second, whatever comes back; 0: as fast as in-flight and window allow
    #[arg(long, default_value_t = 0.0)]
    rate: f64,
    /// both, without rate: bookings added and not yet started, at most
    #[arg(long, default_value_t = 1000)]
    window: usize,
    /// both: bookings due before this are not among the latencies
    #[arg(long, default_value = "0ms", value_parser = milliseconds)]
    settle: Duration,
    /// Tasks at once
    #[arg(long, default_value_t = 64)]
    concurrency: usize,
    /// How long a task takes
    #[arg(long, default_value = "0ms", value_parser = milliseconds)]
    busy: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Mode {
    Add,
    Work,
    Both,
}

/// How a booking ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum End {
    /// Claimed and settled as sold out: one acknowledgement, as a job of the others has
    SoldOut,
    /// Claimed, settled as reserved, paid, settled as confirmed
    Confirmed,
}

/// Whether calls are batched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Batching {
    /// As a worker does it: claims what there is room for, and sends single calls through
    /// `GroupCommit`
    Grouped,
    /// One booking in each call to Redis
    Single,
}

fn milliseconds(text: &str) -> Result<Duration, String> {
    let number = text.strip_suffix("ms").and_then(|number| number.parse().ok());
    number.map(Duration::from_millis).ok_or_else(|| format!("{text} is no time; allowed: 5ms"))
}

/// Does it. On one thread, since a driver has one core.
pub fn run(args: &Args) -> Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let url = format!("redis://{}", args.redis);
        let store: Arc<dyn Store> =
            bookingq_store::open(RedisConfig::new(url, QueueName::new(QUEUE)?))?;
        store.open().await?;
        match args.mode {
            Mode::Add => add::run(store, args).await,
            Mode::Work => {
                let worker = worker::run(store, args, Arc::new(|_| ()));
                tokio::select! { ended = worker => ended, () = until_told() => Ok(()) }
            }
            Mode::Both => both::run(store, args).await,
        }
    })
}

/// Waits until standard input ends: also when whoever started us is gone.
pub async fn until_told() {
    let mut rest = Vec::new();
    // An input that breaks has ended too.
    let _ = tokio::io::stdin().read_to_end(&mut rest).await;
}

/// Prints what was measured.
fn say(jobs: usize, elapsed: Duration, waits: Option<Vec<f64>>) {
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
