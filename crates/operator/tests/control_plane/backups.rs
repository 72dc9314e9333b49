//! Backups: a Job for one, a CronJob for a schedule, and what their status says. The tests do what
//! the Job controller and the kubelet would do.

use std::sync::Arc;

use bookingq_api::BookingQueueBackup;
use bookingq_api::backup::status::{BookingQueueBackupStatus, LastBackup};
use bookingq_harness::control_plane::ControlPlane;
use bookingq_harness::wait::eventually;
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use crate::budget::Budget;
use crate::cluster::LIMIT;
use crate::testbed::Testbed;

const FILE: &str = "concert-20261201T100000Z.rdb";

fn manifest(name: &str, fields: &Value) -> BookingQueueBackup {
    let mut spec = json!({ "queue": "concert", "persistentVolumeClaim": { "claimName": "c" } });
    bookingq_operator::merge::overlay(&mut spec, fields);
    serde_json::from_value(json!({
        "apiVersion": "bookingqueue.dev/v1alpha1", "kind": "BookingQueueBackup",
        "metadata": { "name": name }, "spec": spec,
    }))
    .unwrap()
}

/// A backup of the queue `concert` with these fields.
async fn create(testbed: &Testbed, name: &str, fields: &Value) -> kube::Result<BookingQueueBackup> {
    testbed.api().create(&PostParams::default(), &manifest(name, fields)).await
}

async fn change(testbed: &Testbed, name: &str, fields: Value) -> kube::Result<BookingQueueBackup> {
    let patch = Patch::Merge(json!({ "spec": fields }));
    testbed.api().patch(name, &PatchParams::default(), &patch).await
}

async fn status(testbed: &Testbed, name: &str) -> BookingQueueBackupStatus {
    let found: Option<BookingQueueBackup> = testbed.find(name).await;
    found.and_then(|backup| backup.status).unwrap_or_default()
}

/// Waits until Ready has this status and reason; answers with its message.
async fn until_ready(testbed: &Testbed, name: &str, (wanted, reason): (&str, &str)) -> String {
    let mut message = String::new();
    eventually(&format!("{name}: Ready={wanted} ({reason})"), LIMIT, async || {
        let status = status(testbed, name).await;
        status.condition("Ready").is_some_and(|ready| {
            message.clone_from(&ready.message);
            ready.status == wanted && ready.reason == reason
        })
    })
    .await;
    message
}

async fn until_there<K>(testbed: &Testbed, name: &str) -> K
where
    K: kube::Resource<Scope = kube::core::NamespaceResourceScope, DynamicType = ()>
        + Clone
        + serde::de::DeserializeOwned
        + std::fmt::Debug,
{
    let mut found = None;
    eventually(name, LIMIT, async || {
        found = testbed.find::<K>(name).await;
        found.is_some()
    })
    .await;
    found.unwrap()
}

/// A Pod of the Job that ended with this exit code and message, and the end of the Job.
async fn end(testbed: &Testbed, job: &Job, exit: i32, message: &str) {
    let template = job.spec.as_ref().unwrap().template.metadata.clone().unwrap();
    let owner = json!({
        "apiVersion": "batch/v1", "kind": "Job", "name": job.name_any(), "uid": job.uid(),
        "controller": true,
    });
    let pod: Pod = serde_json::from_value(json!({
        "metadata": {
            "name": format!("{}-pod", job.name_any()), "labels": template.labels,
            "ownerReferences": [owner],
        },
        "spec": { "containers": [{ "name": "backup", "image": "x" }], "restartPolicy": "Never" },
    }))
    .unwrap();
    let pods = testbed.api::<Pod>();
    let pod = pods.create(&PostParams::default(), &pod).await.unwrap();
    let ended = json!({
        "exitCode": exit, "reason": if exit == 0 { "Completed" } else { "Error" },
        "message": message, "finishedAt": "2026-12-01T10:00:05Z",
    });
    let status = json!({ "status": {
        "phase": if exit == 0 { "Succeeded" } else { "Failed" },
        "containerStatuses": [{
            "name": "backup", "image": "x", "imageID": "", "ready": false, "restartCount": 0,
            "state": { "terminated": ended },
        }],
    } });
    let parameters = PatchParams::default();
    pods.patch_status(&pod.name_any(), &parameters, &Patch::Merge(status)).await.unwrap();
    let condition = |type_: &str| {
        json!({
            "type": type_, "status": "True", "lastTransitionTime": "2026-12-01T10:00:06Z",
            "lastProbeTime": "2026-12-01T10:00:06Z", "reason": "R", "message": "of the Job",
        })
    };
    let mut status = json!({ "startTime": "2026-12-01T10:00:00Z", "ready": 0, "terminating": 0 });
    if exit == 0 {
        status["succeeded"] = json!(1);
        status["completionTime"] = json!("2026-12-01T10:00:06Z");
        status["conditions"] = json!([condition("SuccessCriteriaMet"), condition("Complete")]);
    } else {
        status["failed"] = json!(1);
        status["conditions"] = json!([condition("FailureTarget"), condition("Failed")]);
    }
    let patch = Patch::Merge(json!({ "status": status }));
    testbed.api::<Job>().patch_status(&job.name_any(), &parameters, &patch).await.unwrap();
}

/// What `bookingq backup create --report` writes.
fn report() -> String {
    json!({
        "file": FILE, "format": 1, "queue": "concert", "takenAt": "2026-12-01T10:00:00Z",
        "release": "0.1.0", "server": "redis 7.4.1", "schema": 1, "epoch": "e", "bytes": 2048,
        "sha256": "ab",
    })
    .to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_backup_is_taken_once_and_its_status_has_the_file() {
    let testbed = Testbed::new("backup").await;
    let operator = testbed.operator(Budget::unlimited());
    testbed.create(json!({})).await;
    create(&testbed, "now", &json!({ "keep": 3 })).await.unwrap();
    let job = until_there::<Job>(&testbed, "now-backup").await;
    until_ready(&testbed, "now", ("False", "Running")).await;
    end(&testbed, &job, 0, &report()).await;
    until_ready(&testbed, "now", ("True", "BackupTaken")).await;
    let status = status(&testbed, "now").await;
    assert!(status.has("Complete") && !status.has("Failed"), "{status:?}");
    let Some(LastBackup { file, bytes, .. }) = status.last_backup else { panic!("no backup") };
    assert_eq!((file.as_str(), bytes), (FILE, 2048));
    testbed.until_event("BackupTaken", FILE).await;

    // What a person deletes is not taken again, by this operator or the next one.
    testbed.api::<Job>().delete("now-backup", &DeleteParams::background()).await.unwrap();
    operator.rests().await;
    operator.stop().await;
    let operator = testbed.operator(Budget::unlimited());
    operator.rests().await;
    assert_eq!(operator.budget.done(), 0, "a backup that has ended costs no write");
    assert!(testbed.find::<Job>("now-backup").await.is_none());
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_backup_that_fails_says_why_and_its_job_goes_with_it() {
    let testbed = Testbed::new("backup-fails").await;
    let operator = testbed.operator(Budget::unlimited());
    testbed.create(json!({})).await;
    create(&testbed, "now", &json!({})).await.unwrap();
    let job = until_there::<Job>(&testbed, "now-backup").await;
    end(&testbed, &job, 1, "no space left on device").await;
    let message = until_ready(&testbed, "now", ("False", "BackupFailed")).await;
    assert_eq!(message, "no space left on device");
    assert!(status(&testbed, "now").await.has("Failed"));
    testbed.until_event("BackupFailed", "no space left").await;
    testbed.api::<BookingQueueBackup>().delete("now", &DeleteParams::default()).await.unwrap();
    eventually("the Job to go", LIMIT, async || testbed.find::<Job>("now-backup").await.is_none())
        .await;
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_is_a_cron_job_that_follows_the_spec_and_rests() {
    let testbed = Testbed::new("backup-schedule").await;
    let operator = testbed.operator(Budget::unlimited());
    testbed.create(json!({})).await;
    create(&testbed, "yearly", &json!({ "schedule": "0 0 1 1 *" })).await.unwrap();
    until_ready(&testbed, "yearly", ("True", "Scheduled")).await;
    let cron_job = until_there::<CronJob>(&testbed, "yearly-backup").await;
    assert_eq!(cron_job.spec.unwrap().schedule, "0 0 1 1 *");
    operator.rests().await;
    let writes = operator.budget.done();
    operator.rests().await;
    assert_eq!(operator.budget.done(), writes, "an idle operator writes nothing");

    let zone = json!({ "schedule": "0 1 1 1 *", "timeZone": "Europe/Berlin", "suspend": true });
    change(&testbed, "yearly", zone).await.unwrap();
    until_ready(&testbed, "yearly", ("True", "Suspended")).await;
    eventually("the CronJob to follow", LIMIT, async || {
        let spec = testbed.find::<CronJob>("yearly-backup").await.unwrap().spec.unwrap();
        spec.schedule == "0 1 1 1 *"
            && spec.time_zone.as_deref() == Some("Europe/Berlin")
            && spec.suspend == Some(true)
    })
    .await;
    // Another writer, and a deletion.
    let edit = Patch::Merge(json!({ "spec": { "suspend": false } }));
    let cron_jobs = testbed.api::<CronJob>();
    cron_jobs.patch("yearly-backup", &PatchParams::default(), &edit).await.unwrap();
    eventually("the repair", LIMIT, async || {
        cron_jobs.get("yearly-backup").await.unwrap().spec.unwrap().suspend == Some(true)
    })
    .await;
    cron_jobs.delete("yearly-backup", &DeleteParams::background()).await.unwrap();
    until_there::<CronJob>(&testbed, "yearly-backup").await;
    // The objects of the queue are its own.
    testbed.change(json!({ "worker": { "grace": "31s" } })).await.unwrap();
    testbed.until_argument("--grace=31s").await;
    operator.rests().await;
    assert!(testbed.find::<CronJob>("yearly-backup").await.is_some(), "no queue prunes it");
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_of_a_schedule_is_reported_as_it_ends() {
    let testbed = Testbed::new("backup-hourly").await;
    let operator = testbed.operator(Budget::unlimited());
    testbed.create(json!({})).await;
    create(&testbed, "hourly", &json!({ "schedule": "0 0 1 1 *" })).await.unwrap();
    let cron_job = until_there::<CronJob>(&testbed, "hourly-backup").await;
    // As `kubectl create job --from=cronjob/hourly-backup` makes it.
    let template = cron_job.spec.clone().unwrap().job_template;
    let owner = json!({
        "apiVersion": "batch/v1", "kind": "CronJob", "name": "hourly-backup",
        "uid": cron_job.uid(), "controller": true,
    });
    let labels = template.metadata.unwrap().labels;
    let job: Job = serde_json::from_value(json!({
        "metadata": { "name": "by-hand", "labels": labels, "ownerReferences": [owner] },
        "spec": template.spec,
    }))
    .unwrap();
    let job = testbed.api::<Job>().create(&PostParams::default(), &job).await.unwrap();
    end(&testbed, &job, 0, &report()).await;
    testbed.until_event("BackupTaken", FILE).await;
    until_ready(&testbed, "hourly", ("True", "Scheduled")).await;
    let status = status(&testbed, "hourly").await;
    assert_eq!(status.last_backup.map(|backup| backup.file).as_deref(), Some(FILE));
    assert!(!status.conditions.iter().any(|one| one.type_ == "Complete"), "a schedule goes on");
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_waits_for_its_queue_and_writes_nothing_while_it_is_paused() {
    let testbed = Testbed::new("backup-waits").await;
    let operator = testbed.operator(Budget::unlimited());
    create(&testbed, "early", &json!({})).await.unwrap();
    create(&testbed, "yearly", &json!({ "schedule": "0 0 1 1 *" })).await.unwrap();
    let message = until_ready(&testbed, "early", ("False", "QueueNotFound")).await;
    assert!(message.contains("no BookingQueue concert"), "{message}");
    testbed.create(json!({})).await;
    until_there::<Job>(&testbed, "early-backup").await;
    until_there::<CronJob>(&testbed, "yearly-backup").await;

    testbed.annotate("bookingqueue.dev/paused", Some("true")).await;
    create(&testbed, "paused", &json!({})).await.unwrap();
    until_ready(&testbed, "paused", ("False", "QueuePaused")).await;
    change(&testbed, "yearly", json!({ "suspend": true })).await.unwrap();
    until_ready(&testbed, "yearly", ("False", "QueuePaused")).await;
    operator.rests().await;
    assert!(testbed.find::<Job>("paused-backup").await.is_none());
    let spec = testbed.find::<CronJob>("yearly-backup").await.unwrap().spec.unwrap();
    assert_eq!(spec.suspend, Some(false));
    testbed.annotate("bookingqueue.dev/paused", None).await;
    until_there::<Job>(&testbed, "paused-backup").await;
    until_ready(&testbed, "yearly", ("True", "Suspended")).await;

    // Without its queue a schedule would only make Pods that fail.
    let queues = testbed.api::<bookingq_api::BookingQueue>();
    queues.delete("concert", &DeleteParams::default()).await.unwrap();
    until_ready(&testbed, "yearly", ("False", "QueueNotFound")).await;
    eventually("the CronJob to go", LIMIT, async || {
        testbed.find::<CronJob>("yearly-backup").await.is_none()
    })
    .await;
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_is_not_managed_and_a_foreign_job_are_named() {
    let testbed = Testbed::new("backup-own").await;
    let operator = testbed.operator(Budget::unlimited());
    let own = json!({ "redis": { "url": "redis://mine:6379" }, "replicas": 1 });
    testbed.create_named("own", own).await;
    create(&testbed, "own", &json!({ "queue": "own" })).await.unwrap();
    let message = until_ready(&testbed, "own", ("False", "RedisNotManaged")).await;
    assert!(message.contains("bookingq backup create"), "{message}");

    testbed.create(json!({})).await;
    let foreign: Job = serde_json::from_value(json!({
        "metadata": { "name": "now-backup" },
        "spec": { "template": { "spec": {
            "containers": [{ "name": "c", "image": "x" }], "restartPolicy": "Never" } } },
    }))
    .unwrap();
    testbed.api::<Job>().create(&PostParams::default(), &foreign).await.unwrap();
    create(&testbed, "now", &json!({})).await.unwrap();
    let message = until_ready(&testbed, "now", ("False", "NameConflict")).await;
    assert!(message.contains("Job now-backup exists"), "{message}");
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_server_refuses_what_a_backup_cannot_be() {
    let testbed = Testbed::new("backup-rules").await;
    let refused = |answer: kube::Result<BookingQueueBackup>, words: &str| {
        let error = answer.unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    };
    let null = json!({ "persistentVolumeClaim": null });
    let bucket = json!({ "url": "s3://sale", "secretName": "s3" });
    let mut login = bucket.clone();
    login["endpoint"] = json!("https://me:password@minio:9000");
    for (name, fields, words) in [
        ("a", &null, "give exactly one destination"),
        ("a", &json!({ "s3": bucket }), "give exactly one destination"),
        ("a", &json!({ "persistentVolumeClaim": null, "s3": login }), "s3.endpoint"),
        ("a", &json!({ "timeZone": "UTC" }), "need a schedule"),
        ("a", &json!({ "suspend": false }), "need a schedule"),
        ("a", &json!({ "keep": 0 }), "keep"),
        ("A", &json!({}), "lower"),
        (&*"a".repeat(57), &json!({}), "at most"),
        (&*"a".repeat(46), &json!({ "schedule": "0 0 1 1 *" }), "at most"),
    ] {
        refused(create(&testbed, name, fields).await, words);
    }
    create(&testbed, "once", &json!({})).await.unwrap();
    let in_bucket = json!({ "persistentVolumeClaim": null, "s3": bucket });
    create(&testbed, "bucket", &in_bucket).await.unwrap();
    create(&testbed, "often", &json!({ "schedule": "0 0 1 1 *" })).await.unwrap();
    refused(change(&testbed, "once", json!({ "keep": 3 })).await, "is immutable");
    let schedule = json!({ "schedule": "0 0 1 1 *" });
    refused(change(&testbed, "once", schedule).await, "neither added nor removed");
    refused(change(&testbed, "often", json!({ "schedule": null })).await, "neither added");
    refused(change(&testbed, "often", json!({ "queue": "other" })).await, "queue is immutable");
    change(&testbed, "often", json!({ "keep": 3, "timeZone": "UTC" })).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn queues_are_served_without_the_definition_of_backups_and_it_is_found_later() {
    let plane = ControlPlane::start(&bookingq_api::crd::definition()).await.unwrap();
    let testbed = Testbed::of(Arc::new(plane), "backup-later").await;
    let operator = testbed.operator(Budget::unlimited());
    testbed.create(json!({})).await;
    testbed.until_condition("Degraded", "False", "Reconciled").await;
    // An operator that never found it ends as any other.
    operator.stop().await;
    let operator = testbed.operator(Budget::unlimited());
    operator.rests().await;
    testbed.cluster.install(&bookingq_api::crd::backup_definition()).await.unwrap();
    create(&testbed, "now", &json!({})).await.unwrap();
    let job = until_there::<Job>(&testbed, "now-backup").await;
    assert_eq!(job.owner_references()[0].kind, "BookingQueueBackup");
    let jobs = testbed.api::<Job>().list(&ListParams::default()).await.unwrap();
    assert_eq!(jobs.items.len(), 1);
    operator.stop().await;
}
