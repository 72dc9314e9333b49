//! `cargo xtask trial`: builds the operator and `crates/trial` with optimisation and runs it.

use anyhow::Result;

use crate::{control_plane, shell, tree};

/// What to try.
#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true)]
pub struct Args {
    /// The verb and its options; `--help` lists them
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARG")]
    forwarded: Vec<String>,
}

/// Tries.
pub fn run(args: &Args) -> Result<()> {
    let folder = control_plane::folder()?;
    let packages = ["--package", "bookingq", "--package", "bookingq-trial"];
    shell::run(shell::cargo().args(["build", "--release", "--locked"]).args(packages))?;
    let mut trial = std::process::Command::new(tree::released("bookingq-trial"));
    trial.env(control_plane::ASSETS, folder).env("BOOKINGQ", tree::released("bookingq"));
    shell::run(trial.args(&args.forwarded))
}
