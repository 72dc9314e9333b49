//! The number of workers follows the line.

use std::time::Duration;

use bookingq_core::autoscale::{Policy, Reading, wanted};
use bookingq_core::{Admission, BookingId, ClientId, Details, QueueName, RequestId, Timestamp};
use bookingq_harness::wait::eventually;
use bookingq_harness::{Fsync, RedisServer};
use bookingq_store::RedisConfig;
use bookingq_store::{Enqueue, Store};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::ResourceExt as _;
use kube::api::{ListParams, Patch, PatchParams};
use serde_json::json;

use crate::budget::Budget;
use crate::cluster::LIMIT;
use crate::testbed::Testbed;

pub fn redis_server() -> RedisServer {
    RedisServer::start(Fsync::Off).unwrap()
}

pub fn store(redis: &RedisServer, queue: &str) -> std::sync::Arc<dyn Store> {
    bookingq_store::open(RedisConfig::new(redis.url(), QueueName::new(queue).unwrap())).unwrap()
}

pub async fn join(store: &dyn Store, clients: std::ops::Range<usize>) {
    let batch = clients.map(|n| Enqueue {
        client: ClientId::new(&format!("client-{n}")).unwrap(),
        request: RequestId::new("r").unwrap(),
        booking: BookingId::generate(),
        details: Details::default(),
        trace: None,
    });
    store.enqueue(batch.collect()).await.unwrap();
}

pub async fn until_replicas(testbed: &Testbed, what: &str, mut is_so: impl FnMut(i32) -> bool) {
    let look = async || {
        let spec = testbed.deployment().await.and_then(|deployment| deployment.spec);
        spec.and_then(|spec| spec.replicas).is_some_and(&mut is_so)
    };
    let came = tokio::time::timeout(LIMIT, eventually(what, 2 * LIMIT, look)).await.is_ok();
    assert!(came, "waited {LIMIT:?} for {what}: {:#?}", testbed.queue().await.status);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_gets_the_workers_it_needs_and_the_decision_can_be_replayed() {
    let (testbed, redis) = (Testbed::new("scale").await, redis_server());
    let operator = testbed.operator(Budget::unlimited());
    testbed
        .create(json!({
            "redis": { "url": redis.url() },
            "worker": { "concurrency": 1 },
            "autoscaling": { "min": 2, "max": 40, "drainTarget": "10s", "scaleDownWindow": "2s" },
        }))
        .await;
    until_replicas(&testbed, "the least number of workers", |n| n == 2).await;
    testbed.until_condition("RedisReady", "True", "UnsafeSettings").await;

    let store = store(&redis, &format!("{}.concert", testbed.namespace));
    join(&*store, 0..400).await;
    // 400 waiting x 0.25 s (assumed) / 10 s / 0.7, and what joined just now besides.
    until_replicas(&testbed, "more workers", |n| n >= 15).await;
    testbed.until_backlog(400).await;
    let last = testbed.queue().await.status.unwrap().last_scaling.unwrap();
    let policy = Policy {
        min: 2,
        max: 40,
        concurrency: 1,
        drain_target: Duration::from_secs(10),
        ..Policy::default()
    };
    let reading = Reading {
        at: Timestamp(0),
        claimable: last.backlog as u64,
        arrivals: last.arrivals_per_minute as f64 / 60.0,
        service_time: last.service_time_microseconds.map(|us| Duration::from_micros(us as u64)),
        in_flight: last.in_flight as u64,
        cap_per_minute: None,
        holds: None,
    };
    assert_eq!(wanted(&policy, &reading, last.from as u32), last.wanted as u32, "{last:?}");

    recorded_once(&testbed, &redis, &*store).await;
    // Without Redis no worker is removed.
    let before = testbed.deployment().await.unwrap().spec.unwrap().replicas;
    drop(redis);
    testbed.until_condition("RedisReady", "False", "Unreachable").await;
    operator.rests().await;
    assert!(testbed.deployment().await.unwrap().spec.unwrap().replicas >= before);
    operator.stop().await;
}

/// The store has the workers and the last decision, and is not written again while they stay.
async fn recorded_once(testbed: &Testbed, redis: &RedisServer, store: &dyn Store) {
    let replicas = async || testbed.deployment().await?.spec?.replicas;
    eventually("the workers in the store", LIMIT, async || {
        let last = testbed.queue().await.status.and_then(|status| status.last_scaling);
        let (Some(last), Some(replicas)) = (last, replicas().await) else { return false };
        store.snapshot().await.unwrap().workforce.is_some_and(|workers| {
            let change = workers.last_scaling.unwrap();
            i64::from(workers.wanted) == i64::from(replicas)
                && (i64::from(change.to), &*change.reason) == (i64::from(last.to), &*last.reason)
                && change.note.starts_with("400 in line")
        })
    })
    .await;
    let calls = |command: &str| {
        let statistics = redis.cli(&["INFO", "commandstats"]).unwrap();
        let name = format!("cmdstat_{command}:calls=");
        let count = statistics.lines().find_map(|line| line.strip_prefix(&name)?.split(',').next());
        count.unwrap().parse::<u64>().unwrap()
    };
    // Workers that were needed for the clients that had just joined may still be taken away.
    eventually("three readings without a write", LIMIT, async || {
        let (written, read) = (calls("hset"), calls("evalsha"));
        eventually("three readings", LIMIT, async || calls("evalsha") >= read + 3).await;
        calls("hset") == written
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fixed_number_is_written_once_and_later_changes_are_left_alone() {
    let (testbed, redis) = (Testbed::new("fixed").await, redis_server());
    let operator = testbed.operator(Budget::unlimited());
    testbed.create(json!({ "redis": { "url": redis.url() }, "replicas": 3 })).await;
    until_replicas(&testbed, "the fixed number", |n| n == 3).await;
    operator.rests().await;
    let patch = Patch::Merge(json!({ "spec": { "replicas": 5 } }));
    testbed
        .api::<Deployment>()
        .patch_scale("concert-worker", &PatchParams::default(), &patch)
        .await
        .unwrap();
    operator.rests().await;
    until_replicas(&testbed, "the number of another writer", |n| n == 5).await;

    let queues = testbed.api::<bookingq_api::BookingQueue>();
    queues
        .patch_scale(
            "concert",
            &PatchParams::default(),
            &Patch::Merge(json!({ "spec": { "replicas": 4 } })),
        )
        .await
        .unwrap();
    until_replicas(&testbed, "the other fixed number", |n| n == 4).await;
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_that_cannot_be_scheduled_stop_the_growth_until_they_can() {
    let (testbed, redis) = (Testbed::new("full").await, redis_server());
    let operator = testbed.operator(Budget::unlimited());
    let fields = json!({ "redis": { "url": redis.url() }, "worker": { "concurrency": 1 }, "autoscaling": { "min": 2 } });
    testbed.create(fields).await;
    until_replicas(&testbed, "the least number of workers", |n| n == 2).await;
    // The test writes the conditions of the missing scheduler.
    let pods = testbed.api::<Pod>();
    eventually("the Pods", LIMIT, async || {
        pods.list(&ListParams::default()).await.unwrap().items.len() == 2
    })
    .await;
    let set_reason = async |reason: &str| {
        let condition = json!({ "type": "PodScheduled", "status": "False", "reason": reason });
        for pod in pods.list(&ListParams::default()).await.unwrap() {
            let patch = Patch::Merge(json!({ "status": { "conditions": [condition] } }));
            pods.patch_status(&pod.name_any(), &PatchParams::default(), &patch).await.unwrap();
        }
    };
    set_reason("Unschedulable").await;
    testbed.until_condition("WorkersAvailable", "False", "Unschedulable").await;
    join(&*store(&redis, &format!("{}.concert", testbed.namespace)), 0..500).await;
    testbed.until_backlog(500).await;
    operator.rests().await;
    until_replicas(&testbed, "no more workers", |n| n == 2).await;
    set_reason("SchedulingGated").await;
    until_replicas(&testbed, "more workers", |n| n > 2).await;
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_is_paused_and_opened_in_its_store() {
    let (testbed, redis) = (Testbed::new("pause").await, redis_server());
    let operator = testbed.operator(Budget::unlimited());
    testbed.create(json!({ "redis": { "url": redis.url() }, "admission": "Paused" })).await;
    let store = store(&redis, &format!("{}.concert", testbed.namespace));
    for admission in ["Paused", "Open", "Closed"] {
        testbed.change(json!({ "admission": admission })).await.unwrap();
        eventually(admission, LIMIT, async || {
            store.snapshot().await.is_ok_and(|s| s.admission.as_str() == admission)
        })
        .await;
    }
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_data_is_reported_in_an_event_and_the_queue_stays_paused() {
    let (testbed, redis) = (Testbed::new("lost").await, redis_server());
    let operator = testbed.operator(Budget::unlimited());
    testbed.create(json!({ "redis": { "url": redis.url() }, "admission": "Paused" })).await;
    let store = store(&redis, &format!("{}.concert", testbed.namespace));
    let paused = async || {
        store
            .snapshot()
            .await
            .is_ok_and(|s| s.admission == Admission::Paused && !s.epoch.is_empty())
    };
    eventually("the queue to be paused", LIMIT, paused).await;
    // The operator must read the data once before it can miss it.
    operator.rests().await;
    let before = store.snapshot().await.unwrap().epoch;
    assert_eq!(redis.cli(&["FLUSHALL"]).unwrap(), "OK");
    testbed.until_event("DataLost", "").await;
    eventually("the queue to be paused again", LIMIT, paused).await;
    assert_ne!(store.snapshot().await.unwrap().epoch, before);
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn data_that_was_set_back_is_reported_in_an_event_and_gets_another_epoch() {
    let (testbed, redis) = (Testbed::new("set-back").await, redis_server());
    let operator = testbed.operator(Budget::unlimited());
    let queue = format!("{}.concert", testbed.namespace);
    let store = store(&redis, &queue);
    join(&*store, 0..3).await;
    testbed.create(json!({ "redis": { "url": redis.url() } })).await;
    testbed.until_backlog(3).await;
    let before = store.snapshot().await.unwrap().epoch;
    assert!(!before.is_empty());
    let stats = format!("booking-stats:{{{queue}}}");
    // The counter of outbox entries reveals that the data was set back.
    assert_eq!(redis.cli(&["HSET", &stats, "entries", "0"]).unwrap(), "0");
    testbed.until_event("DataLost", "").await;
    eventually("another epoch", LIMIT, async || store.snapshot().await.unwrap().epoch != before)
        .await;
    operator.rests().await;
    let events = testbed.api::<Event>().list(&ListParams::default()).await.unwrap();
    let published: i32 = events
        .iter()
        .filter(|event| event.reason.as_deref() == Some("DataLost"))
        .map(|event| event.series.as_ref().and_then(|series| series.count).unwrap_or(1))
        .sum();
    assert_eq!(published, 1, "it is reported once");
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_line_asks_for_no_workers_until_it_is_opened() {
    let (testbed, redis) = (Testbed::new("paused-line").await, redis_server());
    let operator = testbed.operator(Budget::unlimited());
    let fields = json!({ "redis": { "url": redis.url() }, "worker": { "concurrency": 1 }, "admission": "Paused" });
    // They join before the operator watches the queue, so that they count as backlog and not as
    // arrivals, which need workers even in a paused queue.
    join(&*store(&redis, &format!("{}.concert", testbed.namespace)), 0..500).await;
    testbed.create(fields).await;
    testbed.until_backlog(500).await;
    operator.rests().await;
    until_replicas(&testbed, "the least number of workers", |n| n == 1).await;
    let backlogs =
        testbed.queue().await.status.unwrap().last_scaling.map_or(0, |last| last.backlog);
    assert_eq!(backlogs, 0, "no decision was made from the line of a paused queue");
    testbed.change(json!({ "admission": "Open" })).await.unwrap();
    // 500 of a quarter of a second each, within 30 s, by workers that are busy for 70 % of the
    // time.
    until_replicas(&testbed, "workers for the line", |n| n == 6).await;
    operator.stop().await;
}
