//! Pausing, opening and closing a queue.

use bookingq_api::BookingQueue;
use bookingq_api::spec::AdmissionSpec;
use bookingq_core::Admission;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use crate::cluster::{Cluster, PROGRAM};
use crate::error::PluginError;

/// Sets `spec.admission` and says what that means.
pub async fn set(
    cluster: &Cluster,
    name: &str,
    admission: AdmissionSpec,
) -> Result<String, PluginError> {
    cluster.queue(name).await?;
    let word = Admission::from(admission).as_str();
    let patch = Patch::Merge(json!({ "spec": { "admission": word } }));
    let parameters =
        PatchParams { field_manager: Some(PROGRAM.to_owned()), ..PatchParams::default() };
    let patched = cluster.api::<BookingQueue>().patch(name, &parameters, &patch).await;
    patched.map_err(PluginError::asked("the change of spec.admission"))?;
    let meaning = match Admission::from(admission) {
        Admission::Open => "clients may join, and the line is served",
        Admission::Paused => "clients may join, and none is served; tasks in progress continue",
        Admission::Closed => "no client may join, and the line is served",
    };
    Ok(format!("{name}: {word}; {meaning}\n"))
}
