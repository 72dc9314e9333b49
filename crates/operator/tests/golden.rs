//! What is built for four queues, as files to read and to compare: `BLESS=1 cargo test -p
//! bookingq-operator` renews them.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::PathBuf;

use bookingq_api::BookingQueue;
use bookingq_operator::build::{self, Objects};
use bookingq_operator::environment::OperatorEnvironment;
use bookingq_operator::secrets::{Secrets, references};
use bookingq_operator::target::Target;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Serialize;
use serde_json::{Value, json};

fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden"))
}

fn queue(name: &str, spec: &Value) -> BookingQueue {
    let mut queue: BookingQueue = serde_json::from_value(json!({
        "apiVersion": "bookingqueue.dev/v1alpha1", "kind": "BookingQueue",
        "metadata": { "name": name, "namespace": "shop", "uid": "00000000-0000-0000-0000-000000000001" },
        "spec": spec,
    }))
    .unwrap();
    queue.metadata.generation = Some(1);
    queue
}

/// A Secret with these keys, at version 7.
fn secret(name: &str, keys: &[&str]) -> Secret {
    let data: BTreeMap<String, ByteString> =
        keys.iter().map(|&key| (key.to_owned(), ByteString(b"secret".to_vec()))).collect();
    let metadata = ObjectMeta {
        name: Some(name.to_owned()),
        resource_version: Some("7".to_owned()),
        ..ObjectMeta::default()
    };
    Secret { metadata, data: Some(data), ..Secret::default() }
}

fn secrets(found: &[Secret]) -> Secrets {
    let mut secrets = Secrets::default();
    for secret in found {
        secrets.note(secret);
    }
    secrets
}

fn environment() -> OperatorEnvironment {
    OperatorEnvironment {
        image: "ghcr.io/bookingqueue/bookingq:0.1.0".to_owned(),
        namespace: "bookingq-system".to_owned(),
    }
}

fn documents(objects: &Objects) -> String {
    let mut all = vec![yaml(&objects.service_account)];
    all.extend(objects.network_policies.iter().map(yaml));
    all.extend(objects.services.iter().map(yaml));
    all.extend(objects.stateful_set.iter().map(yaml));
    all.push(yaml(&objects.deployment));
    all.push(yaml(&objects.disruption_budget));
    all.extend(objects.cron_job.iter().map(yaml));
    all.concat()
}

/// One document of a YAML stream.
fn yaml<T: Serialize>(object: &T) -> String {
    format!("---\n{}", serde_saphyr::to_string(&serde_json::to_value(object).unwrap()).unwrap())
}

fn check(name: &str, spec: &Value, found: &[Secret]) -> Objects {
    let target = Target::resolve(&queue("concert", spec)).unwrap();
    let secrets = secrets(found);
    for reference in references(&target.plan) {
        assert_eq!(secrets.problem(&reference), None);
    }
    let objects = build::build(&target, &secrets, &environment()).unwrap();
    let (file, text) = (folder().join(format!("{name}.yaml")), documents(&objects));
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&file, &text).unwrap();
    }
    let expected = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        text == expected,
        "{} is not what is built; see the difference with BLESS=1 and git diff",
        file.display()
    );
    objects
}

#[test]
fn an_endpoint_is_enough_for_a_whole_queue() {
    let spec = json!({ "booking": { "endpoint": "http://booking-service:50051" } });
    let objects = check("minimal", &spec, &[secret("concert-redis", &["password"])]);
    assert_eq!(
        objects.deployment.spec.unwrap().replicas,
        None,
        "replicas belong to whoever scales"
    );
}

#[test]
fn everything_that_can_be_said_is_heard() {
    let spec = json!({
        "booking": { "endpoint": "http://booking:1", "timeout": "2s" },
        "ticket": { "endpoint": "http://ticket:1", "timeout": "100ms" },
        "realtime": { "endpoint": "http://realtime:1" },
        "redis": { "managed": {
            "image": "redis:7.0", "storage": "1Gi", "storageClassName": "fast", "appendfsync": "everysec",
            "resources": { "limits": { "memory": "2Gi" } }, "labels": { "team": "tickets" },
        }},
        "worker": {
            "image": "registry.example.com/bookingq:1", "concurrency": 64, "lease": "20s", "grace": "40500ms", "linger": "3s",
            "resources": { "requests": { "cpu": "1" } },
            "podTemplate": {
                "metadata": { "labels": { "team": "tickets", "app.kubernetes.io/component": "other" }, "annotations": { "a": "b" } },
                "spec": {
                    "nodeSelector": { "pool": "tickets" },
                    "containers": [{ "name": "worker", "env": [{ "name": "BOOKINGQ_LOG_LEVEL", "value": "debug" }] }],
                },
            },
        },
        "hold": { "timeout": "10m", "retention": "48h" },
        "sweep": { "schedule": "*/2 * * * *" },
        "retry": { "attempts": 3, "initialBackoff": "1s", "maxBackoff": "1m" },
    });
    check("everything", &spec, &[secret("concert-redis", &["password"])]);
}

#[test]
fn a_redis_of_the_users_own_is_reached_by_a_secret_and_the_queue_gets_its_namespace_in_its_name() {
    let spec = json!({
        "booking": { "endpoint": "http://booking:1" },
        "redis": {
            "urlSecret": { "name": "our-redis", "key": "url" },
            "passwordSecret": { "name": "our-password", "key": "pw" },
        },
        "sweep": { "suspend": true },
    });
    let found = [secret("our-redis", &["url"]), secret("our-password", &["pw"])];
    let objects = check("users-redis", &spec, &found);
    assert_eq!((objects.stateful_set, objects.cron_job), (None, None));
}

#[test]
fn tls_files_are_mounted_and_named_as_far_as_the_secret_has_them() {
    let spec = json!({
        "booking": { "endpoint": "https://booking:1", "tls": { "secretName": "booking-tls", "serverName": "booking.example.com" } },
        "realtime": { "endpoint": "https://realtime:1", "tls": { "secretName": "realtime-tls" } },
        "redis": { "url": "rediss://redis.example.com:6379" },
    });
    let found = [
        secret("booking-tls", &["ca.crt", "tls.crt", "tls.key"]),
        secret("realtime-tls", &["ca.crt"]),
    ];
    check("tls", &spec, &found);
}

#[test]
fn what_cannot_run_in_a_cluster_is_refused_with_every_reason() {
    let spec = json!({
        "booking": { "endpoint": "simulate://booking" },
        "redis": { "sentinel": { "primaryName": "p", "nodes": ["a:1"] }, "tls": { "secretName": "s" } },
    });
    let problems = Target::resolve(&queue("9-lives", &spec)).unwrap_err().0;
    let paths: Vec<&str> = problems.iter().map(|problem| problem.path.as_str()).collect();
    assert_eq!(
        paths,
        ["spec.booking.endpoint", "spec.redis.sentinel", "spec.redis.tls", "metadata.name"]
    );
}

#[test]
fn an_overlay_that_makes_no_pod_is_refused() {
    let spec = json!({
        "booking": { "endpoint": "http://booking:1" },
        "worker": { "podTemplate": { "spec": { "containers": "many" } } },
    });
    let target = Target::resolve(&queue("concert", &spec)).unwrap();
    let problems = build::build(&target, &Secrets::default(), &environment()).unwrap_err().0;
    assert_eq!(problems[0].path, "spec.worker.podTemplate");
}

#[test]
fn a_secret_that_is_missing_or_not_whole_is_told_with_the_field_that_names_it() {
    let spec = json!({
        "booking": { "endpoint": "https://booking:1", "tls": { "secretName": "booking-tls" } },
        "redis": { "urlSecret": { "name": "our-redis", "key": "url" } },
    });
    let target = Target::resolve(&queue("concert", &spec)).unwrap();
    let found = secrets(&[secret("our-redis", &["uri"])]);
    let told: Vec<String> = references(&target.plan)
        .iter()
        .filter_map(|r| found.problem(r))
        .map(|p| p.to_string())
        .collect();
    assert_eq!(
        told,
        [
            "the Secret booking-tls, named in spec.booking.tls, does not exist in this namespace",
            "the Secret our-redis, named in spec.redis.urlSecret, has no key url"
        ]
    );
}
