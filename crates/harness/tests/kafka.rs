//! A broker as `bookingq up` has it, and where its release is pinned.
#![allow(clippy::unwrap_used)]

use bookingq_harness::kafka::{KAFKA_JARS, KAFKA_VERSION};
use bookingq_harness::{HarnessError, KafkaCluster, KafkaOptions};

#[test]
fn the_harness_and_the_setup_mean_the_same_release_variable_and_folder() {
    let pom = include_str!("../../../tests/kafka/pom.xml");
    let after = pom.split("<artifactId>kafka_2.13</artifactId>").nth(1).unwrap();
    assert!(after.trim_start().starts_with(&format!("<version>{KAFKA_VERSION}</version>")));
    let setup = include_str!("../../xtask/src/kafka.rs");
    assert!(setup.contains(&format!("= \"{KAFKA_JARS}\"")), "the variable");
    assert!(setup.contains("join(\"bookingq/kafka\").join(&version)"), "the folder");
}

#[test]
fn a_folder_without_jars_is_named_with_the_command_that_makes_one() {
    let folder = tempfile::tempdir().unwrap();
    let jars = Some(folder.path().to_owned());
    let options = KafkaOptions { jars, ..KafkaOptions::default() };
    let error = KafkaCluster::start_with(1, &options).unwrap_err();
    assert!(matches!(error, HarnessError::Start { .. }), "{error:?}");
    let line = error.to_string();
    assert!(line.contains(&folder.path().display().to_string()), "{line}");
    assert!(line.contains("`cargo xtask setup --kafka` downloads them"), "{line}");
}
