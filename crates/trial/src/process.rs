//! The processes of a trial: operators, as their users run them.

use std::path::Path;

use anyhow::Result;
use bookingq_api::crd;
use bookingq_harness::control_plane::ControlPlane;
use bookingq_harness::{Process, ProcessSpec, Restart};

/// Starts a control plane that knows BookingQueues and their backups, as the chart installs them.
///
/// # Errors
/// When a program is missing or does not become ready; the error ends with its log.
pub async fn control_plane() -> Result<ControlPlane> {
    let plane = ControlPlane::start(&crd::definition()).await?;
    plane.install(&crd::backup_definition()).await?;
    Ok(plane)
}

/// Starts an operator that acts as this user.
///
/// # Errors
/// When it cannot be started.
pub fn operator(program: &Path, plane: &ControlPlane, user: &str) -> Result<Process> {
    operator_with(program, plane, user, Restart::Never)
}

/// The same, with what happens when it ends.
///
/// # Errors
/// When it cannot be started.
pub fn operator_with(
    program: &Path,
    plane: &ControlPlane,
    user: &str,
    restart: Restart,
) -> Result<Process> {
    let mut spec = ProcessSpec::new(user, program)
        .arguments(["operator", "--namespace=default", "--image=bookingq:trial"])
        .arguments(["--log-format=json".to_owned(), format!("--id={user}")]);
    spec.environment = vec![("KUBECONFIG", plane.kubeconfig(user)?.into_os_string())];
    spec.log = Some(plane.path(&format!("{user}.log")));
    spec.restart = restart;
    Ok(Process::start(spec)?)
}
