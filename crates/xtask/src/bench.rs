//! `cargo xtask bench`: builds `crates/bench` with optimisation and runs it.

use anyhow::Result;

use crate::{kafka, shell};

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
    // Compiled in only where it is measured: it takes a C compiler and minutes.
    let has_kafka = kafka::is_wanted(&args.forwarded);
    let mut cargo = shell::cargo();
    cargo.args(["run", "--release", "--locked", "--package", "bookingq-bench"]);
    cargo.args(has_kafka.then_some("--features=kafka")).arg("--");
    shell::run(cargo.args(&args.forwarded))
}
