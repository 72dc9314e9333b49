//! The command line: all subcommands, and what happens before and after each.

use std::pin::Pin;
use std::process::ExitCode;

use bookingq_serve::Signals;
use bookingq_serve::telemetry::{Telemetry, TelemetryError, TelemetryFlags};
use clap::{Parser, Subcommand};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::level_filters::LevelFilter;

use crate::failure::Failure;
use crate::kubectl;
use crate::verbs::{
    admission, backup, cancel, check, crd, crowd, enqueue, gateway, keys, operator, outflow, pay,
    probe, queue, restocked, simulate, status, sweep, top, up, watch, worker,
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
  0    Success.
  1    The command failed, or a worker refused the request: standard error says why.
       `up` and `crowd`: the run broke a promise; the report says which.
  2    Wrong usage.
  130  A second signal ended the command at once."
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
    Gateway(Box<gateway::Args>),
    Operator(operator::Args),
    Simulate(simulate::Args),
    Probe(probe::Args),
    Check(Box<check::Args>),
    Crd(crd::Args),
    Keys(keys::Args),
    Backup(backup::Args),
    Enqueue(enqueue::Args),
    Status(status::Args),
    Watch(watch::Args),
    Pay(pay::Args),
    Cancel(cancel::Args),
    Queue(queue::Args),
    Admission(admission::Args),
    Outflow(outflow::Args),
    Restocked(restocked::Args),
    Top(top::Args),
    Crowd(crowd::Args),
}

impl Verb {
    /// The lowest level that is logged by default: services log events, tools log problems.
    fn log_level(&self) -> LevelFilter {
        match self {
            Self::Worker(_)
            | Self::Sweep(_)
            | Self::Gateway(_)
            | Self::Operator(_)
            | Self::Simulate(_) => LevelFilter::INFO,
            Self::Up(_) | Self::Crowd(_) => up::log_level(),
            _ => LevelFilter::WARN,
        }
    }

    /// Each future is boxed: the largest one would otherwise be the size of them all.
    fn run(self, signals: &Signals) -> Running<'_> {
        match self {
            Self::Up(args) => Box::pin(up::run(args, signals)),
            Self::Worker(args) => Box::pin(worker::run(*args, signals)),
            Self::Sweep(args) => Box::pin(sweep::run(args, signals)),
            Self::Gateway(args) => Box::pin(gateway::run(*args, signals)),
            Self::Operator(args) => Box::pin(operator::run(args, signals)),
            Self::Simulate(args) => Box::pin(simulate::run(args, signals)),
            Self::Probe(args) => Box::pin(probe::run(args)),
            Self::Check(args) => Box::pin(check::run(*args)),
            Self::Crd(args) => Box::pin(async move { crd::run(&args) }),
            Self::Keys(args) => Box::pin(async { keys::run(args) }),
            Self::Backup(args) => Box::pin(backup::run(args)),
            Self::Enqueue(args) => Box::pin(enqueue::run(args)),
            Self::Status(args) => Box::pin(status::run(args)),
            Self::Watch(args) => Box::pin(watch::run(args)),
            Self::Pay(args) => Box::pin(pay::run(args)),
            Self::Cancel(args) => Box::pin(cancel::run(args)),
            Self::Queue(args) => Box::pin(queue::run(args)),
            Self::Admission(args) => Box::pin(admission::run(args)),
            Self::Outflow(args) => Box::pin(outflow::run(args)),
            Self::Restocked(args) => Box::pin(restocked::run(args)),
            Self::Top(args) => Box::pin(top::run(args, signals)),
            Self::Crowd(args) => Box::pin(crowd::run(args, signals)),
        }
    }
}

/// A command while it runs.
type Running<'a> = Pin<Box<dyn Future<Output = Result<(), Failure>> + 'a>>;

/// Parses the arguments, runs the command and returns its exit code. On wrong usage, clap exits
/// with 2.
pub fn main() -> ExitCode {
    if std::env::args_os().next().is_some_and(|program| kubectl::is_meant(&program)) {
        return kubectl::main();
    }
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
    // TLS needs a cryptography provider before the first connection; this fails if there is one.
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
