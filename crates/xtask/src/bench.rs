//! `cargo xtask bench`: builds with optimisation and measures. What is measured: crates/bench.

use anyhow::Result;
use clap::Subcommand;

use crate::shell;

/// What to measure.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// The store and the worker on this computer, beside a bare gRPC server and plain Redis
    /// commands
    #[command(disable_help_flag = true)]
    Engine(Options),
    /// Instructions of Redis for a booking's life: steadier than times; needs valgrind
    #[command(disable_help_flag = true)]
    Instructions(Options),
    /// What calls and memory cost Redis when few wait, and when many do
    #[command(disable_help_flag = true)]
    Growth(Options),
    /// How late holds are given back when many are overdue each second
    #[command(disable_help_flag = true)]
    Sweep(Options),
    /// What clients cost that watch their place, and how old the positions are that they see
    #[command(disable_help_flag = true)]
    Watch(Options),
    /// The same work on the same Redis by asynq, BullMQ, apalis-redis and bookingq; needs Go and
    /// Node.js
    #[command(disable_help_flag = true)]
    Peers(Options),
    /// Whether something became slower: BASELINE.json NEW.json, as --out of the others wrote them
    #[command(disable_help_flag = true)]
    Compare(Options),
}

#[derive(Debug, clap::Args)]
struct Options {
    /// Passed on; `--help` lists them
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "OPTION")]
    options: Vec<String>,
}

/// Measures.
pub fn run(args: &Args) -> Result<()> {
    let (what, passed_on) = match &args.what {
        What::Engine(options) => ("engine", options),
        What::Instructions(options) => ("instructions", options),
        What::Growth(options) => ("growth", options),
        What::Sweep(options) => ("sweep", options),
        What::Watch(options) => ("watch", options),
        What::Peers(options) => ("peers", options),
        What::Compare(options) => ("compare", options),
    };
    let cargo = ["run", "--release", "--locked", "--package", "bookingq-bench", "--", what];
    shell::run(shell::cargo().args(cargo).args(&passed_on.options))
}
