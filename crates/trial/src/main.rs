//! `bookingq-trial VERB`: one trial of an operator. `cargo xtask trial` builds and runs it.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use bookingq_serve::Signals;
use bookingq_trial::{mutants, outage, rivals, scale, step};
use clap::{Parser, Subcommand};

/// Tries the operator's process against a real API server
#[derive(Debug, Parser)]
#[command(name = "cargo xtask trial", max_term_width = 100)]
struct Cli {
    /// The program under test
    #[arg(long, env = "BOOKINGQ", value_name = "FILE")]
    bookingq: PathBuf,
    #[command(subcommand)]
    verb: TrialVerb,
}

#[derive(Debug, Subcommand)]
enum TrialVerb {
    /// Many queues at once: time, memory and requests until all are reconciled, and whether the
    /// operator then rests
    Scale(scale::Args),
    /// Random specs, valid and invalid: each queue must be reconciled or report its error
    Mutants(mutants::Args),
    /// Two operators, the leader frozen for a while: never two writers
    Rivals(rivals::Args),
    /// A tenfold step of arrivals: how soon the final number of workers is written
    Step(step::Args),
    /// The API server away for minutes while a line grows: what the operator does then, and after
    Outage(outage::Args),
}

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let trial = async {
        match &cli.verb {
            TrialVerb::Scale(args) => scale::run(args, &cli.bookingq).await,
            TrialVerb::Mutants(args) => mutants::run(args, &cli.bookingq).await,
            TrialVerb::Rivals(args) => rivals::run(args, &cli.bookingq).await,
            TrialVerb::Step(args) => step::run(args, &cli.bookingq).await,
            TrialVerb::Outage(args) => Box::pin(outage::run(args, &cli.bookingq)).await,
        }
    };
    let stoppable = async {
        let leaving = Signals::default().leaving()?;
        // Dropping the trial ends its processes, which a signal's default action would not.
        leaving.run_until_cancelled(trial).await.context("stopped by a signal")?
    };
    let outcome = stoppable.await;
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
