//! `cargo xtask bench`: builds with optimisation and measures. What is measured, and with which options: crates/bench.

use anyhow::Result;

use crate::shell;

/// What to measure.
#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true)]
pub struct Args {
    /// What, and its options; `--help` lists them
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "WHAT")]
    what: Vec<String>,
}

/// Measures.
pub fn run(args: &Args) -> Result<()> {
    let cargo = ["run", "--release", "--locked", "--package", "bookingq-bench", "--"];
    shell::run(shell::cargo().args(cargo).args(&args.what))
}
