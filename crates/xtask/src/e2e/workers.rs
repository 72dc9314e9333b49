//! The worker Pods of the queue.

use std::time::Duration;

use anyhow::Result;
use serde_json::Value;

use super::cluster::{NAMESPACE, QUEUE, get, kubectl, list};
use crate::within::{Look, until};

/// Minimum of workers in the sample.
pub const MIN: u64 = 1;
/// Maximum of workers in the sample.
pub const MAX: u64 = 4;

/// Patches the queue.
pub fn patch(change: &Value) -> Result<()> {
    let change = format!("--patch={change}");
    let queue = format!("bookingqueue/{QUEUE}");
    kubectl(&["patch", "--namespace", NAMESPACE, &queue, "--type=merge", &change]).map(drop)
}

/// The worker Pods, including those that are being deleted.
pub fn worker_pods() -> Result<Vec<Value>> {
    let workers =
        format!("--selector=app.kubernetes.io/instance={QUEUE},app.kubernetes.io/component=worker");
    list(&["pods", "--namespace", NAMESPACE, &workers])
}

/// Waits until `count` workers are desired, exist and are ready.
pub fn wait_for_workers(count: u64, limit: Duration) -> Result<()> {
    until(format!("{count} workers"), limit, || {
        let workers = get("deployment/concert-worker")?;
        let number = |pointer: &str| workers.pointer(pointer).and_then(Value::as_u64).unwrap_or(0);
        let seen =
            (number("/spec/replicas"), number("/status/replicas"), number("/status/readyReplicas"));
        Ok(if seen == (count, count, count) {
            Look::Done(())
        } else {
            Look::NotYet(format!("{} desired, {} exist, {} ready", seen.0, seen.1, seen.2))
        })
    })
}

/// Deletes a Pod without a grace period.
pub fn kill(pod: &str, namespace: &str) -> Result<()> {
    let words = [
        "delete",
        "pod",
        pod,
        "--namespace",
        namespace,
        "--grace-period=0",
        "--force",
        "--wait=false",
    ];
    kubectl(&words).map(drop)
}

/// The name of an object.
pub fn name(object: &Value) -> String {
    object["metadata"]["name"].as_str().unwrap_or_default().to_owned()
}

/// Whether the Pod is being deleted.
pub fn is_terminating(pod: &Value) -> bool {
    !pod["metadata"]["deletionTimestamp"].is_null()
}

/// Whether the Pod is ready and not being deleted.
pub fn is_ready(pod: &Value) -> bool {
    let mut conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
    !is_terminating(pod) && conditions.any(|one| one["type"] == "Ready" && one["status"] == "True")
}

/// Image of the worker in a Pod or a Pod template.
pub fn worker_image(pod: &Value) -> String {
    pod["spec"]["containers"][0]["image"].as_str().unwrap_or_default().to_owned()
}
