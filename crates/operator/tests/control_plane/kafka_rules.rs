//! What the API server refuses of a queue in Kafka, by the rules of the CRD.

use bookingq_api::BookingQueue;
use kube::api::PostParams;
use serde_json::{Value, json};

use crate::testbed::Testbed;

async fn create(testbed: &Testbed, name: &str, fields: Value) -> Result<(), String> {
    let mut spec = json!({ "booking": { "endpoint": "http://booking-service:50051" } });
    bookingq_operator::merge::overlay(&mut spec, &fields);
    let queue: BookingQueue = serde_json::from_value(json!({
        "apiVersion": "bookingqueue.dev/v1alpha1", "kind": "BookingQueue",
        "metadata": { "name": name }, "spec": spec,
    }))
    .unwrap();
    let made = testbed.api().create(&PostParams::default(), &queue).await;
    made.map(drop).map_err(|error| error.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_server_lets_in_one_store_and_at_most_16_workers_in_kafka() {
    let testbed = Testbed::new("stores").await;
    let kafka = json!({ "bootstrap": "a:9092,b:9092" });
    for (name, fields) in [
        ("managed", json!({})),
        ("default", json!({ "redis": {} })),
        ("kafka", json!({ "kafka": kafka })),
        ("sixteen", json!({ "kafka": kafka, "autoscaling": { "max": 16 } })),
        ("fixed", json!({ "kafka": kafka, "replicas": 3, "autoscaling": { "max": 40 } })),
    ] {
        create(&testbed, name, fields).await.unwrap();
    }
    for (fields, message) in [
        (json!({ "kafka": kafka, "redis": {} }), "give only one of redis and kafka"),
        (
            json!({ "kafka": kafka, "autoscaling": { "max": 17 } }),
            "autoscaling.max must be at most 16",
        ),
        (json!({ "kafka": kafka, "replicas": 17 }), "replicas must be at most 16"),
        (json!({ "kafka": { "bootstrap": "a" } }), "spec.kafka.bootstrap"),
        (
            json!({ "kafka": { "bootstrap": "a:1", "sasl": {
                "mechanism": "PLAIN", "username": "a",
                "passwordSecret": { "name": "s", "key": "k" },
            } } }),
            "sends the password",
        ),
        (json!({ "kafka": { "bootstrap": "a:1", "replication": 0 } }), "spec.kafka.replication"),
    ] {
        let error = create(&testbed, "refused", fields.clone()).await.unwrap_err();
        assert!(error.contains(message), "{fields}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_is_never_moved_to_another_store() {
    let testbed = Testbed::new("moves").await;
    let kafka = json!({ "bootstrap": "a:9092" });
    let moves = [
        (json!({}), json!({ "kafka": kafka }), "between Redis and Kafka"),
        (json!({ "kafka": kafka }), json!({ "kafka": null }), "between Redis and Kafka"),
        (json!({}), json!({ "redis": { "url": "redis://a:1" } }), "a managed and an external"),
        (
            json!({ "redis": { "url": "redis://a:1" } }),
            json!({ "redis": null }),
            "a managed and an external",
        ),
        (
            json!({ "kafka": kafka }),
            json!({ "kafka": { "topicPrefix": "other" } }),
            "topicPrefix is immutable",
        ),
    ];
    for (before, after, message) in moves {
        create(&testbed, "concert", before).await.unwrap();
        let error = testbed.change(after.clone()).await.unwrap_err().to_string();
        assert!(error.contains(message), "{after}: {error}");
        let api = testbed.api::<BookingQueue>();
        api.delete("concert", &kube::api::DeleteParams::default()).await.unwrap();
    }
    create(&testbed, "concert", json!({ "kafka": kafka })).await.unwrap();
    testbed.change(json!({ "kafka": { "bootstrap": "b:9092" } })).await.unwrap();
}
