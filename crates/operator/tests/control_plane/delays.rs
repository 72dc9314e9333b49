//! A Redis that hangs, or an object that the API server does not accept in time, delays no other
//! queue and no other step.

use std::time::{Duration, Instant};

use bookingq_api::BookingQueue;
use bookingq_core::Admission;
use bookingq_harness::wait::eventually;
use k8s_openapi::api::batch::v1::CronJob;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::budget::Budget;
use crate::cluster::LIMIT;
use crate::scaling::{redis_server, store};
use crate::testbed::Testbed;

/// The longest that one queue or step may delay another.
const DELAY: Duration = Duration::from_secs(5);
/// Queues whose Redis hangs: more than reconciles run at once.
const HANGING: usize = 20;

/// A server that accepts connections and never answers; its URL.
async fn silent_server() -> (JoinHandle<()>, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("redis://{}", listener.local_addr().unwrap());
    let serving = tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((connection, _)) = listener.accept().await {
            open.push(connection);
        }
    });
    (serving, url)
}

/// Creates a queue; returns the time until the operator reads its Redis and has set its workers.
async fn time_to_read(testbed: &Testbed, name: &str, url: &str) -> Duration {
    let start = Instant::now();
    let fields = json!({ "redis": { "url": url }, "autoscaling": { "min": 3, "max": 9 } });
    testbed.create_named(name, fields).await;
    eventually("Redis to be read and the workers to be set", LIMIT, async || {
        let queue = testbed.api::<BookingQueue>().get(name).await.unwrap();
        let status = queue.status.unwrap_or_default();
        let reads = |c: &k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition| {
            c.type_ == "RedisReady" && c.status == "True"
        };
        status.conditions.iter().any(reads) && status.last_scaling.is_some_and(|last| last.to == 3)
    })
    .await;
    start.elapsed()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_accepts_and_never_answers_delays_no_other_queue() {
    let (testbed, redis) = (Testbed::new("hanging-redis").await, redis_server());
    let operator = testbed.operator(Budget::unlimited());
    let alone = time_to_read(&testbed, "alone", &redis.url()).await;
    let (serving, url) = silent_server().await;
    for n in 0..HANGING {
        let fields = json!({ "redis": { "url": url } });
        testbed.create_named(&format!("hanging-{n}"), fields).await;
    }
    let among = time_to_read(&testbed, "among", &redis.url()).await;
    assert!(among < alone + DELAY, "alone {alone:?}, among queues that hang {among:?}");
    eventually("those that hang to say so", LIMIT, async || {
        let queue = testbed.api::<BookingQueue>().get("hanging-0").await.unwrap();
        let conditions = queue.status.unwrap_or_default().conditions;
        conditions.iter().any(|c| c.type_ == "RedisReady" && c.reason == "Unreachable")
    })
    .await;
    serving.abort();
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_is_not_answered_delays_no_other_step() {
    let (testbed, redis) = (Testbed::new("hanging-object").await, redis_server());
    // The second of the objects; the CronJob comes after it.
    let operator = testbed.operator(Budget::hanging("/networkpolicies/concert-worker"));
    let start = Instant::now();
    testbed.create(json!({ "redis": { "url": redis.url() }, "admission": "Closed" })).await;
    let store = store(&redis, &format!("{}.concert", testbed.namespace));
    eventually("the later objects, the setting and the status", LIMIT, async || {
        let made = testbed.find::<CronJob>("concert-sweep").await.is_some();
        let set = store.snapshot().await.is_ok_and(|now| now.admission == Admission::Closed);
        made && set && testbed.condition("RedisReady").await["status"] == "True"
    })
    .await;
    let took = start.elapsed();
    assert!(took < 3 * DELAY, "{took:?} with everything that a new queue needs");

    testbed.change(json!({ "admission": "Open" })).await.unwrap();
    let changed = Instant::now();
    eventually("the next setting", LIMIT, async || {
        store.snapshot().await.is_ok_and(|now| now.admission == Admission::Open)
    })
    .await;
    // At most a reconcile that hangs, the pause after it, and the write itself.
    assert!(changed.elapsed() < 2 * DELAY, "{:?}", changed.elapsed());
    let message = testbed.until_condition("Degraded", "True", "ApiServerUnavailable").await;
    assert!(message.contains("did not answer within"), "{message}");
    testbed.until_condition("Reconciling", "True", "ApiServerUnavailable").await;
    assert!(testbed.condition("Stalled").await.is_null(), "it may pass by itself");
    operator.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn kstatus_sees_a_spec_that_cannot_be_reached_and_one_that_is() {
    let testbed = Testbed::new("kstatus").await;
    let operator = testbed.operator(Budget::unlimited());
    testbed.create(json!({ "replicas": 0 })).await;
    testbed.until_condition("Degraded", "False", "Reconciled").await;
    testbed.change(json!({ "sweep": { "schedule": "now and then, if you can" } })).await.unwrap();
    let message = testbed.until_condition("Stalled", "True", "InvalidSpec").await;
    assert!(message.contains("spec.sweep.schedule"), "{message}");
    assert!(testbed.condition("Reconciling").await.is_null(), "never both");
    let generation = testbed.queue().await.metadata.generation;
    assert_eq!(testbed.queue().await.status.unwrap().observed_generation, generation);
    let stalled = testbed.condition("Stalled").await;
    assert_eq!(stalled["observedGeneration"], json!(generation));
    testbed.change(json!({ "sweep": { "schedule": "* * * * *" } })).await.unwrap();
    testbed.until_gone("Stalled").await;
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gap_is_looked_at_again_also_while_the_spec_is_wrong() {
    let (testbed, redis) = (Testbed::new("wrong-and-lost").await, redis_server());
    let operator = testbed.operator(Budget::unlimited());
    testbed.create(json!({ "redis": { "url": redis.url() }, "replicas": 0 })).await;
    testbed.until_condition("RedisReady", "True", "UnsafeSettings").await;
    testbed.change(json!({ "sweep": { "schedule": "now and then, if you can" } })).await.unwrap();
    testbed.until_condition("Stalled", "True", "InvalidSpec").await;
    operator.rests().await;
    redis.stop().await;
    let start = Instant::now();
    testbed.until_condition("RedisReady", "False", "Unreachable").await;
    assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
    operator.stop().await;
}
