//! What the story adds to the sale: Jobs that are clients, and leave to look into Redis.

use serde_json::{Value, json};

use super::{NAMESPACE, QUEUE};

/// Label of the Pods that may look into Redis.
const LABEL: &str = "app.kubernetes.io/name";
/// Where the password of the managed Redis is mounted.
pub const PASSWORD_FILE: &str = "/etc/redis-password/password";

/// A Job that runs `bookingq` once, as strictly confined as everything else, and ends in time.
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

/// The operator lets nobody reach a managed Redis but its own; the checker needs to.
pub fn leave_to_look() -> Value {
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
