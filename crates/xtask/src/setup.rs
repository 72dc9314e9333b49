//! `cargo xtask setup`: installs what the tests and `.ci/run` need beside Rust.

use anyhow::Result;

use crate::control_plane::ControlPlanePrograms;
use crate::kafka::KafkaJars;
use crate::prerequisites::{
    self, CARGO_DENY, FAKETIME, GO, HELM, JAVA, MAVEN, OPENSSL, REDIS, VERSITYGW,
};

/// What to install.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Leave out the control plane of the operator's tests: KUBEBUILDER_ASSETS will name one
    #[arg(long)]
    no_control_plane: bool,
    /// Also what fault runs with clocks that jump need: libfaketime
    #[arg(long)]
    faults: bool,
    /// Also what the tests of the store on Kafka need: Java, Maven, the headers of OpenSSL, and
    /// Kafka's jars in the user's cache
    #[arg(long)]
    kafka: bool,
}

/// Reports what is missing and installs it.
pub fn run(args: &Args) -> Result<()> {
    let programs = (!args.no_control_plane).then(ControlPlanePrograms::find).transpose()?;
    let jars = args.kafka.then(KafkaJars::find).transpose()?;
    let notices = [
        programs.as_ref().and_then(ControlPlanePrograms::notice),
        jars.as_ref().and_then(KafkaJars::notice),
    ];
    let mut tools = vec![&REDIS, &GO, &HELM, &CARGO_DENY, &VERSITYGW];
    tools.extend(args.faults.then_some(&FAKETIME));
    tools.extend(args.kafka.then_some([&JAVA, &MAVEN, &OPENSSL]).into_iter().flatten());
    prerequisites::provide(&tools, notices.into_iter().flatten())?;
    if let Some(jars) = jars {
        jars.provide()?;
        println!("setup: Java, Maven and the jars of Kafka are installed");
    }
    if let Some(programs) = programs {
        programs.build()?;
    }
    println!("setup: redis-server, Go, Helm, cargo-deny and versitygw are installed");
    Ok(())
}
