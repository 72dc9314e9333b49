//! `cargo xtask setup`: installs what the tests and `.ci/run` need beside Rust.

use anyhow::Result;

use crate::control_plane::ControlPlanePrograms;
use crate::prerequisites::{self, CARGO_DENY, GO, HELM, REDIS};

/// What to install.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Leave out the control plane of the operator's tests: KUBEBUILDER_ASSETS will name one
    #[arg(long)]
    no_control_plane: bool,
}

/// Reports what is missing and installs it.
pub fn run(args: &Args) -> Result<()> {
    let programs = (!args.no_control_plane).then(ControlPlanePrograms::find).transpose()?;
    let notice = programs.as_ref().and_then(ControlPlanePrograms::notice);
    prerequisites::provide(&[&REDIS, &GO, &HELM, &CARGO_DENY], notice)?;
    if let Some(programs) = programs {
        programs.build()?;
    }
    println!("setup: redis-server, Go, Helm and cargo-deny are installed");
    Ok(())
}
