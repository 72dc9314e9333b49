//! Driver of apalis-redis for `cargo xtask bench peers`. The flags are those of every driver, see ../../README.md.

mod load;
mod v07;
mod v10;

use std::time::Duration;

use anyhow::Result;
use clap::{Parser, ValueEnum};

/// One run of one work.
#[derive(Debug, Clone, Parser)]
pub struct Flags {
    /// host:port
    #[arg(long)]
    redis: String,
    #[arg(long)]
    mode: Mode,
    #[arg(long)]
    api: Api,
    /// Jobs to add
    #[arg(long, default_value_t = 0)]
    jobs: usize,
    /// Jobs to add before the clock starts
    #[arg(long, default_value_t = 0)]
    warm_up: usize,
    /// Calls under way at once
    #[arg(long, default_value_t = 1)]
    in_flight: usize,
    /// Jobs in one call; 0: the call for a single job
    #[arg(long, default_value_t = 0)]
    bulk: usize,
    /// both: jobs a second, whatever comes back; 0: as fast as in-flight allows
    #[arg(long, default_value_t = 0.0)]
    rate: f64,
    /// both, without rate: jobs added and not yet started, at most
    #[arg(long, default_value_t = 1000)]
    window: usize,
    /// both: jobs due before this are not among the latencies
    #[arg(long, default_value = "0ms", value_parser = humantime::parse_duration)]
    settle: Duration,
    /// Jobs worked on at once; also how many are fetched at once
    #[arg(long, default_value_t = 1000)]
    concurrency: usize,
    /// Between two looks at the queue
    #[arg(long, default_value = "100ms", value_parser = humantime::parse_duration)]
    poll: Duration,
    /// How long a job takes
    #[arg(long, default_value = "0ms", value_parser = humantime::parse_duration)]
    busy: Duration,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Mode {
    Add,
    Work,
    Both,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Api {
    /// apalis-redis 0.7
    V07,
    /// apalis-redis 1.0
    V10,
}

// One thread: the driver has one core.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let flags = Flags::parse();
    match flags.api {
        Api::V07 => load::run(&v07::Queue::connect(&flags).await?, &flags).await,
        Api::V10 => load::run(&v10::Queue::connect(&flags).await?, &flags).await,
    }
}
