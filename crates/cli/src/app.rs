//! The command line as a whole: which subcommands there are, and what surrounds each of them.

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

/// Fair lines for ticket sales: everyone gets a place, a reservation in order, and a limited time
/// to pay.
#[derive(Debug, Parser)]
#[command(
    name = "bookingq",
    version,
    propagate_version = true,
    max_term_width = 100,
    arg_required_else_help = true,
    after_help = "\
Try it, without installing anything else:
  bookingq up -f manifests/samples/concert.yaml --crowd 2000 --for 30s

Then, while `bookingq up -f manifests/samples/concert.yaml` runs, in another terminal:
  bookingq enqueue --queue concert --client ann
  bookingq watch --queue concert --client ann

Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted."
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

/// Parses, runs, and answers with an exit code. (clap itself ends the program with 2 at wrong
/// usage.)
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    allow_open_files();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return Failure::from(error).report(),
    };
    let outcome = runtime.block_on(serve(cli));
    // What still runs has been asked to stop; a thread that does not return is not worth waiting
    // for.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

/// As many as the system lets a process ask for: 1,024, the usual number that is allowed without
/// asking, are few connections. Where it cannot be had, the usual number it is.
fn allow_open_files() {
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}

async fn serve(cli: Cli) -> Result<(), Failure> {
    // TLS needs to know its cryptography before its first connection. Fails only if another one is
    // installed already.
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
    fn the_command_line_contradicts_itself_nowhere() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_subcommand_shows_examples_and_every_flag_can_come_from_the_environment() {
        for verb in Cli::command().get_subcommands() {
            let examples = verb.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(examples.contains("bookingq"), "{} shows no example", verb.get_name());
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
