//! The objects that the scenario adds to the sample: Jobs, and access to Redis.

use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};

use super::cluster::{NAMESPACE, apply, kubectl};
use crate::within::{Look, until};

/// Label of the Pods that may connect to Redis.
const LABEL: &str = "app.kubernetes.io/name";
/// Label of what the scenario adds.
const SCENARIO: &str = "bookingqueue.dev/e2e";
/// Mounted password of the managed Redis.
pub const PASSWORD_FILE: &str = "/etc/redis-password/password";

/// A Secret in the folder of a container.
pub struct SecretMount {
    /// Name of the Secret.
    pub secret: String,
    /// The folder.
    pub folder: &'static str,
}

/// Applies a BookingQueue whose Booking Service is the simulated one; `spec` has everything else.
pub fn apply_queue(name: &str, mut spec: Value) -> Result<()> {
    spec["booking"] = json!({ "endpoint": "http://booking-service:6001", "timeout": "2s" });
    let queue = json!({
        "apiVersion": "bookingqueue.dev/v1alpha1",
        "kind": "BookingQueue",
        "metadata": { "name": name, "namespace": NAMESPACE },
        "spec": spec,
    });
    apply(&queue.to_string())
}

/// The password of the managed Redis of a queue.
pub fn password_of(queue: &str) -> SecretMount {
    SecretMount { secret: format!("{queue}-redis"), folder: "/etc/redis-password" }
}

/// A Job that runs `bookingq` once under the Pod Security Standard `restricted`.
pub fn job(
    name: &str,
    image: &str,
    arguments: &[String],
    seconds: u64,
    secrets: &[SecretMount],
) -> Value {
    let mounts = secrets
        .iter()
        .map(|mount| json!({ "name": mount.secret, "mountPath": mount.folder, "readOnly": true }));
    let volumes = secrets
        .iter()
        .map(|mount| json!({ "name": mount.secret, "secret": { "secretName": mount.secret } }));
    json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": { "name": name, "namespace": NAMESPACE },
        "spec": {
            "backoffLimit": 0,
            "activeDeadlineSeconds": seconds,
            "template": {
                "metadata": { "labels": { LABEL: "crowd" } },
                "spec": {
                    "restartPolicy": "Never",
                    "automountServiceAccountToken": false,
                    "securityContext": pod_security(),
                    "containers": [{
                        "name": "client",
                        "image": image,
                        "args": arguments,
                        "resources": { "requests": { "cpu": "100m", "memory": "128Mi" } },
                        "securityContext": container_security(),
                        "volumeMounts": mounts.collect::<Vec<_>>(),
                    }],
                    "volumes": volumes.collect::<Vec<_>>(),
                },
            },
        },
    })
}

/// The security context of a Pod under the Pod Security Standard `restricted`.
pub fn pod_security() -> Value {
    json!({
        "runAsNonRoot": true, "runAsUser": 65532, "runAsGroup": 65532, "fsGroup": 65532,
        "seccompProfile": { "type": "RuntimeDefault" },
    })
}

/// That of each of its containers.
pub fn container_security() -> Value {
    json!({
        "allowPrivilegeEscalation": false,
        "capabilities": { "drop": ["ALL"] },
        "readOnlyRootFilesystem": true,
    })
}

/// The labels of what the scenario adds, and deletes with its namespace.
pub fn of_scenario() -> Value {
    json!({ SCENARIO: "true" })
}

/// Whether the object has them.
pub fn is_of_scenario(object: &Value) -> bool {
    object["metadata"]["labels"][SCENARIO] == "true"
}

/// Runs `bookingq` once in a Job and returns what it printed.
pub fn run_once(name: &str, image: &str, arguments: &[&str]) -> Result<String> {
    let arguments: Vec<String> = arguments.iter().copied().map(str::to_owned).collect();
    apply(&job(name, image, &arguments, 60, &[]).to_string())?;
    until(format!("the output of the Job {name}"), Duration::from_secs(60), || {
        let log = kubectl(&["logs", "--namespace", NAMESPACE, &format!("job/{name}")])?;
        Ok(if log.trim().is_empty() {
            Look::NotYet("an empty log".to_owned())
        } else {
            Look::Done(log)
        })
    })
}

/// Lets the checker read the managed Redis, which otherwise accepts only the queue's own Pods.
pub fn checker_policy(queue: &str) -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {
            "name": format!("checker-may-read-redis-of-{queue}"), "namespace": NAMESPACE,
            "labels": of_scenario(),
        },
        "spec": {
            "podSelector": {
                "matchLabels": {
                    "app.kubernetes.io/instance": queue, "app.kubernetes.io/component": "redis",
                },
            },
            "policyTypes": ["Ingress"],
            "ingress": [{
                "from": [{ "podSelector": { "matchLabels": { LABEL: "crowd" } } }],
                "ports": [{ "port": 6379, "protocol": "TCP" }],
            }],
        },
    })
}
