//! `cargo xtask …`: this project's own commands, one file each.
//!
//! ```text
//!   setup, test, trial ──> control_plane (finds or builds an API server)
//!     '─ manifests, alerts, faults, browser, foreign ─> prerequisites (installs what is missing)
//!   crd, manifests, bundle ──> generated (writes a file or compares it)
//!   e2e ──> within (runs programs with a time limit)
//!   all ──> shell (runs programs)   tree (the files of the repository)
//! ```

pub mod alerts;
mod bench;
mod browser;
pub mod bundle;
mod check_out;
pub mod check_report;
pub mod control_plane;
mod crd;
mod e2e;
pub mod faults;
mod foreign;
mod fuzz;
pub mod generated;
mod kafka;
pub mod manifests;
pub mod prerequisites;
mod reproduce;
pub mod reused_values;
mod setup;
mod shell;
pub mod test;
pub mod tidy;
pub mod tree;
mod trial;
mod upgrade;
pub mod within;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// This project's own commands.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Install what the tests and .ci/run need beside Rust
    Setup(setup::Args),
    /// Install what the tests need and run them all
    Test(test::Args),
    /// Check the rules of style that no compiler checks
    Tidy(tidy::Args),
    /// Write the CustomResourceDefinition into crds/ and the chart, or check that it is up to date
    Crd(generated::Args),
    /// Write manifests/install.yaml and the OLM bundle from the chart, or check that they are up to
    /// date
    Manifests(generated::Args),
    /// Test the alerts of the chart with promtool
    Alerts(alerts::Args),
    /// Build twice in two folders and compare the binaries
    Reproduce(reproduce::Args),
    /// Check that a report of `bookingq up --report FILE` adds up
    CheckReport(check_report::Args),
    /// Run a whole sale on the cluster that KUBECONFIG points at, and kill what can be killed
    E2e(e2e::Args),
    /// Try the operator's process against a real API server: at scale, at rest, with wrong specs,
    /// with a rival
    Trial(trial::Args),
    /// Break a running bookingq on purpose, in every way a seed can choose, and check every
    /// invariant
    Faults(faults::Args),
    /// Change a live sale from an earlier release to the present one and back
    Upgrade(upgrade::Args),
    /// Fuzz every endpoint that accepts untrusted input, with libFuzzer
    Fuzz(fuzz::Args),
    /// Test the waiting-room page in a browser
    Browser(browser::Args),
    /// Test a gateway with clients and proxies that others have written
    Foreign(foreign::Args),
    /// Measure
    Bench(bench::Args),
}

impl Cli {
    /// Runs the command.
    pub fn run(self) -> Result<()> {
        match self.command {
            Command::Setup(args) => setup::run(&args),
            Command::Test(args) => test::run(&args),
            Command::Tidy(args) => tidy::run(&args),
            Command::Crd(args) => crd::run(&args),
            Command::Manifests(args) => {
                manifests::run(&args).and_then(|chart| bundle::run(&args, &chart))
            }
            Command::Alerts(args) => alerts::run(&args),
            Command::Reproduce(args) => reproduce::run(&args),
            Command::CheckReport(args) => check_report::run(&args),
            Command::E2e(args) => e2e::run(&args),
            Command::Trial(args) => trial::run(&args),
            Command::Faults(args) => faults::run(&args),
            Command::Upgrade(args) => upgrade::run(&args),
            Command::Fuzz(args) => fuzz::run(&args),
            Command::Browser(args) => browser::run(&args),
            Command::Foreign(args) => foreign::run(&args),
            Command::Bench(args) => bench::run(&args),
        }
    }
}
