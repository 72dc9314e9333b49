//! The objects that the scenario adds to the sample: Jobs, and access to Redis.

use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};

use super::cluster::{NAMESPACE, QUEUE, apply, kubectl};
use crate::within::{Look, until};

/// Label of the Pods that may connect to Redis.
const LABEL: &str = "app.kubernetes.io/name";
/// Mounted password of the managed Redis.
pub const PASSWORD_FILE: &str = "/etc/redis-password/password";

/// A Job that runs `bookingq` once under the Pod Security Standard `restricted`.
pub fn job(name: &str, image: &str, arguments: &[String], seconds: u64) -> Value {
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
                    "securityContext": {
                        "runAsNonRoot": true, "runAsUser": 65532, "runAsGroup": 65532, "fsGroup": 65532,
                        "seccompProfile": { "type": "RuntimeDefault" },
                    },
                    "containers": [{
                        "name": "client",
                        "image": image,
                        "args": arguments,
                        "resources": { "requests": { "cpu": "100m", "memory": "128Mi" } },
                        "securityContext": {
                            "allowPrivilegeEscalation": false,
                            "capabilities": { "drop": ["ALL"] },
                            "readOnlyRootFilesystem": true,
                        },
                        "volumeMounts": [
                            { "name": "redis-password", "mountPath": "/etc/redis-password", "readOnly": true },
                        ],
                    }],
                    "volumes": [
                        { "name": "redis-password", "secret": { "secretName": format!("{QUEUE}-redis") } },
                    ],
                },
            },
        },
    })
}

/// Runs `bookingq` once in a Job and returns what it printed.
pub fn run_once(name: &str, image: &str, arguments: &[&str]) -> Result<String> {
    let arguments: Vec<String> = arguments.iter().copied().map(str::to_owned).collect();
    apply(&job(name, image, &arguments, 60).to_string())?;
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
pub fn checker_policy() -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": { "name": "checker-may-read-redis", "namespace": NAMESPACE },
        "spec": {
            "podSelector": {
                "matchLabels": {
                    "app.kubernetes.io/instance": QUEUE, "app.kubernetes.io/component": "redis",
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
