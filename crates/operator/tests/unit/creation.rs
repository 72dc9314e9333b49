//! Why Pods are not created, and since when they are missing.

use std::time::{Duration, Instant};

use bookingq_operator::build::names::Part;
use bookingq_operator::pods::creation::{CreationFailures, MissingOf};
use jiff::Timestamp;
use k8s_openapi::api::events::v1::Event as EventObject;
use kube::runtime::watcher::Event;
use serde_json::json;

use crate::pod_faults::{at, key};

/// An event about an object of the namespace `sale`, whose UID is that of the queue's Redis.
fn failed(event: &str, (kind, name): (&str, &str), second: u64, note: &str) -> Event<EventObject> {
    let event = json!({
        "metadata": { "name": event, "namespace": "sale" }, "reason": "FailedCreate",
        "regarding": { "namespace": "sale", "kind": kind, "name": name, "uid": "set" },
        "note": note, "eventTime": null, "deprecatedFirstTimestamp": at(1),
        "deprecatedLastTimestamp": at(second),
    });
    Event::Apply(serde_json::from_value(event).unwrap())
}

fn listed(event: Event<EventObject>) -> Event<EventObject> {
    match event {
        Event::Apply(event) => Event::InitApply(event),
        other => other,
    }
}

fn deleted(event: Event<EventObject>) -> Event<EventObject> {
    match event {
        Event::Apply(event) => Event::Delete(event),
        other => other,
    }
}

const REDIS: (&str, &str) = ("StatefulSet", "concert-redis");

fn of_redis(failures: &CreationFailures, newest_pod: Option<u64>) -> Option<(String, Timestamp)> {
    let set = MissingOf::StatefulSet("set".to_owned());
    let refusal = failures.refusal_of(&key(), Part::Redis, &set, newest_pod.map(at))?;
    Some((refusal.message, refusal.since))
}

#[test]
fn the_last_failure_to_create_a_pod_counts_until_one_is_created() {
    let failures = CreationFailures::default();
    assert_eq!(of_redis(&failures, None), None);
    failures.on_event(&failed("new", REDIS, 30, "exceeded quota"));
    failures.on_event(&failed("old", REDIS, 20, "no volume"));
    failures.on_event(&failed("kind", ("ReplicaSet", "concert-redis"), 40, "another kind"));
    failures.on_event(&failed("name", ("StatefulSet", "concert-db"), 40, "another application"));
    let quota = |since| Some(("exceeded quota".to_owned(), at(since)));
    assert_eq!(of_redis(&failures, None), quota(1));
    assert_eq!(of_redis(&failures, Some(29)), quota(29), "not before an earlier Pod");
    assert_eq!(of_redis(&failures, Some(31)), None, "a Pod was created since");
    let recreated = MissingOf::StatefulSet("another".to_owned());
    assert_eq!(failures.refusal_of(&key(), Part::Redis, &recreated, None), None);

    failures.note_complete(&key(), Part::Redis, at(25));
    assert_eq!(of_redis(&failures, None), quota(25), "not before a Pod that is gone");
    failures.note_complete(&key(), Part::Redis, at(35));
    assert_eq!(of_redis(&failures, None), None, "a Pod was there since");

    let job = |minute| MissingOf::Job(format!("concert-sweep-{minute}"));
    failures.on_event(&failed("job", ("Job", "concert-sweep-29"), 50, "exceeded quota"));
    assert!(failures.refusal_of(&key(), Part::Sweeper, &job(29), None).is_some());
    assert_eq!(failures.refusal_of(&key(), Part::Sweeper, &job(30), None), None, "of another run");
}

#[test]
fn a_failure_ends_with_its_event_or_with_a_list_without_it() {
    let failures = CreationFailures::default();
    let event = |name| failed(name, REDIS, 30, "exceeded quota");
    failures.on_event(&event("one"));
    failures.on_event(&deleted(event("another")));
    assert!(of_redis(&failures, None).is_some());
    failures.on_event(&deleted(event("one")));
    assert_eq!(of_redis(&failures, None), None);

    for (list, remains) in [(vec![listed(event("one"))], true), (vec![], false)] {
        failures.on_event(&Event::Init);
        for event in &list {
            failures.on_event(event);
        }
        assert!(
            of_redis(&failures, None).is_some(),
            "nothing is dropped before the list is complete"
        );
        failures.on_event(&Event::InitDone);
        assert_eq!(of_redis(&failures, None).is_some(), remains);
    }
}

#[test]
fn a_pod_is_missing_since_it_was_missed_first() {
    let (failures, key, start) = (CreationFailures::default(), key(), Instant::now());
    let after = |seconds| start + Duration::from_secs(seconds);
    assert_eq!(failures.note_missing(&key, Part::Redis, start), Duration::ZERO);
    assert_eq!(failures.note_missing(&key, Part::Redis, after(7)), Duration::from_secs(7));
    assert_eq!(failures.note_missing(&key, Part::Sweeper, after(7)), Duration::ZERO);
    failures.note_complete(&key, Part::Redis, at(8));
    assert_eq!(failures.note_missing(&key, Part::Redis, after(9)), Duration::ZERO);
    failures.forget(&key);
    assert_eq!(failures.note_missing(&key, Part::Sweeper, after(9)), Duration::ZERO);
}
