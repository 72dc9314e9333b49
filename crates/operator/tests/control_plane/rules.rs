//! The rules of a sale reach the store and bound the number of workers.

use std::time::{Duration, Instant};

use bookingq_api::{BookingQueue, TimeString};
use bookingq_core::{Outflow, SaleRules, SoldOutRule, Timestamp};
use bookingq_harness::wait::eventually;
use bookingq_store::Store;
use k8s_openapi::api::core::v1::Event;
use kube::api::ListParams;
use serde_json::json;

use crate::budget::Budget;
use crate::cluster::LIMIT;
use crate::scaling::{join, redis_server, store, until_replicas};
use crate::testbed::Testbed;

/// The notes of the events about rules.
async fn notes(testbed: &Testbed) -> Vec<String> {
    let events = testbed.api::<Event>().list(&ListParams::default()).await.unwrap().items;
    let about = events.into_iter().filter(|one| one.reason.as_deref() == Some("RulesChanged"));
    about.filter_map(|event| event.message).collect()
}

/// Waits until the store has rules.
async fn until_rules(store: &dyn Store, what: &str, is_so: impl Fn(&SaleRules) -> bool) {
    eventually(what, LIMIT, async || {
        store.snapshot().await.is_ok_and(|now| now.rules_set && is_so(&now.rules))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rules_of_the_spec_are_written_to_the_store_and_again_when_its_data_is_lost() {
    let (testbed, redis) = (Testbed::new("rules").await, redis_server());
    let operator = testbed.operator(Budget::unlimited());
    testbed
        .create(json!({
            "redis": { "url": redis.url() },
            "sale": { "opensAt": "2099-12-01T20:00:00+01:00" },
            "outflow": { "perMinute": 600, "maxHolds": 70 },
            "items": [{ "name": "day ticket", "soldOut": "End" }],
        }))
        .await;
    testbed.until_argument("--await-rules").await;
    let store = store(&redis, &format!("{}.concert", testbed.namespace));
    let all = |rules: &SaleRules| {
        let outflow = Outflow { per_minute: Some(600), burst: None, max_holds: Some(70) };
        rules.opens_at == Some(Timestamp(4_099_834_800_000))
            && rules.outflow == outflow
            && rules.sold_out.of("day ticket") == SoldOutRule::End
            && rules.sold_out.of("camping") == SoldOutRule::Wait
    };
    until_rules(&*store, "the rules", all).await;

    let start = Instant::now();
    testbed.change(json!({ "outflow": { "perMinute": 300 } })).await.unwrap();
    let slower = |rules: &SaleRules| rules.outflow.per_minute == Some(300);
    until_rules(&*store, "a lower limit", slower).await;
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    eventually("an event for each change", LIMIT, async || {
        let notes = notes(&testbed).await;
        ["600 bookings per minute", "300 bookings per minute"]
            .iter()
            .all(|words| notes.iter().any(|note| note.contains(words)))
    })
    .await;

    // The operator must read the data once before it can miss it.
    operator.rests().await;
    assert_eq!(redis.cli(&["FLUSHALL"]).unwrap(), "OK");
    until_rules(&*store, "the rules again", slower).await;
    testbed.change(json!({ "sale": null, "outflow": null, "items": null })).await.unwrap();
    until_rules(&*store, "no rules", |rules| *rules == SaleRules::default()).await;
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_without_rules_gets_them_written_without_an_event() {
    let (testbed, redis) = (Testbed::new("no-rules").await, redis_server());
    let operator = testbed.operator(Budget::unlimited());
    testbed.create(json!({ "redis": { "url": redis.url() } })).await;
    let store = store(&redis, &format!("{}.concert", testbed.namespace));
    until_rules(&*store, "rules", |rules| *rules == SaleRules::default()).await;
    operator.rests().await;
    assert!(notes(&testbed).await.is_empty());
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_waits_for_the_opening_gets_its_workers_a_minute_before() {
    let (testbed, redis) = (Testbed::new("opening").await, redis_server());
    let operator = testbed.operator(Budget::unlimited());
    let store = store(&redis, &format!("{}.concert", testbed.namespace));
    join(&*store, 0..500).await;
    testbed
        .create(json!({
            "redis": { "url": redis.url() }, "worker": { "concurrency": 1 },
            "sale": { "opensAt": "2099-12-01T20:00:00+01:00" },
        }))
        .await;
    testbed.until_backlog(500).await;
    operator.rests().await;
    until_replicas(&testbed, "the least number of workers", |n| n == 1).await;
    let soon = store.snapshot().await.unwrap().now + Duration::from_secs(50);
    let opens_at = TimeString::new(soon).to_string();
    testbed.change(json!({ "sale": { "opensAt": opens_at } })).await.unwrap();
    until_replicas(&testbed, "workers for the line", |n| n == 6).await;
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outflow_bounds_the_workers_and_the_status_says_so() {
    let (testbed, redis) = (Testbed::new("capped").await, redis_server());
    let operator = testbed.operator(Budget::unlimited());
    join(&*store(&redis, &format!("{}.concert", testbed.namespace)), 0..500).await;
    testbed
        .create(json!({
            "redis": { "url": redis.url() }, "worker": { "concurrency": 1 },
            "outflow": { "perMinute": 600 },
        }))
        .await;
    // Without the outflow it would be 6. 10 a second of a quarter of a second each, by workers that
    // are busy for 70 % of the time:
    until_replicas(&testbed, "workers for the outflow", |n| n == 4).await;
    let last = async || testbed.queue().await.status.and_then(|status| status.last_scaling);
    eventually("the scaling in the status", LIMIT, async || last().await.is_some()).await;
    let last = last().await.unwrap();
    assert_eq!((last.reason.as_str(), last.cap_per_minute, last.to), ("Capped", Some(600), 4));
    let queue: BookingQueue = testbed.queue().await;
    assert_eq!(queue.status.unwrap().parked, Some(0));
    operator.stop().await;
}
