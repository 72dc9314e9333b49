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
    /// The store and the worker on this computer, beside a bare gRPC server and plain Redis commands
    #[command(disable_help_flag = true)]
    Engine {
        /// Passed on; `--help` lists them
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "OPTION")]
        options: Vec<String>,
    },
}

/// Measures.
pub fn run(args: &Args) -> Result<()> {
    let What::Engine { options } = &args.what;
    let cargo = ["run", "--release", "--locked", "--package", "bookingq-bench", "--", "engine"];
    shell::run(shell::cargo().args(cargo).args(options))
}
