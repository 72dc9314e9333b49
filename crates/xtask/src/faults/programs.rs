//! The programs of a fault run.

use std::process::Command;

use anyhow::Result;

use crate::{kafka, shell};

/// Builds what a run with these options needs; `with_kafka` in any case with the store on Kafka.
pub(super) fn build(options: &[String], with_kafka: bool) -> Result<()> {
    shell::run(&mut command(options, with_kafka))
}

/// Cargo's command for it. Both packages always: with other features of others' crates, Cargo would
/// build these once more.
pub fn command(options: &[String], with_kafka: bool) -> Command {
    let packages = ["--package", "bookingq", "--package", "bookingq-faults"];
    let has_kafka = with_kafka || kafka::is_wanted(options);
    let mut build = shell::cargo();
    build.args(["build", "--release", "--locked"]).args(packages);
    build.args(has_kafka.then_some("--features=bookingq/kafka"));
    build
}
