//! `bookingq up`: runs a manifest on this computer.

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use bookingq_core::QueueName;
use bookingq_serve::Signals;
use bookingq_up::{CrowdSize, PoolSize, RunOutcome, StoreChoice, UpConfig};
use clap::value_parser;
use tracing::level_filters::LevelFilter;

use crate::failure::Failure;
use crate::flags::duration;

/// Run `BookingQueue` manifests on this computer, without a cluster
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bookingq up -f manifests/samples/concert.yaml
  bookingq up -f manifests/samples/concert.yaml --crowd 20000 --for 60s --report r.json
  bookingq up -f manifests/samples/concert.yaml --store redis --workers 4 --crowd 20000 --for 60s \\
      --simulate errors=5%,lost_replies=2%          # kill some of the workers while it runs

Runs the same workers, autoscaler and sweeper as in a cluster, on real gRPC ports. With the embedded store, the workers
run in this process and the data ends with it. With Redis, each worker is a process; one that dies is restarted.
Exits with 1 if the run violated an invariant, and prints each violation.")]
pub struct Args {
    /// Manifest to run: YAML with one or several documents
    #[arg(short, long, env = "BOOKINGQ_FILE", value_name = "FILE")]
    file: PathBuf,
    /// Run only this queue of the manifest
    #[arg(long, env = "BOOKINGQ_QUEUE", value_name = "NAME", value_parser = QueueName::new)]
    queue: Option<QueueName>,
    /// Store: embedded, redis (starts a redis-server from PATH), or redis://HOST:PORT
    #[arg(
        long,
        env = "BOOKINGQ_STORE",
        hide_env_values = true,
        value_name = "STORE",
        default_value = "embedded"
    )]
    store: StoreChoice,
    /// Run this number of workers, without autoscaling
    #[arg(long, env = "BOOKINGQ_WORKERS", value_name = "N", value_parser = value_parser!(u32).range(0..=100))]
    workers: Option<u32>,
    /// Send this number of clients: most pay; some leave, never pay, pay too late or join twice
    #[arg(long, env = "BOOKINGQ_CROWD", value_name = "N", value_parser = value_parser!(u32).range(1..=10_000_000))]
    crowd: Option<u32>,
    /// Spread the arrivals of the crowd over this time
    #[arg(long, env = "BOOKINGQ_ARRIVE", value_name = "TIME", default_value = "20s", value_parser = duration)]
    arrive: Duration,
    /// Stop after this time [default: at Ctrl-C]
    #[arg(long = "for", id = "time", env = "BOOKINGQ_FOR", value_name = "TIME", value_parser = duration)]
    time: Option<Duration>,
    /// Write a JSON report to this file at the end
    #[arg(long, env = "BOOKINGQ_REPORT", value_name = "FILE")]
    report: Option<PathBuf>,
    /// Settings of the simulated Booking Service: stock, latency, jitter, errors, lost_replies,
    /// rejects, confirm_rejects, keeps, seed
    #[arg(long, env = "BOOKINGQ_SIMULATE", value_name = "KEY=VALUE,…")]
    simulate: Option<String>,
    /// gRPC port of the first worker; the others use the next ones. 0 uses any free ports
    #[arg(long, env = "BOOKINGQ_BASE_PORT", value_name = "PORT", default_value_t = 50051)]
    base_port: u16,
    /// Keep the logs of the processes and the files of Redis in this directory [default: a
    /// temporary directory]
    #[arg(long, env = "BOOKINGQ_LOGS", value_name = "DIR")]
    logs: Option<PathBuf>,
}

/// On a terminal, log lines would tear the live view.
pub fn log_level() -> LevelFilter {
    if std::io::stdout().is_terminal() { LevelFilter::ERROR } else { LevelFilter::WARN }
}

/// Runs until the time is over or a signal comes.
pub async fn run(args: Args, signals: &Signals) -> Result<(), Failure> {
    let leaving = signals.leaving()?;
    let config = UpConfig {
        file: args.file,
        queue: args.queue,
        store: args.store,
        pool: args.workers.map_or(PoolSize::FromManifest, PoolSize::Fixed),
        crowd: args.crowd.map(|clients| CrowdSize { clients, arrive: args.arrive }),
        time: args.time,
        report: args.report,
        simulate: args.simulate,
        base_port: args.base_port,
        program: std::env::current_exe()
            .context("cannot find the path of this program to start workers")?,
        logs: args.logs,
    };
    match bookingq_up::run(config, leaving).await? {
        RunOutcome::Sound => Ok(()),
        RunOutcome::Broken => Err(Failure::Reported),
    }
}
