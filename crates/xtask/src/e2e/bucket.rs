//! A server of S3 in the cluster, with one bucket.

use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};

use super::cluster::{NAMESPACE, apply, kubectl_waiting};
use super::objects::{container_security, of_scenario, pod_security};

/// The server; `cargo xtask setup` installs the same release.
pub const IMAGE: &str = "docker.io/versity/versitygw:v1.8.0";
/// The names of the server's Pod, its Service and its Secret.
const NAME: &str = "s3";
const BUCKET: &str = "sale";

/// Starts it. Returns the bucket as the field `s3` of a spec.
pub fn start(limit: Duration) -> Result<Value> {
    let metadata = json!({ "name": NAME, "namespace": NAMESPACE, "labels": of_scenario() });
    let labels = json!({ "app.kubernetes.io/name": NAME });
    let keys = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": metadata,
        "stringData": { "AWS_ACCESS_KEY_ID": "drill", "AWS_SECRET_ACCESS_KEY": "a key of a drill" },
    });
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": metadata,
        "spec": { "selector": labels, "ports": [{ "name": "s3", "port": 7070 }] },
    });
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata,
        "spec": {
            "selector": { "matchLabels": labels },
            "template": { "metadata": { "labels": labels }, "spec": pod() },
        },
    });
    for object in [keys, service, deployment] {
        apply(&object.to_string())?;
    }
    let deployment = format!("deployment/{NAME}");
    kubectl_waiting(&["rollout", "status", "--namespace", NAMESPACE, &deployment], limit)?;
    Ok(json!({
        "url": format!("s3://{BUCKET}/drills"), "secretName": NAME,
        "endpoint": format!("http://{NAME}.{NAMESPACE}.svc:7070"),
    }))
}

fn pod() -> Value {
    let key = |name: &str, key: &str| json!({ "name": name, "valueFrom": { "secretKeyRef": { "name": NAME, "key": key } } });
    let arguments =
        ["--quiet", "--port", ":7070", "posix", "--sidecar", "/data/attributes", "/data/objects"];
    let whole = json!({ "name": "data", "mountPath": "/data" });
    // A bucket is a folder, which Kubernetes makes.
    let folder = |path: &str| {
        let at = format!("/data/{path}");
        json!({ "name": "data", "mountPath": at, "subPath": path })
    };
    json!({
        "automountServiceAccountToken": false,
        "securityContext": pod_security(),
        "containers": [{
            "name": "s3",
            "image": IMAGE,
            "args": arguments,
            "env": [
                key("ROOT_ACCESS_KEY", "AWS_ACCESS_KEY_ID"),
                key("ROOT_SECRET_KEY", "AWS_SECRET_ACCESS_KEY"),
            ],
            "ports": [{ "name": "s3", "containerPort": 7070 }],
            "readinessProbe": { "tcpSocket": { "port": 7070 }, "periodSeconds": 1 },
            "resources": { "requests": { "cpu": "50m", "memory": "64Mi" } },
            "securityContext": container_security(),
            "volumeMounts": [whole, folder("attributes"), folder(&format!("objects/{BUCKET}"))],
        }],
        "volumes": [{ "name": "data", "emptyDir": {} }],
    })
}
