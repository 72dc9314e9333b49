//! The cache of Secrets.

use bookingq_operator::secret_cache::{SecretEntries, SecretName};
use k8s_openapi::api::core::v1::Secret;
use serde_json::json;

fn secret(version: &str) -> Secret {
    let metadata = json!({ "namespace": "concerts", "name": "redis", "resourceVersion": version });
    serde_json::from_value(json!({ "metadata": metadata })).unwrap()
}

fn key() -> SecretName {
    ("concerts".to_owned(), "redis".to_owned())
}

#[test]
fn a_secret_is_cached_until_the_watch_reports_another_version() {
    let mut entries = SecretEntries::default();
    let reader = entries.begin(&key());
    entries.finish(&key(), reader, Some(&secret("1"))).unwrap();
    entries.on_change(&secret("1").metadata);
    assert!(entries.get(&key()).is_some());
    entries.on_change(&secret("2").metadata);
    assert!(entries.get(&key()).is_none());
}

#[test]
fn an_answer_older_than_the_last_event_is_not_cached() {
    let mut entries = SecretEntries::default();
    let reader = entries.begin(&key());
    entries.on_change(&secret("2").metadata);
    assert!(entries.finish(&key(), reader, Some(&secret("1"))).is_some());
    assert!(entries.get(&key()).is_none());
    let reader = entries.begin(&key());
    entries.on_change(&secret("1").metadata);
    entries.on_change(&secret("2").metadata);
    entries.finish(&key(), reader, Some(&secret("2"))).unwrap();
    assert!(entries.get(&key()).is_some());
}

#[test]
fn of_two_concurrent_readers_only_the_later_fills_the_cache() {
    let mut entries = SecretEntries::default();
    let (first, second) = (entries.begin(&key()), entries.begin(&key()));
    entries.finish(&key(), first, Some(&secret("1"))).unwrap();
    assert!(entries.get(&key()).is_none());
    assert!(entries.finish(&key(), second, None).is_none(), "nothing was found");
    assert!(entries.get(&key()).is_none());
}
