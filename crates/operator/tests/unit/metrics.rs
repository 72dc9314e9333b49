//! The conditions of queues, and the times of backups, as metrics.

use bookingq_operator::backups::key::WatchedBackup;
use bookingq_operator::metrics::Metrics;
use bookingq_operator::queue::WatchedQueue;
use kube::runtime::{reflector, watcher};
use serde_json::{Value, json};

fn queue(name: &str, spec: &Value) -> WatchedQueue {
    let condition = |type_: &str, status: &str| {
        json!({
            "type": type_, "status": status, "reason": "R", "message": "",
            "lastTransitionTime": "2026-11-01T00:00:00Z",
        })
    };
    let conditions = [condition("Ready", "True"), condition("SweeperHealthy", "Unknown")];
    let queue = json!({
        "apiVersion": "bookingqueue.dev/v1alpha1", "kind": "BookingQueue",
        "metadata": { "name": name, "namespace": "concerts" },
        "spec": spec, "status": { "conditions": conditions },
    });
    serde_json::from_value(queue).unwrap()
}

#[test]
fn conditions_are_exposed_until_their_queue_is_deleted() {
    let (store, mut writer) = reflector::store();
    let metrics = Metrics::new().unwrap();
    metrics.expose_conditions(store).unwrap();
    let text = || String::from_utf8(metrics.registry().render()).unwrap();
    let concert = queue("concert", &json!({ "booking": { "endpoint": "http://a:1" } }));
    writer.apply_watcher_event(&watcher::Event::Apply(concert.clone()));
    writer.apply_watcher_event(&watcher::Event::Apply(queue("odd", &json!({ "booking": 7 }))));
    let before = text();
    for (queue, type_, value) in
        [("concert", "Ready", 1), ("concert", "SweeperHealthy", -1), ("odd", "Ready", 0)]
    {
        let labels = format!("namespace=\"concerts\",queue=\"{queue}\",type=\"{type_}\"");
        let series = format!("bookingqueue_operator_queue_condition{{{labels}}} {value}\n");
        assert!(before.contains(&series), "{before}");
    }
    writer.apply_watcher_event(&watcher::Event::Delete(concert));
    assert!(!text().contains("concert\""));
}

fn backup(status: &Value) -> WatchedBackup {
    let backup = json!({
        "apiVersion": "bookingqueue.dev/v1alpha1", "kind": "BookingQueueBackup",
        "metadata": { "name": "hourly", "namespace": "concerts" },
        "spec": { "queue": "concert", "persistentVolumeClaim": { "claimName": "c" } },
        "status": status,
    });
    serde_json::from_value(backup).unwrap()
}

#[test]
fn the_last_success_and_failure_of_a_backup_are_exposed_until_it_is_deleted() {
    let (store, mut writer) = reflector::store();
    let metrics = Metrics::new().unwrap();
    metrics.expose_backups(store).unwrap();
    let text = || String::from_utf8(metrics.registry().render()).unwrap();
    let taken = json!({ "lastBackup": {
        "file": "a.rdb", "takenAt": "1970-01-01T00:01:40Z", "bytes": 7 } });
    writer.apply_watcher_event(&watcher::Event::Apply(backup(&taken)));
    let labels = "{backup=\"hourly\",namespace=\"concerts\",queue=\"concert\"}";
    let success = "bookingqueue_operator_backup_last_success_timestamp_seconds";
    let failure = "bookingqueue_operator_backup_last_failure_timestamp_seconds";
    assert!(text().contains(&format!("{success}{labels} 100\n")), "{}", text());
    assert!(!text().contains(failure), "it has never failed");
    let failed = backup(&json!({ "lastFailure": { "at": "1970-01-01T00:03:20Z", "message": "" } }));
    writer.apply_watcher_event(&watcher::Event::Apply(failed.clone()));
    assert!(text().contains(&format!("{failure}{labels} 200\n")), "{}", text());
    writer.apply_watcher_event(&watcher::Event::Delete(failed));
    assert!(!text().contains("hourly"), "{}", text());
}
