//! The programs of a fault run.

use anyhow::Result;

use crate::shell;

/// Builds what a run with these options needs.
pub(super) fn build(options: &[String]) -> Result<()> {
    let packages = ["--package", "bookingq", "--package", "bookingq-faults"];
    let mut build = shell::cargo();
    build.args(["build", "--release", "--locked"]).args(packages).args(features(options));
    shell::run(&mut build)
}

/// The features that a run with these options needs.
fn features(options: &[String]) -> &'static [&'static str] {
    let is_kafka = options.iter().any(|option| option == "--store=kafka")
        || options.windows(2).any(|pair| pair == ["--store", "kafka"]);
    if is_kafka { &["--features", "bookingq/kafka"] } else { &[] }
}
