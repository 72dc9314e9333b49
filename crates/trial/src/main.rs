//! `bookingq-trial VERB`: tries an operator; see `cargo xtask trial`, which builds what this needs.

use std::path::PathBuf;
use std::process::ExitCode;

use bookingq_trial::{mutants, rivals, scale, step};
use clap::{Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};

/// Tries the operator's process against a real API server
#[derive(Debug, Parser)]
#[command(name = "cargo xtask trial", max_term_width = 100)]
struct Cli {
    /// The program that is tried
    #[arg(long, env = "BOOKINGQ", value_name = "FILE")]
    bookingq: PathBuf,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Many queues at once: time, memory and requests until all is as specified, and whether there
    /// is rest then
    Scale(scale::Args),
    /// Specs by chance, right and wrong: each queue must end as specified or say what is wrong
    Mutants(mutants::Args),
    /// Two operators, the leader stopped for a while and continued: never two writers
    Rivals(rivals::Args),
    /// A tenfold step of arrivals: how soon the final number of workers is written
    Step(step::Args),
}

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let trial = async {
        match &cli.verb {
            Verb::Scale(args) => scale::run(args, &cli.bookingq).await,
            Verb::Mutants(args) => mutants::run(args, &cli.bookingq).await,
            Verb::Rivals(args) => rivals::run(args, &cli.bookingq).await,
            Verb::Step(args) => step::run(args, &cli.bookingq).await,
        }
    };
    // What was started ends when the trial is dropped, so a signal must not end the process at
    // once.
    let outcome = tokio::select! {
        outcome = trial => outcome,
        signal = asked_to_stop() => Err(anyhow::anyhow!("stopped by {signal}")),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Waits for Ctrl-C or SIGTERM; tells which. Where one cannot be heard, it is not waited for.
async fn asked_to_stop() -> &'static str {
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        Ok(()) = tokio::signal::ctrl_c() => "Ctrl-C",
    }
}
