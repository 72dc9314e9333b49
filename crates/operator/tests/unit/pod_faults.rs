//! Why Pods do not start, since when, and which of them Kubernetes never replaces.

use std::time::Duration;

use bookingq_operator::build::names::Part;
use bookingq_operator::cached_object::ObjectStatus;
use bookingq_operator::conditions::{StatusInputs, conditions};
use bookingq_operator::pods::PodCache;
use bookingq_operator::pods::pod_fault::{DEADLINE, FaultReason, PodFault};
use bookingq_operator::pods::record::PodRecord;
use bookingq_operator::pods::stuck::{STARTS_WITHIN, StuckPod, stuck};
use bookingq_operator::pods::tracker::{FaultTracker, PartLook, worst};
use bookingq_operator::queue::QueueKey;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::core::DynamicObject;
use kube::runtime::watcher::Event;
use serde_json::{Value, json};

const CREATED: &str = "2026-12-01T20:00:00Z";

pub fn at(seconds: u64) -> Timestamp {
    CREATED.parse::<Timestamp>().unwrap() + Duration::from_secs(seconds)
}

pub fn key() -> QueueKey {
    QueueKey::new("concert").within("sale")
}

fn watched(part: Part, name: &str, created: Timestamp, status: &Value) -> DynamicObject {
    serde_json::from_value(json!({
        "metadata": {
            "name": name, "namespace": "sale", "uid": format!("uid-{name}"),
            "creationTimestamp": created, "resourceVersion": "7",
            "ownerReferences": [{
                "apiVersion": "apps/v1", "kind": "StatefulSet", "name": "concert-redis",
                "uid": "set", "controller": true,
            }],
            "labels": {
                "app.kubernetes.io/instance": "concert",
                "app.kubernetes.io/component": part.as_str(), "controller-revision-hash": "old",
            },
        },
        "status": status,
    }))
    .unwrap()
}

/// A Pod of a part as the watch brings it.
fn record(part: Part, name: &str, created: Timestamp, status: &Value) -> PodRecord {
    let pods = PodCache::default();
    drop(pods.on_event(&Event::Apply(watched(part, name, created, status))));
    pods.of_part("sale", "concert", part).remove(0)
}

fn container(fields: &Value) -> Value {
    let mut container =
        json!({ "name": "worker", "image": "i", "ready": false, "restartCount": 0 });
    bookingq_operator::merge::overlay(&mut container, fields);
    json!({ "phase": "Pending", "containerStatuses": [container] })
}

fn waiting(reason: &str, message: &str) -> Value {
    container(&json!({ "state": { "waiting": { "reason": reason, "message": message } } }))
}

fn crashed(reason: &str, code: i32, log: &str) -> Value {
    json!({ "terminated": { "reason": reason, "exitCode": code, "message": log } })
}

#[test]
fn each_status_has_its_reason_and_quotes_what_is_known() {
    let again = json!({ "waiting": { "reason": "CrashLoopBackOff", "message": "back-off 10s" } });
    let log = "starting\nno Redis at redis:6379\n\n";
    let unscheduled = json!({ "phase": "Pending", "conditions": [{
        "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
        "message": "0/3 nodes are available: 3 Insufficient cpu.",
    }]});
    let table = [
        (waiting("ErrImagePull", "not found"), "ImagePullBackOff", "container worker: not found"),
        (waiting("ImagePullBackOff", "Back-off"), "ImagePullBackOff", "Back-off"),
        (waiting("InvalidImageName", "a b"), "ImagePullBackOff", "a b"),
        (
            waiting("CreateContainerConfigError", "secret \"keys\" not found"),
            "CreateContainerConfigError",
            "secret \"keys\" not found",
        ),
        (waiting("RunContainerError", "no such file"), "CreateContainerError", "no such file"),
        (
            container(&json!({
                "restartCount": 2, "state": again, "lastState": crashed("Error", 1, log),
            })),
            "CrashLoopBackOff",
            "exit code 1; last line: no Redis at redis:6379",
        ),
        (
            container(&json!({
                "restartCount": 1, "state": again, "lastState": crashed("OOMKilled", 137, ""),
            })),
            "OOMKilled",
            "OOMKilled, exit code 137",
        ),
        (
            container(&json!({
                "restartCount": 3, "state": { "running": {} },
                "lastState": crashed("Error", 1, log),
            })),
            "CrashLoopBackOff",
            "exit code 1",
        ),
        (unscheduled, "Unschedulable", "3 Insufficient cpu."),
    ];
    for (status, reason, words) in table {
        let pod = record(Part::Worker, "concert-worker-a", at(0), &status);
        let fault = worst(Part::Worker, &[pod]).unwrap_or_else(|| panic!("{status}"));
        assert_eq!(fault.reason.as_str(), reason, "{status}");
        assert!(fault.detail.starts_with("Pod concert-worker-a"), "{}", fault.detail);
        assert!(fault.detail.contains(words), "{}", fault.detail);
        assert_eq!(fault.since, at(0));
    }
}

#[test]
fn a_pod_that_starts_serves_restarts_once_or_leaves_is_in_no_fault() {
    let ready = json!({ "ready": true, "restartCount": 4, "state": { "running": {} }, "lastState": crashed("Error", 1, "") });
    // It has crashed long ago, and is unready because its store is away.
    let mut unready = container(&json!({
        "restartCount": 4, "state": { "running": { "startedAt": "2026-12-01T20:00:00Z" } },
        "lastState": crashed("OOMKilled", 137, ""),
    }));
    unready["conditions"] = json!([{
        "type": "Ready", "status": "False", "lastTransitionTime": "2026-12-01T21:00:00Z",
    }]);
    let table = [
        unready,
        json!({ "phase": "Pending" }),
        waiting("ContainerCreating", ""),
        waiting("PodInitializing", ""),
        container(&ready),
        container(&json!({ "state": crashed("Error", 1, "once") })),
        container(&json!({ "state": crashed("Completed", 0, "") })),
    ];
    for status in table {
        let pod = record(Part::Worker, "concert-worker-a", at(0), &status);
        assert_eq!(worst(Part::Worker, &[pod]), None, "{status}");
    }
    let mut leaving = watched(Part::Worker, "a", at(0), &waiting("ErrImagePull", "not found"));
    leaving.metadata.deletion_timestamp = Some(Time(at(1)));
    let pods = PodCache::default();
    assert!(pods.on_event(&Event::Apply(leaving)).is_empty());
    assert_eq!(worst(Part::Worker, &pods.of_part("sale", "concert", Part::Worker)), None);
}

#[test]
fn of_several_pods_the_worst_reason_counts_and_the_cause_of_a_pull_is_kept() {
    let pods = PodCache::default();
    let event = |name: &str, status: Value| {
        pods.on_event(&Event::Apply(watched(Part::Worker, name, at(0), &status)))
    };
    let scheduled = json!({ "conditions": [{
        "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "full",
    }]});
    assert_eq!(event("a", scheduled), [key()]);
    assert_eq!(event("b", waiting("ErrImagePull", "no such host registry.invalid")), [key()]);
    assert_eq!(event("b", waiting("ImagePullBackOff", "Back-off")), [], "it is the same fault");
    let found = worst(Part::Worker, &pods.of_part("sale", "concert", Part::Worker)).unwrap();
    assert_eq!(found.reason, FaultReason::ImagePullBackOff);
    assert!(found.detail.contains("registry.invalid"), "{}", found.detail);
    assert_eq!(event("b", container(&json!({ "ready": true }))), [key()]);
    assert_eq!(event("c", container(&json!({ "ready": true }))), [], "a Pod that starts well");
}

#[test]
fn one_failed_sweeper_is_no_fault_and_two_in_a_row_are_until_one_runs() {
    let failed = |second| {
        let mut status = container(&json!({ "state": crashed("Error", 1, "no route to Redis") }));
        status["phase"] = json!("Failed");
        record(Part::Sweeper, &format!("concert-sweep-{second}"), at(second), &status)
    };
    let runs = |second| {
        let mut status = container(&json!({ "ready": true, "state": { "running": {} } }));
        status["phase"] = json!("Running");
        record(Part::Sweeper, &format!("concert-sweep-{second}"), at(second), &status)
    };
    assert_eq!(worst(Part::Sweeper, &[failed(60), runs(0)]), None);
    let twice = worst(Part::Sweeper, &[failed(0), failed(60)]).unwrap();
    assert_eq!(twice.reason, FaultReason::PodFailed);
    assert!(twice.detail.contains("last line: no route to Redis"), "{}", twice.detail);
    assert_eq!(worst(Part::Sweeper, &[failed(0), failed(60), runs(120)]), None);

    let tracker = FaultTracker::default();
    let look = |pods: Vec<PodRecord>, second| {
        let part = PartLook { part: Part::Sweeper, pods, refused: None };
        tracker.look(&key(), &[part], at(second))
    };
    let first = look(vec![failed(0), failed(60)], 70);
    assert_eq!(first.new.len(), 1, "an event");
    let between = look(Vec::new(), 100);
    assert!(between.faults.of(Part::Sweeper).is_some() && between.new.is_empty());
    assert!(look(vec![failed(120), failed(60)], 130).new.is_empty(), "the same reason");
    assert_eq!(look(vec![failed(120), runs(180)], 190).faults.of(Part::Sweeper), None);
}

fn fault(reason: FaultReason, pod: &str, since: u64) -> PodFault {
    PodFault { reason, detail: "Pod a: why".to_owned(), since: at(since), pod: pod.to_owned() }
}

fn of_worker(pods: Vec<PodRecord>) -> [PartLook; 1] {
    [PartLook { part: Part::Worker, pods, refused: None }]
}

#[test]
fn a_pod_that_crashes_again_and_again_is_in_fault_also_while_it_is_ready() {
    let log = "out of luck";
    let crash = container(&json!({
        "restartCount": 5, "state": { "waiting": { "reason": "CrashLoopBackOff" } },
        "lastState": crashed("Error", 1, log),
    }));
    let ready = container(&json!({ "ready": true, "state": { "running": {} } }));
    let pod = |status: &Value| vec![record(Part::Worker, "a", at(0), status)];
    let tracker = FaultTracker::default();
    let looks = |pods, second| {
        tracker.look(&key(), &of_worker(pods), at(second)).faults.of(Part::Worker).cloned()
    };
    assert!(looks(pod(&crash), 10).is_some());
    assert!(looks(pod(&ready), 40).is_some(), "it is ready for a moment");
    assert_eq!(looks(pod(&crash), 60).unwrap().since, at(0));
    assert_eq!(looks(pod(&ready), 200), None, "it has been well for two minutes");
    assert!(looks(pod(&crash), 300).is_some());
    assert_eq!(looks(Vec::new(), 310), None, "it is gone");
}

#[test]
fn a_queue_is_degraded_when_its_pods_have_been_in_fault_for_five_minutes() {
    let workers = ObjectStatus::of(
        &serde_json::from_value(json!({
            "metadata": { "generation": 2 }, "spec": { "replicas": 2 },
            "status": { "observedGeneration": 2, "availableReplicas": 1, "replicas": 2 },
        }))
        .unwrap(),
    );
    let tracker = FaultTracker::default();
    let refused = Some(fault(FaultReason::ImagePullBackOff, "", 0));
    let parts = [PartLook { part: Part::Worker, pods: Vec::new(), refused }];
    for (second, degraded, progressing) in [
        (DEADLINE.as_secs() - 1, ("False", "Reconciled"), ("True", "RolloutInProgress")),
        (DEADLINE.as_secs(), ("True", "ImagePullBackOff"), ("False", "ImagePullBackOff")),
    ] {
        let look = tracker.look(&key(), &parts, at(second));
        let inputs = StatusInputs {
            workers: workers.as_ref(),
            faults: Some(&look.faults),
            ..StatusInputs::default()
        };
        let all = conditions(&inputs, &[], &Time(at(second)));
        let of = |type_: &str| {
            let found = all.iter().find(|one| one.type_ == type_).unwrap();
            (found.status.clone(), found.reason.clone())
        };
        let pair = |(status, reason): (&str, &str)| (status.to_owned(), reason.to_owned());
        assert_eq!(of("Degraded"), pair(degraded));
        assert_eq!(of("Progressing"), pair(progressing));
        assert_eq!(of("WorkersAvailable"), pair(("True", "ImagePullBackOff")), "one serves");
        assert_eq!(look.again.is_some(), degraded.0 == "False", "it looks again in time");
    }
}

fn set(revision: &str, observed: i64) -> ObjectStatus {
    let set = json!({
        "metadata": { "generation": 2 }, "spec": { "replicas": 1 },
        "status": { "observedGeneration": observed, "updateRevision": revision, "replicas": 1 },
    });
    ObjectStatus::of(&serde_json::from_value(set).unwrap()).unwrap()
}

#[test]
fn only_a_pod_of_an_older_template_that_does_not_start_is_stuck() {
    let pod = |status: &Value| [record(Part::Redis, "concert-redis-0", at(0), status)];
    let of = |set: &ObjectStatus, pods: &[PodRecord], second| match stuck(
        set,
        "set",
        pods,
        at(second),
    ) {
        Some(StuckPod::Replace(pod)) => format!("replace {}", pod.name),
        Some(StuckPod::LookAgain(left)) => format!("in {}", left.as_secs()),
        None => "leave".to_owned(),
    };
    let bad = pod(&waiting("ImagePullBackOff", "Back-off"));
    assert_eq!(of(&set("new", 2), &bad, 5), "replace concert-redis-0");
    assert_eq!(of(&set("old", 2), &bad, 5), "leave", "it has the present template");
    assert_eq!(of(&set("new", 1), &bad, 5), "leave", "the template is not observed yet");
    let foreign = stuck(&set("new", 2), "other", &bad, at(5));
    assert_eq!(foreign, None, "a Pod of another StatefulSet");
    let leaving = [PodRecord { leaving: true, ..bad[0].clone() }];
    assert_eq!(of(&set("new", 2), &leaving, 5), "leave");

    let running = json!({ "running": { "startedAt": at(20) } });
    let mut status = container(&json!({ "state": running }));
    status["conditions"] =
        json!([{ "type": "Ready", "status": "False", "lastTransitionTime": at(1) }]);
    let limit = STARTS_WITHIN.as_secs();
    assert_eq!(of(&set("new", 2), &pod(&status), limit - 60), "in 60", "it may read its data");
    assert_eq!(of(&set("new", 2), &pod(&status), limit), "replace concert-redis-0");
    status["conditions"][0]["lastTransitionTime"] = json!(at(300));
    assert_eq!(of(&set("new", 2), &pod(&status), limit), "leave", "it was ready once");
    status["conditions"][0]["status"] = json!("True");
    assert_eq!(of(&set("new", 2), &pod(&status), limit), "leave", "it is ready");
}
