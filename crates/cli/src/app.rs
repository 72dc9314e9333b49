//! The command line: all subcommands, and what happens before and after each.

use std::process::ExitCode;

use bookingq_serve::Signals;
use bookingq_serve::telemetry::{Telemetry, TelemetryError, TelemetryFlags};
use clap::{Parser, Subcommand};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::level_filters::LevelFilter;

use crate::failure::Failure;
use crate::verbs::{
    admission, cancel, crd, crowd, enqueue, operator, pay, probe, queue, simulate, status, sweep,
    top, up, watch, worker,
};

/// Fair booking queues: each client gets a place in line, a reservation in order, and a limited
/// time to pay.
#[derive(Debug, Parser)]
#[command(
    name = "bookingq",
    version,
    propagate_version = true,
    max_term_width = 100,
    arg_required_else_help = true,
    after_help = "\
Try it; nothing else needs to be installed:
  bookingq up -f manifests/samples/concert.yaml --crowd 2000 --for 30s

While `bookingq up -f manifests/samples/concert.yaml` runs, in another terminal:
  bookingq enqueue --queue concert --client ann
  bookingq watch --queue concert --client ann

Durations are written as 200ms, 30s or 1h30m. Each flag can also be set by the environment variable
that its help names.

Exit codes:
  0    The command succeeded.
  1    The command failed or was refused: stderr says why. For `up` and `crowd` also: an invariant was violated.
  2    Wrong usage.
  130  A second signal stopped the command before it could finish in order."
)]
pub struct Cli {
    #[command(flatten)]
    telemetry: TelemetryFlags,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Up(up::Args),
    Worker(Box<worker::Args>),
    Sweep(sweep::Args),
    Operator(operator::Args),
    Simulate(simulate::Args),
    Probe(probe::Args),
    Crd(crd::Args),
    Enqueue(enqueue::Args),
    Status(status::Args),
    Watch(watch::Args),
    Pay(pay::Args),
    Cancel(cancel::Args),
    Queue(queue::Args),
    Admission(admission::Args),
    Top(top::Args),
    Crowd(crowd::Args),
}

impl Verb {
    /// The lowest level that is logged by default: services log events, tools log problems.
    fn log_level(&self) -> LevelFilter {
        match self {
            Self::Worker(_) | Self::Sweep(_) | Self::Operator(_) | Self::Simulate(_) => {
                LevelFilter::INFO
            }
            Self::Up(_) | Self::Crowd(_) => up::log_level(),
            _ => LevelFilter::WARN,
        }
    }

    async fn run(self, signals: &Signals) -> Result<(), Failure> {
        match self {
            Self::Up(args) => up::run(args, signals).await,
            Self::Worker(args) => worker::run(*args, signals).await,
            Self::Sweep(args) => sweep::run(args, signals).await,
            Self::Operator(args) => operator::run(args, signals).await,
            Self::Simulate(args) => simulate::run(args, signals).await,
            Self::Probe(args) => probe::run(args).await,
            Self::Crd(args) => crd::run(&args),
            Self::Enqueue(args) => enqueue::run(args).await,
            Self::Status(args) => status::run(args).await,
            Self::Watch(args) => watch::run(args).await,
            Self::Pay(args) => pay::run(args).await,
            Self::Cancel(args) => cancel::run(args).await,
            Self::Queue(args) => queue::run(args).await,
            Self::Admission(args) => admission::run(args).await,
            Self::Top(args) => top::run(args, signals).await,
            Self::Crowd(args) => crowd::run(args, signals).await,
        }
    }
}

/// Parses the arguments, runs the command and returns its exit code. On wrong usage, clap exits
/// with 2.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    allow_open_files();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return Failure::from(error).report(),
    };
    let outcome = runtime.block_on(serve(cli));
    // Whatever still runs was asked to stop; do not wait longer for a thread that hangs.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

/// Raises the limit of open files to the maximum: the usual 1,024 allow too few connections. On
/// failure, the limit stays.
fn allow_open_files() {
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}

async fn serve(cli: Cli) -> Result<(), Failure> {
    // TLS needs a cryptography provider before the first connection. This fails only if there is one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let started = Telemetry::start(&cli.telemetry, cli.verb.log_level());
    let telemetry = started.map_err(|error| match error {
        TelemetryError::AlreadyStarted(_) => error.into(),
        wrong => Failure::usage(wrong),
    })?;
    let signals = Signals::default();
    let outcome = tokio::select! {
        outcome = cli.verb.run(&signals) => outcome,
        () = signals.at_once() => return Err(Failure::Interrupted),
    };
    telemetry.stop().await;
    outcome
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_subcommand_has_examples_and_every_flag_has_an_environment_variable() {
        for verb in Cli::command().get_subcommands() {
            let examples = verb.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(examples.contains("bookingq"), "{} has no example", verb.get_name());
            for flag in verb
                .get_arguments()
                .filter(|flag| flag.get_long().is_some() && flag.get_id() != "help")
            {
                let name = flag.get_env().and_then(|name| name.to_str()).unwrap_or_default();
                let known = name.starts_with("BOOKINGQ_")
                    || name.starts_with("OTEL_")
                    || flag.get_id() == "version";
                assert!(known, "{} --{}", verb.get_name(), flag.get_long().unwrap_or_default());
            }
        }
    }
}
