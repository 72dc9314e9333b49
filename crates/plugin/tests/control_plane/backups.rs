//! `kubectl bookingqueue backup`. There is no operator: a test writes the status of the backup.

use std::time::Duration;

use bookingq_api::{BookingQueue, BookingQueueBackup};
use bookingq_harness::control_plane::ControlPlane;
use bookingq_harness::wait::eventually;
use bookingq_plugin::PluginError;
use bookingq_plugin::backup::{BackupArgs, take};
use bookingq_plugin::cluster::Cluster;
use kube::ResourceExt as _;
use kube::api::{ListParams, Patch, PatchParams};
use serde_json::{Value, json};

use crate::create;

fn args(name: &str, claim: Option<&str>, timeout: &str) -> BackupArgs {
    let (name, claim) = (name.to_owned(), claim.map(str::to_owned));
    BackupArgs { name, claim, keep: Some(3), timeout: timeout.parse().unwrap() }
}

/// Runs the command, and gives the new backup this status.
async fn answered(
    cluster: &Cluster,
    args: &BackupArgs,
    status: &Value,
) -> (Result<String, PluginError>, Vec<String>) {
    let mut lines = Vec::new();
    let backups = cluster.api::<BookingQueueBackup>();
    let operator = async {
        let mut new = None;
        eventually("a new backup", Duration::from_secs(60), async || {
            let all = backups.list(&ListParams::default()).await.unwrap();
            new = all.into_iter().find(|backup| backup.status.is_none());
            new.is_some()
        })
        .await;
        let (name, patch) = (new.unwrap().name_any(), json!({ "status": status }));
        let parameters = PatchParams::default();
        backups.patch_status(&name, &parameters, &Patch::Merge(patch)).await.unwrap();
    };
    let said = take(cluster, args, |line| lines.push(line.to_owned()));
    let (said, ()) = tokio::join!(said, operator);
    (said, lines)
}

fn condition(type_: &str, status: &str, message: &str) -> Value {
    json!({
        "type": type_, "status": status, "reason": "BackupFailed", "message": message,
        "lastTransitionTime": "2026-12-01T10:00:00Z",
    })
}

/// The status of a backup that is complete.
fn taken() -> Value {
    json!({
        "conditions": [condition("Ready", "True", ""), condition("Complete", "True", "")],
        "lastBackup": { "file": "concert-1.rdb", "takenAt": "2026-12-01T10:00:00Z", "bytes": 7 },
    })
}

async fn control_plane() -> ControlPlane {
    let control_plane = ControlPlane::start(&bookingq_api::crd::definition()).await.unwrap();
    control_plane.install(&bookingq_api::crd::backup_definition()).await.unwrap();
    control_plane
}

/// Two queues: `concert`, and `own` with a Redis that is not managed.
async fn cluster(control_plane: &ControlPlane) -> Cluster {
    let client = control_plane.client().unwrap();
    let cluster = Cluster { client, namespace: "default".to_owned() };
    for (name, redis) in [("concert", Value::Null), ("own", json!({ "url": "redis://mine:6379" }))]
    {
        let spec = json!({ "booking": { "endpoint": "http://booking:1" }, "redis": redis });
        let queue = json!({
            "apiVersion": "bookingqueue.dev/v1alpha1", "kind": "BookingQueue",
            "metadata": { "name": name }, "spec": spec,
        });
        create::<BookingQueue>(&cluster, queue).await;
    }
    cluster
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_is_taken_into_the_volume_of_the_last_one_and_a_failure_is_an_error() {
    let control_plane = control_plane().await;
    let cluster = cluster(&control_plane).await;
    let refused = take(&cluster, &args("own", Some("c"), "1s"), |_| {}).await.unwrap_err();
    assert!(matches!(refused, PluginError::NotManaged { .. }), "{refused}");
    let unknown = take(&cluster, &args("concert", None, "1s"), |_| {}).await.unwrap_err();
    assert!(unknown.to_string().contains("--claim"), "{unknown}");

    let first = args("concert", Some("concert-backups"), "1m");
    let (said, lines) = answered(&cluster, &first, &taken()).await;
    let said = said.unwrap();
    assert!(said.starts_with("concert-1.rdb, 7 bytes, in the volume of concert-backups\n"));
    assert!(said.contains("restoreFrom:\n") && said.contains("file: concert-1.rdb\n"), "{said}");
    assert!(lines[0].starts_with("concert-") && lines[0].ends_with(" is created"), "{lines:?}");

    let message = "no space left on device";
    let failed = json!({
        "conditions": [condition("Ready", "False", message), condition("Failed", "True", message)],
    });
    let (said, _) = answered(&cluster, &args("concert", None, "1m"), &failed).await;
    let said = said.unwrap_err().to_string();
    assert!(said.ends_with("has failed: no space left on device"), "{said}");
    let all = cluster.api::<BookingQueueBackup>().list(&ListParams::default()).await.unwrap();
    assert_eq!(all.items.len(), 2);
    for backup in all {
        let claim = backup.spec.persistent_volume_claim.unwrap().claim_name;
        assert_eq!((claim.as_str(), backup.spec.keep), ("concert-backups", Some(3)));
    }

    let late = take(&cluster, &args("concert", None, "1s"), |_| {}).await.unwrap_err().to_string();
    assert!(late.contains("no operator has seen it yet; it goes on"), "{late}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_is_taken_into_the_bucket_of_a_schedule() {
    let control_plane = control_plane().await;
    let cluster = cluster(&control_plane).await;
    let bucket = json!({ "url": "s3://sale/backups", "secretName": "s3" });
    let scheduled = json!({
        "apiVersion": "bookingqueue.dev/v1alpha1", "kind": "BookingQueueBackup",
        "metadata": { "name": "hourly" },
        "spec": { "queue": "concert", "schedule": "17 * * * *", "s3": bucket },
    });
    create::<BookingQueueBackup>(&cluster, scheduled).await;
    let backups = cluster.api::<BookingQueueBackup>();
    let idle = Patch::Merge(json!({ "status": { "conditions": [] } }));
    backups.patch_status("hourly", &PatchParams::default(), &idle).await.unwrap();
    let (said, _) = answered(&cluster, &args("concert", None, "1m"), &taken()).await;
    let said = said.unwrap();
    assert!(said.starts_with("concert-1.rdb, 7 bytes, in s3://sale/backups\n"), "{said}");
    let source = "s3: {\"url\":\"s3://sale/backups\",\"secretName\":\"s3\"}\n";
    assert!(said.contains(source), "{said}");
}
