//! The cache of watched objects.

use bookingq_operator::build::component::ObjectKind;
use bookingq_operator::build::names;
use bookingq_operator::cached_object::CachedObject;
use bookingq_operator::object_cache::{CacheWriter, ObjectCache};
use k8s_openapi::api::batch::v1::CronJob;
use kube::core::DynamicObject;
use kube::runtime::watcher::Event;
use serde_json::json;

fn job(name: &str, version: &str, schedule: &str, started: Option<&str>) -> DynamicObject {
    serde_json::from_value(json!({
        "metadata": {
            "namespace": "default", "name": name, "uid": "u1", "resourceVersion": version,
            "ownerReferences": [{
                "apiVersion": "v1", "kind": "BookingQueue", "name": "concert", "uid": "q1",
            }],
            "managedFields": [{ "manager": "kubelet", "time": "2026-11-24T00:00:00Z" }],
            "annotations": { names::APPLIED: "d1" },
        },
        "spec": { "schedule": schedule, "jobTemplate": {} },
        "status": { "lastScheduleTime": started, "active": [{ "name": "concert-sweep-1" }] },
    }))
    .unwrap()
}

fn cache() -> (ObjectCache, CacheWriter) {
    let (cache, mut writers) = ObjectCache::new(&[ObjectKind::of::<CronJob>()]);
    (cache, writers.remove(0))
}

#[tokio::test]
async fn waiting_for_the_cache_ends_with_the_first_list_or_with_the_watches() {
    let (synced, mut writer) = cache();
    writer.on_event(Event::Init);
    writer.on_event(Event::InitDone);
    assert!(synced.synced().await);
    drop(writer);
    assert!(synced.synced().await, "it was listed");
    let (unsynced, writer) = cache();
    drop(writer);
    assert!(!unsynced.synced().await);
}

#[test]
fn an_event_wakes_the_queue_only_if_it_changes_the_object_or_its_status() {
    let (cache, mut writer) = cache();
    let mut wakes = |version: &str, schedule: &str, started| {
        let event = Event::Apply(job("concert-sweep", version, schedule, started));
        writer.on_event(event).is_some_and(|queue| queue.name == "concert")
    };
    assert!(wakes("1", "* * * * *", None));
    assert!(!wakes("2", "* * * * *", None));
    assert!(wakes("3", "*/2 * * * *", None));
    assert!(wakes("4", "*/2 * * * *", Some("2026-11-24T00:00:00Z")));
    let found = cache.of_queue("default", "concert", "q1");
    assert_eq!(found[0].1.version.as_deref(), Some("4"), "the version is always up to date");
}

#[test]
fn a_new_list_removes_the_objects_that_it_leaves_out() {
    let (cache, mut writer) = cache();
    for name in ["concert-sweep", "concert-b-sweep", "concerto-sweep"] {
        writer.on_event(Event::Apply(job(name, "1", "* * * * *", None)));
    }
    let names = |queue: &str, uid: &str| -> Vec<String> {
        let found = cache.of_queue("default", queue, uid);
        found.iter().map(|(object, _)| object.name.to_string()).collect()
    };
    assert_eq!(names("concert", "q1"), ["concert-b-sweep", "concert-sweep"]);
    assert_eq!(names("concert-b", "q1"), ["concert-b-sweep"]);
    assert!(names("concert", "q2").is_empty(), "another queue of that name");
    writer.on_event(Event::Init);
    writer.on_event(Event::InitApply(job("concert-sweep", "2", "* * * * *", None)));
    writer.on_event(Event::InitDone);
    assert_eq!(names("concert", "q1"), ["concert-sweep"]);
}

#[test]
fn a_cached_object_keeps_its_spec_and_drops_managed_fields() {
    let cached =
        CachedObject::new(job("concert-sweep", "7", "* * * * *", Some("2026-11-24T00:00:00Z")));
    assert_eq!(
        (cached.version.as_deref(), cached.uid.as_deref(), cached.applied.as_deref()),
        (Some("7"), Some("u1"), Some("d1"))
    );
    assert!(cached.belongs_to("q1") && !cached.belongs_to("q2") && !cached.deleting);
    assert!(cached.status.as_ref().unwrap().last_schedule.is_some());
    let tree = cached.tree();
    assert_eq!(tree["spec"]["schedule"], "* * * * *");
    assert!(tree["metadata"].get("managedFields").is_none() && tree.get("status").is_none());
}
