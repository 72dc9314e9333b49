//! The queue's worker Pods, and the patches that change their number.

use std::time::Duration;

use anyhow::Result;
use serde_json::Value;

use super::cluster::{get, kubectl, list};
use super::{NAMESPACE, QUEUE};
use crate::within::{Look, until};

/// The sample's limits of autoscaling.
pub const FEWEST: u64 = 1;
/// The other one.
pub const MOST: u64 = 4;

/// Changes the queue's spec.
pub fn patch(change: &Value) -> Result<()> {
    let change = format!("--patch={change}");
    let queue = format!("bookingqueue/{QUEUE}");
    kubectl(&["patch", "--namespace", NAMESPACE, &queue, "--type=merge", &change]).map(drop)
}

/// The workers' Pods, those that are leaving among them.
pub fn worker_pods() -> Result<Vec<Value>> {
    let workers =
        format!("--selector=app.kubernetes.io/instance={QUEUE},app.kubernetes.io/component=worker");
    list(&["pods", "--namespace", NAMESPACE, &workers])
}

/// Waits until so many are asked for, there and ready.
pub fn wait_for_workers(count: u64, limit: Duration) -> Result<()> {
    until(format!("{count} workers"), limit, || {
        let workers = get(&["--namespace", NAMESPACE, "deployment/concert-worker"])?;
        let number = |pointer: &str| workers.pointer(pointer).and_then(Value::as_u64).unwrap_or(0);
        let seen =
            (number("/spec/replicas"), number("/status/replicas"), number("/status/readyReplicas"));
        Ok(if seen == (count, count, count) {
            Look::Done(())
        } else {
            Look::NotYet(format!("{} wanted, {} there, {} ready", seen.0, seen.1, seen.2))
        })
    })
}

/// With as little grace as Kubernetes allows: a second or two, and then SIGKILL.
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
pub fn is_leaving(pod: &Value) -> bool {
    !pod["metadata"]["deletionTimestamp"].is_null()
}

/// Whether the Pod is Ready and stays.
pub fn is_ready(pod: &Value) -> bool {
    let mut conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
    !is_leaving(pod) && conditions.any(|one| one["type"] == "Ready" && one["status"] == "True")
}

/// The image of a Pod's, or a Pod template's, worker.
pub fn worker_image(pod: &Value) -> String {
    pod["spec"]["containers"][0]["image"].as_str().unwrap_or_default().to_owned()
}
