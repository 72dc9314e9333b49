//! `cargo xtask bench`: builds `crates/bench` with optimisation and runs it.

use anyhow::Result;

use crate::shell;

/// What to measure.
#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true)]
pub struct Args {
    /// The verb (engine, instructions, eta, growth, sweep, watch, peers, compare) and its options;
    /// `--help` lists them
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARG")]
    forwarded: Vec<String>,
}

/// Measures.
pub fn run(args: &Args) -> Result<()> {
    let cargo = ["run", "--release", "--locked", "--package", "bookingq-bench", "--"];
    shell::run(shell::cargo().args(cargo).args(&args.forwarded))
}
