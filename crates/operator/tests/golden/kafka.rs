//! A queue in Kafka.

use bookingq_operator::target::QueueTarget;
use serde_json::json;

use super::{check, queue, secret};

#[test]
fn a_queue_in_kafka_has_no_redis_and_the_address_as_an_argument() {
    let spec = json!({
        "booking": { "endpoint": "http://booking:1" },
        "kafka": { "bootstrap": "kafka-0:9092, kafka-1:9092", "replication": 2 },
        "gateway": { "keys": { "secretName": "keys" } },
    });
    let objects = check("kafka", &spec, &[secret("keys", &["place-1.json"])]);
    let kinds: Vec<&str> = objects.iter().map(|object| object.kind.name).collect();
    assert!(!kinds.contains(&"StatefulSet"), "{kinds:?}");
    assert!(objects.iter().all(|object| !object.name().ends_with("-redis")));
    let text = objects.iter().map(|object| object.value.to_string()).collect::<String>();
    assert!(!text.contains("BOOKINGQ_REDIS"), "{text}");
    for name in ["concert-worker", "concert-sweep"] {
        let object = objects.iter().find(|object| {
            object.name() == name && ["Deployment", "CronJob"].contains(&object.kind.name)
        });
        let text = object.unwrap().value.to_string();
        let address = "\"--store=kafka://kafka-0:9092,kafka-1:9092/bookingq\"";
        assert!(text.contains(address) && text.contains("\"--queue=sale.concert\""), "{text}");
    }
}

#[test]
fn certificates_and_the_password_of_kafka_are_files_and_never_plain_text() {
    let spec = json!({
        "booking": { "endpoint": "http://booking:1" },
        "kafka": {
            "bootstrap": "kafka:9093", "topicPrefix": "tickets",
            "tls": { "secretName": "kafka-tls" },
            "sasl": { "username": "concert", "passwordSecret": { "name": "kafka-user", "key": "pw" } },
        },
    });
    let found = [secret("kafka-tls", &["ca.crt"]), secret("kafka-user", &["pw"])];
    let objects = check("kafka-tls", &spec, &found);
    for kind in ["Deployment", "CronJob"] {
        let object = objects.iter().find(|object| object.kind.name == kind).unwrap();
        let text = object.value.to_string();
        for argument in [
            "--kafka-tls",
            "--kafka-tls-ca=/etc/bookingq/kafka-tls/ca.crt",
            "--kafka-sasl-mechanism=scram-sha-512",
            "--kafka-user=concert",
            "--kafka-password-file=/etc/bookingq/kafka-password/password",
        ] {
            assert!(text.contains(&format!("\"{argument}\"")), "{kind} lacks {argument}: {text}");
        }
        assert!(!text.contains("tls.crt"), "the Secret has none: {text}");
    }
}

#[test]
fn redis_and_kafka_exclude_each_other_and_a_queue_in_kafka_has_at_most_16_workers() {
    let resolve = |fields: serde_json::Value| {
        let mut spec = json!({
            "booking": { "endpoint": "http://booking:1" }, "kafka": { "bootstrap": "a:9092" },
        });
        bookingq_operator::merge::overlay(&mut spec, &fields);
        QueueTarget::resolve(&queue("concert", &spec)).map(drop).map_err(|e| e.to_string())
    };
    assert_eq!(resolve(json!({ "autoscaling": { "max": 16 } })), Ok(()));
    assert_eq!(resolve(json!({ "replicas": 16, "autoscaling": { "max": 40 } })), Ok(()));
    for (fields, problem) in [
        (json!({ "redis": {} }), "spec is with redis and kafka; allowed: one of redis and kafka"),
        (
            json!({ "autoscaling": { "max": 17 } }),
            "spec.autoscaling.max is 17; allowed: at most 16 with spec.kafka",
        ),
        (json!({ "replicas": 17 }), "spec.replicas is 17; allowed: at most 16 with spec.kafka"),
        (
            json!({ "kafka": { "bootstrap": "a:9092,b" } }),
            "spec.kafka.bootstrap is \"a:9092,b\"; allowed: HOST:PORT[,HOST:PORT…], at most 64 of them",
        ),
        (
            json!({ "kafka": { "topicPrefix": "a/b" } }),
            "spec.kafka.topicPrefix is \"a/b\"; allowed: 1 to 100 letters, digits, '.', '_' and '-'",
        ),
        (
            json!({ "kafka": { "sasl": {
                "mechanism": "PLAIN", "username": "a", "passwordSecret": { "name": "s", "key": "k" },
            } } }),
            "spec.kafka.sasl.mechanism is PLAIN; allowed: SCRAM-SHA-512 or SCRAM-SHA-256; PLAIN with spec.kafka.tls only",
        ),
        (
            json!({ "kafka": { "replication": 10 } }),
            "spec.kafka.replication is 10; allowed: 1 to 9",
        ),
    ] {
        assert_eq!(resolve(fields), Err(problem.to_owned()));
    }
}

/// What the spec lets through, the store takes.
#[test]
fn the_address_of_every_valid_spec_is_one_that_the_store_takes() {
    for bootstrap in ["a:1", "kafka.example.com:9092 ,b_c-d:65535", "[fd00::1]:9092"] {
        let spec = json!({
            "booking": { "endpoint": "http://booking:1" },
            "kafka": { "bootstrap": bootstrap, "topicPrefix": "Our.topics_1-a" },
        });
        let target = QueueTarget::resolve(&queue("concert", &spec)).unwrap();
        let address = target.plan.store.kafka().unwrap().address();
        bookingq_store::replicated::KafkaAddress::new(&address).unwrap();
    }
}
