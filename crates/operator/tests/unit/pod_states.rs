//! Which Pods of a Redis of three are of an older template, and which are ready.

use std::time::Duration;

use bookingq_operator::redis_failover::cluster::PodStates;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::json;

fn pod(index: usize, revision: &str, ready: bool) -> Pod {
    let ready = if ready { "True" } else { "False" };
    serde_json::from_value(json!({
        "metadata": {
            "name": format!("concert-redis-{index}"),
            "labels": { "controller-revision-hash": revision },
        },
        "status": { "conditions": [
            { "type": "Initialized", "status": "True" }, { "type": "Ready", "status": ready },
        ]},
    }))
    .unwrap()
}

#[test]
fn pods_are_compared_with_the_newest_template_while_none_is_being_deleted() {
    let now = Timestamp::UNIX_EPOCH + Duration::from_secs(1_000_000);
    let mut pods = [pod(0, "old", true), pod(1, "new", false)];
    let of = |pods: &[Pod], wanted| PodStates::of("concert", pods, wanted, now);
    let found = of(&pods, Some("new"));
    assert_eq!((found.outdated, found.ready), ([true, false, false], [true, false, false]));
    assert_eq!(of(&pods, None).outdated, [false; 3], "the StatefulSet is not observed yet");
    // Its grace ends in ten seconds.
    pods[1].metadata.deletion_timestamp = Some(Time(now + Duration::from_secs(10)));
    assert_eq!(of(&pods, Some("new")).outdated, [false; 3]);
    // Its node is lost.
    let long_ago = now - SignedDuration::from_mins(6);
    pods[1].metadata.deletion_timestamp = Some(Time(long_ago));
    assert_eq!(of(&pods, Some("new")).outdated, [true, false, false]);
}
