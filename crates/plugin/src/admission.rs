//! Pausing, opening and closing a queue.

use bookingq_api::spec::AdmissionSpec;
use bookingq_core::Admission;

use crate::cluster::Cluster;
use crate::error::PluginError;

/// The field, and what errors call its change.
const FIELD: (&str, &str) = ("admission", "the change of spec.admission");

/// Sets `spec.admission` and says what that means.
pub async fn set(
    cluster: &Cluster,
    name: &str,
    admission: AdmissionSpec,
) -> Result<String, PluginError> {
    let word = Admission::from(admission).as_str();
    cluster.set_spec(name, FIELD, word.into()).await?;
    let meaning = match Admission::from(admission) {
        Admission::Open => "clients may join, and the line is served",
        Admission::Paused => "clients may join, and none is served; tasks in progress continue",
        Admission::Closed => "no client may join, and the line is served",
    };
    Ok(format!("{name}: {word}; {meaning}\n"))
}
