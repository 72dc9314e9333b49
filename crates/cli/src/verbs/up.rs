//! `bookingq up`: runs a manifest on this computer.

use std::io::IsTerminal as _;

use bookingq_serve::Signals;
use bookingq_up::{RunOutcome, UpArgs};
use tracing::level_filters::LevelFilter;

use crate::failure::Failure;

/// Run `BookingQueue` manifests on this computer, without a cluster
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bookingq up -f manifests/samples/concert.yaml
  bookingq up -f manifests/samples/concert.yaml --crowd 20000 --for 60s --report r.json
  bookingq up -f manifests/samples/concert.yaml --crowd 5000 --through gateway
  bookingq up -f manifests/samples/concert.yaml --store kafka --crowd 5000
  bookingq up -f manifests/samples/concert.yaml --store redis --workers 4 --crowd 20000 --for 60s \\
      --simulate errors=5%,lost_replies=2%          # kill some of the workers while it runs
  bookingq up -f manifests/samples/concert.yaml --store rediss://redis.example.com:6380 \\
      --redis-tls-ca ca.pem --redis-password-file password

Runs the same workers, autoscaler and sweeper as in a cluster, on real gRPC ports, and a gateway with
the waiting-room page, whose address it prints, and a demo checkout. With the embedded store, the
workers run in this process and the data ends with it. With Redis or Kafka, each worker is a
process; one that dies is restarted, and so is a server that `up` started.
Exits with 1 if the run broke a promise, and prints what was broken.")]
pub struct Args {
    #[command(flatten)]
    up: UpArgs,
}

/// On a terminal, log lines would tear the live view.
pub fn log_level() -> LevelFilter {
    if std::io::stdout().is_terminal() { LevelFilter::ERROR } else { LevelFilter::WARN }
}

/// Runs until the time is over or a signal comes.
pub async fn run(args: Args, signals: &Signals) -> Result<(), Failure> {
    let leaving = signals.leaving()?;
    match bookingq_up::run(args.up, leaving).await? {
        RunOutcome::Sound => Ok(()),
        RunOutcome::Broken => Err(Failure::Reported),
    }
}
