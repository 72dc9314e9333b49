//! `cargo xtask faults`: builds `crates/faults` with optimisation and runs it. With `--mutate`, the
//! engine has a deliberate fault that the checker must find; with `--linearize`, an independent
//! checker reads a recorded history.

mod linearize;
pub mod mutants;
pub mod programs;

use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::{shell, tree};

/// What to break.
#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true)]
pub struct Args {
    /// Run a mutant of the engine, or all of them one after the other (`all`); the checker must
    /// find each
    #[arg(long, value_name = "NAME")]
    mutate: Option<String>,
    /// Check with Porcupine whether a recorded history is linearizable (needs Go)
    #[arg(long, value_name = "HISTORY", conflicts_with_all = ["mutate", "options"])]
    linearize: Option<PathBuf>,
    /// Build with the store on Kafka also for a run on Redis: one build then does for both
    #[arg(long, conflicts_with_all = ["mutate", "linearize"])]
    with_kafka: bool,
    /// Options of the run; `--help` lists them
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "OPTION")]
    options: Vec<String>,
}

/// Breaks.
pub fn run(args: &Args) -> Result<()> {
    if let Some(history) = &args.linearize {
        return linearize::run(history);
    }
    let has = |option: &str| args.options.iter().any(|given| given == option);
    if has("--mutate") {
        bail!("--mutate NAME comes before the options of the run");
    }
    if let Some(name) = &args.mutate
        && !has("--help")
    {
        return mutants::run(name, &args.options);
    }
    programs::build(&args.options, args.with_kafka)?;
    // Not by `cargo run`: by itself the crate needs fewer features of its libraries, so they would
    // be compiled once more.
    shell::run(std::process::Command::new(tree::released("bookingq-faults")).args(&args.options))
}
