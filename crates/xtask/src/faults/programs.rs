//! The programs of a fault run.

use anyhow::Result;

use crate::{kafka, shell};

/// Builds what a run with these options needs; `with_kafka` in any case with the store on Kafka.
pub(super) fn build(options: &[String], with_kafka: bool) -> Result<()> {
    let packages = ["--package", "bookingq", "--package", "bookingq-faults"];
    let has_kafka = with_kafka || kafka::is_wanted(options);
    let mut build = shell::cargo();
    build.args(["build", "--release", "--locked"]).args(packages);
    build.args(has_kafka.then_some("--features=bookingq/kafka"));
    shell::run(&mut build)
}
