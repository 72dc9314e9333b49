//! The settings of a queue in its store.

use std::sync::Arc;

use bookingq_api::{BookingQueueSpec, Plan};
use bookingq_core::{Admission, QueueName};
use bookingq_operator::autoscaler::settings::{SettingChange, write};
use bookingq_store::{MemoryConfig, Store};
use serde_json::{Value, json};

fn plan(mut spec: Value) -> Plan {
    spec["booking"] = json!({ "endpoint": "http://booking-service:50051" });
    serde_json::from_value::<BookingQueueSpec>(spec).unwrap().resolve("concert").unwrap()
}

fn store() -> Arc<dyn Store> {
    bookingq_store::open(MemoryConfig::new(QueueName::new("concert").unwrap())).unwrap()
}

/// Writes the settings of this spec, and returns the events.
async fn written(store: &Arc<dyn Store>, spec: Value) -> Vec<SettingChange> {
    let (snapshot, mut changes) = (store.snapshot().await.unwrap(), Vec::new());
    write(store, &plan(spec), &snapshot, &mut changes).await.unwrap();
    changes
}

#[tokio::test]
async fn fresh_data_gets_its_rules_once_and_without_an_event() {
    let store = store();
    assert!(!store.snapshot().await.unwrap().rules_set);
    assert_eq!(written(&store, json!({})).await, []);
    assert!(store.snapshot().await.unwrap().rules_set);
}

#[tokio::test]
async fn a_change_is_written_once_and_is_an_event_of_its_own() {
    let store = store();
    let spec = |limit: u32| {
        json!({
            "sale": { "opensAt": "2026-12-01T20:00:00+01:00" },
            "outflow": { "perMinute": limit, "maxHolds": 5000 },
            "items": [{ "name": "day", "soldOut": "End" }, { "name": "camping", "soldOut": "Wait" }],
        })
    };
    let changes = written(&store, spec(600)).await;
    let notes: Vec<&str> = changes.iter().map(|change| change.note.as_str()).collect();
    let all = "the queue opens at 2026-12-01T19:00:00Z, at most 600 bookings per minute, 5000 \
               reservations; sold out items: Wait, End for \"day\"";
    assert_eq!(notes, [all]);
    assert_eq!(store.snapshot().await.unwrap().rules, plan(spec(600)).rules);
    assert_eq!(written(&store, spec(600)).await, []);
    assert_ne!(written(&store, spec(300)).await[0].action, changes[0].action);
    let none = written(&store, json!({})).await;
    let expected = "the queue serves at once, without a limit; sold out items: Wait";
    assert_eq!(none[0].note, expected);
}

#[tokio::test]
async fn a_pause_is_written_before_the_rules_and_an_opening_after_them() {
    let store = store();
    let limited = json!({ "admission": "Paused", "outflow": { "perMinute": 600 } });
    let reasons = |changes: Vec<SettingChange>| -> Vec<&str> {
        changes.iter().map(|change| change.reason).collect()
    };
    let paused = written(&store, limited).await;
    assert_eq!(reasons(paused), ["AdmissionChanged", "RulesChanged"]);
    assert_eq!(store.snapshot().await.unwrap().admission, Admission::Paused);
    assert_eq!(reasons(written(&store, json!({})).await), ["RulesChanged", "AdmissionChanged"]);
}
