//! The objects of a queue with a managed Redis of three.

use bookingq_api::redis::{ManagedRedis, RedisSpec};
use bookingq_api::status::{BookingQueueStatus, RedisElection};
use bookingq_operator::redis_failover::view::FailoverGoal;
use bookingq_operator::target::QueueTarget;
use serde_json::json;

use crate::{check, check_queue, queue, secret};

#[test]
fn a_redis_of_three_starts_cut_off_and_workers_know_its_three_names() {
    let spec = json!({
        "booking": { "endpoint": "http://booking:1" },
        "redis": { "managed": { "replicas": 3 } },
    });
    let objects = check("redis-of-three", &spec, &[secret("concert-redis", &["password"])]);
    let text: String = objects.iter().map(|object| object.value.to_string()).collect();
    assert!(!text.contains("acknowledge"), "there may be no replica yet");
    assert!(!text.contains("redis://concert-redis.sale.svc"), "the Service leads to replicas too");
    let sets = objects.iter().filter(|object| object.kind.name == "StatefulSet");
    let set = sets.map(|set| &set.value["spec"]).next().unwrap();
    assert_eq!((&set["replicas"], &set["podManagementPolicy"]), (&json!(3), &json!("Parallel")));
}

#[test]
fn workers_and_sweepers_wait_for_a_replica_once_one_has_the_data() {
    let spec = json!({
        "booking": { "endpoint": "http://booking:1" },
        "redis": { "managed": { "replicas": 3 } },
    });
    let mut queue = queue("concert", &spec);
    let election = RedisElection { term: 1, primary: "concert-redis-0".to_owned(), copies: 2 };
    queue.status = Some(BookingQueueStatus { redis: Some(election), ..Default::default() });
    let found = [secret("concert-redis", &["password"])];
    let objects = check_queue("redis-of-three-copied", &queue, &found);
    let argument = "--redis-acknowledge-replicas=1";
    let waiting = objects.iter().filter(|object| object.value.to_string().contains(argument));
    let kinds: Vec<_> = waiting.map(|object| object.kind.name).collect();
    assert_eq!(kinds, ["Deployment", "CronJob"]);
}

#[test]
fn a_redis_of_three_stays_until_its_first_pod_is_the_primary() {
    let spec = json!({ "booking": { "endpoint": "http://booking:1" } });
    let mut queue = queue("concert", &spec);
    assert_eq!(QueueTarget::resolve(&queue).unwrap().failover, None);
    let election = RedisElection { term: 7, primary: "concert-redis-2".to_owned(), copies: 2 };
    queue.status = Some(BookingQueueStatus { redis: Some(election), ..Default::default() });
    let target = QueueTarget::resolve(&queue).unwrap();
    assert_eq!(target.failover, Some(FailoverGoal::Shrink));
    let mut kept = target.clone();
    kept.keep_three();
    assert_eq!(kept.failover, Some(FailoverGoal::Three), "the field may be one that was dropped");
    assert_eq!(
        target.plan.store.redis().unwrap().acknowledge_replicas,
        0,
        "one Pod has no replica"
    );
    let managed = Some(ManagedRedis { replicas: 2, ..ManagedRedis::default() });
    queue.spec.redis = Some(RedisSpec { managed, ..RedisSpec::default() });
    let problems = QueueTarget::resolve(&queue).unwrap_err().to_string();
    assert_eq!(problems, "spec.redis.managed.replicas is 2; allowed: 1 or 3");
}
