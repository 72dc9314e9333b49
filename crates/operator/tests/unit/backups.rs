//! The status of a backup, from its Jobs and their Pods.

use std::time::Duration;

use bookingq_api::backup::BackupPlan;
use bookingq_api::{BookingQueueBackupSpec, BookingQueueBackupStatus};
use bookingq_operator::backups::obstacle::Obstacle;
use bookingq_operator::backups::records::{BackupJob, BackupPod};
use bookingq_operator::backups::status::{self, BackupFacts, BackupLook};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::core::DynamicObject;
use serde_json::{Value, json};

fn plan(schedule: Option<&str>) -> BackupPlan {
    let mut spec = json!({ "queue": "concert", "persistentVolumeClaim": { "claimName": "c" } });
    if let Some(schedule) = schedule {
        spec["schedule"] = json!(schedule);
    }
    serde_json::from_value::<BookingQueueBackupSpec>(spec).unwrap().resolve().unwrap()
}

fn object(name: &str, owner: &str, status: &Value) -> DynamicObject {
    serde_json::from_value(json!({
        "metadata": {
            "name": name, "uid": format!("uid of {name}"),
            "ownerReferences": [
                { "apiVersion": "v1", "kind": "K", "name": "n", "uid": owner, "controller": true },
            ],
        },
        "status": status,
    }))
    .unwrap()
}

fn job(name: &str, condition: Option<(&str, &str)>) -> BackupJob {
    let conditions = condition.map(|(type_, at)| {
        json!([{
            "type": type_, "status": "True", "lastTransitionTime": at,
            "message": "Job has reached the specified backoff limit",
        }])
    });
    BackupJob::of(&object(name, "the backup", &json!({ "conditions": conditions })))
}

fn pod(job: &str, exit: i32, message: &str) -> BackupPod {
    let ended =
        json!({ "exitCode": exit, "message": message, "finishedAt": "2026-12-01T10:00:05Z" });
    let status = json!({ "containerStatuses": [{ "state": { "terminated": ended } }] });
    BackupPod::of(&object("pod", &format!("uid of {job}"), &status))
}

const REPORT: &str = r#"{"file":"concert-20261201T100000Z.rdb","format":1,"queue":"concert",
    "takenAt":"2026-12-01T10:00:00.123Z","bytes":2048,"sha256":"ab"}"#;

fn at(now: &str) -> Time {
    Time(now.parse().unwrap())
}

/// The status at 10:01.
fn look(
    plan: &BackupPlan,
    obstacle: Option<&Obstacle>,
    (jobs, pods): (&[BackupJob], &[BackupPod]),
    before: &BookingQueueBackupStatus,
) -> BackupLook {
    let now = at("2026-12-01T10:01:00Z");
    let (generation, plan) = (Some(3), Some(plan));
    status::look(&BackupFacts { generation, plan, obstacle, jobs, pods, before, now })
}

/// Status and reason of Ready.
fn ready(status: &BookingQueueBackupStatus) -> (&str, &str) {
    let ready = status.condition("Ready").unwrap();
    (&ready.status, &ready.reason)
}

#[test]
fn one_backup_starts_runs_and_is_complete_with_the_report_of_its_pod() {
    let (plan, none) = (plan(None), BookingQueueBackupStatus::default());
    let starting = look(&plan, None, (&[], &[]), &none).status;
    assert_eq!(ready(&starting), ("False", "Starting"));
    let running = look(&plan, None, (&[job("j", None)], &[]), &starting).status;
    assert_eq!(ready(&running), ("False", "Running"));
    assert!(!status::is_over(&running));

    let jobs = [job("j", Some(("Complete", "2026-12-01T10:00:06Z")))];
    let done = look(&plan, None, (&jobs, &[pod("j", 0, REPORT)]), &running);
    assert_eq!(ready(&done.status), ("True", "BackupTaken"));
    assert!(done.status.has("Complete") && status::is_over(&done.status));
    assert_eq!((done.status.observed_generation, done.again), (Some(3), None));
    let last = done.status.last_backup.clone().unwrap();
    assert_eq!((last.file.as_str(), last.bytes), ("concert-20261201T100000Z.rdb", 2048));
    assert_eq!(last.taken_at, at("2026-12-01T10:00:00Z"), "in whole seconds, as it is read again");
    let events = status::events(&running, &done.status);
    assert_eq!(events.iter().map(|event| event.reason).collect::<Vec<_>>(), ["BackupTaken"]);
    assert!(status::events(&done.status, &done.status).is_empty());
}

#[test]
fn a_job_that_ended_waits_for_the_report_and_is_complete_without_one_in_the_end() {
    let (plan, none) = (plan(None), BookingQueueBackupStatus::default());
    let just_now = [job("j", Some(("Complete", "2026-12-01T10:00:57Z")))];
    let waits = look(&plan, None, (&just_now, &[]), &none);
    assert_eq!(ready(&waits.status), ("False", "Running"));
    assert_eq!(waits.again, Some(Duration::from_secs(7)));
    let before = [job("j", Some(("Complete", "2026-12-01T10:00:50Z")))];
    let other = [pod("another", 0, REPORT), pod("j", 0, "no report")];
    let done = look(&plan, None, (&before, &other), &none).status;
    assert_eq!(ready(&done), ("True", "NoReport"));
    assert!(done.has("Complete") && done.last_backup.is_none());
}

#[test]
fn one_backup_fails_with_the_last_words_of_its_pod() {
    let (plan, none) = (plan(None), BookingQueueBackupStatus::default());
    let pods = [pod("j", 1, "Redis at concert-redis:6379 does not answer\n")];
    let retrying = look(&plan, None, (&[job("j", None)], &pods), &none).status;
    assert_eq!(ready(&retrying), ("False", "Retrying"));
    let said = &retrying.condition("Ready").unwrap().message;
    assert_eq!(said, "Redis at concert-redis:6379 does not answer; the Job j tries again");
    let jobs = [job("j", Some(("Failed", "2026-12-01T10:00:30Z")))];
    let failed = look(&plan, None, (&jobs, &pods), &none).status;
    assert_eq!(ready(&failed), ("False", "BackupFailed"));
    assert!(failed.has("Failed") && !failed.has("Complete"));
    let failure = failed.last_failure.clone().unwrap();
    assert_eq!(failure.message, "Redis at concert-redis:6379 does not answer");
    assert_eq!(status::events(&none, &failed)[0].reason, "BackupFailed");
    // Without the Pod, the words of the Job; and those of the Pod stay when it goes.
    let bare = look(&plan, None, (&jobs, &[]), &none).status.last_failure.unwrap();
    assert_eq!(bare.message, "the Job j: Job has reached the specified backoff limit");
    assert_eq!(look(&plan, None, (&jobs, &[]), &failed).status, failed);
}

#[test]
fn a_schedule_is_ready_unless_its_last_backup_failed() {
    let (plan, none) = (plan(Some("17 * * * *")), BookingQueueBackupStatus::default());
    let new = look(&plan, None, (&[], &[]), &none).status;
    assert_eq!(ready(&new), ("True", "Scheduled"));
    let jobs =
        [job("a", Some(("Complete", "2026-12-01T10:00:06Z"))), job("b", None), job("c", None)];
    let taken = look(&plan, None, (&jobs, &[pod("a", 0, REPORT)]), &new).status;
    assert_eq!(ready(&taken), ("True", "Scheduled"));
    assert!(!status::is_over(&taken), "a schedule never ends");
    let jobs = [jobs[0].clone(), job("b", Some(("Failed", "2026-12-01T11:20:00Z")))];
    let failed = look(&plan, None, (&jobs, &[pod("b", 1, "no space left")]), &taken).status;
    assert_eq!(ready(&failed), ("False", "BackupFailed"));
    assert_eq!(failed.last_backup, taken.last_backup, "its Pod is gone, the backup is not");
    // An older failure that the history has lost stays, and does not count after the next backup.
    let newer = REPORT.replace("10:00:00.123Z", "12:17:00Z");
    let jobs = [job("d", Some(("Complete", "2026-12-01T12:17:09Z")))];
    let again = look(&plan, None, (&jobs, &[pod("d", 0, &newer)]), &failed).status;
    assert_eq!(ready(&again), ("True", "Scheduled"));
    assert_eq!(again.last_failure, failed.last_failure);
}

#[test]
fn what_is_in_the_way_is_the_reason_until_a_backup_runs_or_has_ended() {
    let none = BookingQueueBackupStatus::default();
    let gone = Obstacle::QueueNotFound("concert".to_owned());
    for plan in [plan(None), plan(Some("17 * * * *"))] {
        let status = look(&plan, Some(&gone), (&[], &[]), &none).status;
        assert_eq!(ready(&status), ("False", "QueueNotFound"));
        assert!(status.condition("Ready").unwrap().message.contains("no BookingQueue concert"));
    }
    let paused = Obstacle::QueuePaused("concert".to_owned());
    let running = look(&plan(None), Some(&paused), (&[job("j", None)], &[]), &none).status;
    assert_eq!(ready(&running), ("False", "Running"));
    let last = json!({ "file": "a.rdb", "takenAt": "2026-12-01T09:00:00Z", "bytes": 1 });
    let before: BookingQueueBackupStatus =
        serde_json::from_value(json!({ "lastBackup": last })).unwrap();
    let status = look(&plan(Some("17 * * * *")), Some(&gone), (&[], &[]), &before).status;
    assert_eq!(status.last_backup, before.last_backup, "what was taken stays");
}

#[test]
fn a_pod_that_does_not_start_is_the_reason_while_its_job_runs() {
    let none = BookingQueueBackupStatus::default();
    let message = "secret \"s3\" not found";
    let waiting =
        json!({ "waiting": { "reason": "CreateContainerConfigError", "message": message } });
    let containers = json!([{ "name": "backup", "state": waiting, "ready": false }]);
    let status = json!({ "phase": "Pending", "containerStatuses": containers });
    let stuck = [BackupPod::of(&object("pod", "uid of j", &status))];
    let scheduled = json!([{
        "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
        "message": "persistentvolumeclaim \"c\" not found",
    }]);
    let status = json!({ "phase": "Pending", "conditions": scheduled });
    let unscheduled = [BackupPod::of(&object("pod", "uid of j", &status))];
    for plan in [plan(None), plan(Some("17 * * * *"))] {
        let status = look(&plan, None, (&[job("j", None)], &stuck), &none).status;
        assert_eq!(ready(&status), ("False", "CreateContainerConfigError"));
        let said = &status.condition("Ready").unwrap().message;
        assert_eq!(said, "Pod pod, container backup: secret \"s3\" not found");
        let status = look(&plan, None, (&[job("j", None)], &unscheduled), &none).status;
        assert_eq!(ready(&status), ("False", "Unschedulable"));
        // Of another Job, and of one that has ended.
        let other = look(&plan, None, (&[job("k", None)], &stuck), &none).status;
        assert_ne!(ready(&other).1, "CreateContainerConfigError");
        let jobs = [job("j", Some(("Failed", "2026-12-01T10:00:30Z")))];
        let failed = look(&plan, None, (&jobs, &stuck), &none).status;
        assert_eq!(ready(&failed), ("False", "BackupFailed"));
    }
}
