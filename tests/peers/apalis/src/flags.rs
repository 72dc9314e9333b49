//! The flags of every driver: see ../../README.md.

use std::time::Duration;

use clap::{Parser, ValueEnum};

/// One run of one work.
#[derive(Debug, Clone, Parser)]
pub struct Flags {
    /// host:port
    #[arg(long)]
    pub redis: String,
    #[arg(long)]
    pub mode: Mode,
    #[arg(long)]
    pub api: Api,
    /// Jobs to add
    #[arg(long, default_value_t = 0)]
    pub jobs: usize,
    /// Jobs to add before the clock starts
    #[arg(long, default_value_t = 0)]
    pub warm_up: usize,
    /// Calls in flight
    #[arg(long, default_value_t = 1)]
    pub in_flight: usize,
    /// Jobs in one call; 0: the call for a single job
    #[arg(long, default_value_t = 0)]
    pub bulk: usize,
    /// both: jobs a second, independent of answers; 0: as fast as in-flight allows
    #[arg(long, default_value_t = 0.0)]
    pub rate: f64,
    /// both, without rate: jobs added and not yet started, at most
    #[arg(long, default_value_t = 1000)]
    pub window: usize,
    /// both: jobs due before this are not among the latencies
    #[arg(long, default_value = "0ms", value_parser = humantime::parse_duration)]
    pub settle: Duration,
    /// Jobs in progress; also the jobs of one fetch
    #[arg(long, default_value_t = 1000)]
    pub concurrency: usize,
    /// Between two polls of the queue
    #[arg(long, default_value = "100ms", value_parser = humantime::parse_duration)]
    pub poll: Duration,
    /// Duration of a job
    #[arg(long, default_value = "0ms", value_parser = humantime::parse_duration)]
    pub busy: Duration,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Mode {
    Add,
    Work,
    Both,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Api {
    /// apalis-redis 0.7
    V07,
    /// apalis-redis 1.0
    V10,
}
