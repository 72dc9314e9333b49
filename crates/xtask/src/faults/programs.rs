//! The programs of a fault run.

use anyhow::Result;

use crate::{kafka, shell};

/// Builds what a run with these options needs.
pub(super) fn build(options: &[String]) -> Result<()> {
    let packages = ["--package", "bookingq", "--package", "bookingq-faults"];
    let mut build = shell::cargo();
    build.args(["build", "--release", "--locked"]).args(packages).args(features(options));
    shell::run(&mut build)
}

/// The features that a run with these options needs.
fn features(options: &[String]) -> &'static [&'static str] {
    if kafka::is_wanted(options) { &["--features", "bookingq/kafka"] } else { &[] }
}
