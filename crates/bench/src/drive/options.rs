//! The flags of a driver: see tests/peers/README.md.

use std::time::Duration;

/// The queue of every run. Redis is emptied between runs.
pub const QUEUE: &str = "bench";

/// One run of one work.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// host:port
    #[arg(long)]
    pub(super) redis: String,
    #[arg(long)]
    pub(super) mode: DriveMode,
    /// How a booking ends
    #[arg(long, default_value = "rejected")]
    pub(super) end: Ending,
    /// Whether calls are batched
    #[arg(long, default_value = "grouped")]
    pub(super) batching: Batching,
    /// Bookings to add
    #[arg(long, default_value_t = 0)]
    pub(super) jobs: usize,
    /// Bookings to add before the clock starts
    #[arg(long, default_value_t = 0)]
    pub(super) warm_up: usize,
    /// Calls in flight
    #[arg(long, default_value_t = 1)]
    pub(super) in_flight: usize,
    /// Bookings in one call; 0: the call for a single booking
    #[arg(long, default_value_t = 0)]
    pub(super) bulk: usize,
    /// both: bookings a second, independent of answers; 0: as fast as in-flight and window allow
    #[arg(long, default_value_t = 0.0)]
    pub(super) rate: f64,
    /// both, without rate: bookings added and not yet started, at most
    #[arg(long, default_value_t = 1000)]
    pub(super) window: usize,
    /// both: bookings due before this are not among the latencies
    #[arg(long, default_value = "0ms", value_parser = milliseconds)]
    pub(super) settle: Duration,
    /// Tasks in flight
    #[arg(long, default_value_t = 64)]
    pub(super) concurrency: usize,
    /// Duration of a task
    #[arg(long, default_value = "0ms", value_parser = milliseconds)]
    pub(super) busy: Duration,
}

impl Args {
    /// Of a worker with this number of tasks in flight, as `peers` has it.
    pub(super) fn of_worker(concurrency: usize, end: Ending) -> Self {
        Self {
            redis: String::new(),
            mode: DriveMode::Work,
            end,
            batching: Batching::Grouped,
            jobs: 0,
            warm_up: 0,
            in_flight: 1,
            bulk: 0,
            rate: 0.0,
            window: 0,
            settle: Duration::ZERO,
            concurrency,
            busy: Duration::ZERO,
        }
    }
}

/// What a driver does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum DriveMode {
    /// Adds bookings
    Add,
    /// Works on them
    Work,
    /// Does both
    Both,
}

/// How a booking ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Ending {
    /// Claimed and settled as rejected: one acknowledgement, as a peer's job has
    Rejected,
    /// Claimed, settled as reserved, paid, settled as confirmed
    Confirmed,
}

/// Whether calls are batched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Batching {
    /// As in a worker: it claims what there is room for, and sends single calls through
    /// `GroupCommit`
    Grouped,
    /// One booking in each call to Redis
    Single,
}

fn milliseconds(text: &str) -> Result<Duration, String> {
    let number = text.strip_suffix("ms").and_then(|number| number.parse().ok());
    number.map(Duration::from_millis).ok_or_else(|| format!("{text} is no time; allowed: 5ms"))
}
