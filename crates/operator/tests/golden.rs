//! The objects of some queues as golden files: `BLESS=1 cargo test -p bookingq-operator` writes
//! them.
#![allow(clippy::unwrap_used)]

#[path = "golden/backups.rs"]
mod backups;
#[path = "golden/hibernated.rs"]
mod hibernated;
#[path = "golden/kafka.rs"]
mod kafka;
#[path = "golden/redis_of_three.rs"]
mod redis_of_three;
#[path = "golden/restored.rs"]
mod restored;

use std::collections::BTreeMap;
use std::path::PathBuf;

use bookingq_api::BookingQueue;
use bookingq_operator::build::{self, BuildInputs, Manifest};
use bookingq_operator::environment::OperatorEnvironment;
use bookingq_operator::secrets::Secrets;
use bookingq_operator::target::QueueTarget;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::{Value, json};

fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden"))
}

fn queue(name: &str, spec: &Value) -> BookingQueue {
    let mut queue: BookingQueue = serde_json::from_value(json!({
        "apiVersion": "bookingqueue.dev/v1alpha1", "kind": "BookingQueue",
        "metadata": { "name": name, "namespace": "sale", "uid": "00000000-0000-0000-0000-000000000001" },
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
        secrets.insert(secret);
    }
    secrets
}

fn environment() -> OperatorEnvironment {
    OperatorEnvironment {
        image: "ghcr.io/bookingqueue/bookingq:0.1.0".to_owned(),
        namespace: "bookingq-system".to_owned(),
        release: "0.1.0-1".to_owned(),
    }
}

fn documents(manifests: &[Manifest]) -> String {
    manifests.iter().map(|manifest| yaml(&manifest.value)).collect()
}

/// One document of a YAML stream.
fn yaml(object: &Value) -> String {
    format!("---\n{}", serde_saphyr::to_string(object).unwrap())
}

fn check(name: &str, spec: &Value, found: &[Secret]) -> Vec<Manifest> {
    check_queue(name, &queue("concert", spec), found)
}

fn check_queue(name: &str, queue: &BookingQueue, found: &[Secret]) -> Vec<Manifest> {
    let target = QueueTarget::resolve(queue).unwrap();
    let secrets = secrets(found);
    for reference in &target.secrets {
        assert_eq!(secrets.problem(reference), None);
    }
    let inputs = BuildInputs { target: &target, secrets: &secrets, environment: &environment() };
    let objects = build::build(&inputs).unwrap();
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
    let deployment = objects.iter().find(|object| object.kind.name == "Deployment").unwrap();
    assert!(
        deployment.value["spec"].get("replicas").is_none(),
        "the replicas belong to the autoscaler"
    );
}

#[test]
fn every_field_of_the_spec_reaches_the_objects() {
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
    let kinds: Vec<&str> = objects.iter().map(|object| object.kind.name).collect();
    assert!(!kinds.contains(&"StatefulSet") && !kinds.contains(&"CronJob"), "{kinds:?}");
}

#[test]
fn tls_files_are_mounted_and_named_as_far_as_the_secret_has_them() {
    let spec = json!({
        "booking": { "endpoint": "https://booking:1", "tls": { "secretName": "booking-tls", "serverName": "booking.example.com" } },
        "realtime": { "endpoint": "https://realtime:1", "tls": { "secretName": "realtime-tls" } },
        "redis": { "url": "rediss://redis.example.com:6379", "tls": { "secretName": "redis-tls" } },
    });
    let found = [
        secret("redis-tls", &["ca.crt", "tls.crt", "tls.key"]),
        secret("booking-tls", &["ca.crt", "tls.crt", "tls.key"]),
        secret("realtime-tls", &["ca.crt"]),
    ];
    check("tls", &spec, &found);
}

#[test]
fn a_redis_behind_sentinel_is_reached_by_one_address_with_a_login_for_each_of_both() {
    let key = |name: &str| json!({ "name": name, "key": "pw" });
    let spec = json!({
        "booking": { "endpoint": "http://booking:1" },
        "redis": {
            "sentinel": {
                "primaryName": "tickets", "nodes": ["a.example.com:26379", "b.example.com"], "database": 3,
                "username": "watcher", "passwordSecret": key("sentinels"),
            },
            "passwordSecret": key("data"),
            "acknowledge": { "replicas": 1 },
            "tls": { "secretName": "redis-tls" },
        },
        "sweep": { "suspend": true },
    });
    let found =
        [secret("sentinels", &["pw"]), secret("data", &["pw"]), secret("redis-tls", &["ca.crt"])];
    check("sentinel", &spec, &found);
}

#[test]
fn workers_serve_tls_with_a_certificate_that_sweepers_and_gateways_never_see() {
    let spec = json!({
        "booking": { "endpoint": "http://booking:1" },
        "redis": { "url": "redis://redis.example.com:6379" },
        "worker": { "tls": { "secretName": "workers", "clientCaSecretName": "callers" } },
        "gateway": {
            "keys": { "secretName": "keys" }, "clientCertificateSecretName": "own",
            "replicas": 3, "exclusive": true,
        },
    });
    let found = [
        secret("workers", &["ca.crt", "tls.crt", "tls.key"]),
        secret("callers", &["ca.crt"]),
        secret("own", &["tls.crt", "tls.key"]),
        secret("keys", &["place-1.json"]),
    ];
    let objects = check("worker-tls", &spec, &found);
    let mounting = |kind: &str, name: &str| {
        let object = objects.iter().find(|o| o.kind.name == kind && o.name() == name).unwrap();
        let text = object.value.to_string();
        ["workers", "callers", "own", "keys"]
            .map(|s| text.contains(&format!("\"secretName\":\"{s}\"")))
    };
    assert_eq!(mounting("Deployment", "concert-worker"), [true, true, false, false]);
    assert_eq!(mounting("Deployment", "concert-gateway"), [true, false, true, true]);
    assert_eq!(mounting("CronJob", "concert-sweep"), [false; 4]);
    let gateway =
        objects.iter().find(|o| o.name() == "concert-gateway" && o.kind.name == "Deployment");
    let gateway = gateway.unwrap().value.to_string();
    assert!(
        gateway.contains(r#"{"key":"ca.crt","path":"ca.crt"}"#),
        "not the workers' key: {gateway}"
    );
}

#[test]
fn every_field_of_a_gateway_reaches_its_objects() {
    let spec = json!({
        "booking": { "endpoint": "http://booking:1" },
        "redis": { "url": "redis://redis.example.com:6379" },
        "gateway": {
            "image": "registry.example.com/bookingq:1",
            "keys": { "secretName": "keys" },
            "host": "wait.example.com",
            "origins": ["https://www.example.com"],
            "returnOrigins": ["https://pay.example.com"],
            "returnUrl": "https://pay.example.com/checkout?from=line",
            "audience": "example",
            "brand": {
                "title": "Concert: \"live\"", "text": "Admission from 19:00", "logo": "https://www.example.com/logo.svg",
                "color": "#0a7d4b", "home": "https://www.example.com/",
            },
            "items": [{ "name": "standing", "title": "Standing", "maxQuantity": 4 }, { "name": "seat" }],
            "trustedProxies": ["10.0.0.0/8", "fd00::1"],
            "maxConnections": 20000,
            "drain": "90s",
            "tls": { "secretName": "public" },
            "backend": { "clientCaSecretName": "sellers", "namespaces": ["checkout"] },
            "ingress": {
                "className": "nginx", "tlsSecretName": "wait",
                "annotations": { "nginx.ingress.kubernetes.io/backend-protocol": "HTTPS" },
            },
            "httpRoute": { "parentRefs": [{ "name": "public", "namespace": "edge", "sectionName": "https" }] },
            "resources": { "limits": { "memory": "1Gi" } },
            "podTemplate": { "spec": { "nodeSelector": { "pool": "edge" } } },
        },
    });
    let found = [
        secret("keys", &["place-1.json"]),
        secret("public", &["tls.crt", "tls.key"]),
        secret("sellers", &["ca.crt"]),
    ];
    let objects = check("gateway", &spec, &found);
    let deployment = objects
        .iter()
        .find(|object| object.name() == "concert-gateway" && object.kind.name == "Deployment");
    let deployment = &deployment.unwrap().value["spec"];
    assert!(deployment.get("replicas").is_none(), "the replicas belong to the autoscaler");
    assert_eq!(
        deployment["strategy"]["rollingUpdate"],
        json!({ "maxSurge": 1, "maxUnavailable": 0 })
    );
}

#[test]
fn what_a_gateway_reads_when_it_starts_restarts_it_and_nothing_else_does() {
    let template = |title: &str, version: &str, part: &str| {
        let spec = json!({
            "booking": { "endpoint": "http://booking:1" },
            "redis": { "url": "redis://redis.example.com:6379" },
            "gateway": { "keys": { "secretName": "keys" }, "brand": { "title": title } },
        });
        let target = QueueTarget::resolve(&queue("concert", &spec)).unwrap();
        let mut keys = secret("keys", &["place-1.json"]);
        keys.metadata.resource_version = Some(version.to_owned());
        let secrets = secrets(&[keys]);
        let inputs =
            BuildInputs { target: &target, secrets: &secrets, environment: &environment() };
        let objects = build::build(&inputs).unwrap();
        let name = format!("concert-{part}");
        let found = objects.iter().find(|o| o.kind.name == "Deployment" && o.name() == name);
        found.unwrap().value["spec"]["template"].clone()
    };
    let before = template("Concert", "7", "gateway");
    assert_ne!(template("Festival", "7", "gateway"), before, "the title is in the configuration");
    assert_eq!(template("Concert", "8", "gateway"), before, "keys are read again by themselves");
    assert_eq!(template("Festival", "8", "worker"), template("Concert", "7", "worker"));
}

#[test]
fn what_cannot_run_in_a_cluster_is_refused_with_every_reason() {
    let spec = json!({
        "booking": { "endpoint": "simulate://booking" },
        "redis": { "sentinel": { "primaryName": "p", "nodes": ["a:1"] }, "tls": { "secretName": "s", "serverName": "r" } },
    });
    let problems = QueueTarget::resolve(&queue("9-lives", &spec)).unwrap_err().0;
    let paths: Vec<&str> = problems.iter().map(|problem| problem.path.as_str()).collect();
    assert_eq!(paths, ["spec.booking.endpoint", "spec.redis.tls.serverName", "metadata.name"]);
}

#[test]
fn certificates_for_redis_need_an_address_with_tls() {
    for redis in [
        json!({ "url": "redis://redis.example.com:6379", "tls": { "secretName": "s" } }),
        json!({ "managed": {}, "tls": { "secretName": "s" } }),
    ] {
        let spec = json!({ "booking": { "endpoint": "http://booking:1" }, "redis": redis });
        let problems = QueueTarget::resolve(&queue("concert", &spec)).unwrap_err().0;
        assert_eq!(problems[0].path, "spec.redis.tls", "{problems:?}");
    }
}

#[test]
fn an_overlay_that_makes_no_pod_is_refused() {
    let spec = json!({
        "booking": { "endpoint": "http://booking:1" },
        "worker": { "podTemplate": { "spec": { "containers": "many" } } },
    });
    let target = QueueTarget::resolve(&queue("concert", &spec)).unwrap();
    let inputs =
        BuildInputs { target: &target, secrets: &Secrets::default(), environment: &environment() };
    let problems = build::build(&inputs).unwrap_err().0;
    assert_eq!(problems[0].path, "spec.worker.podTemplate");

    let spec = json!({
        "booking": { "endpoint": "http://booking:1" },
        "gateway": {
            "keys": { "secretName": "keys" },
            "podTemplate": { "spec": { "containers": "many" } },
        },
    });
    let target = QueueTarget::resolve(&queue("concert", &spec)).unwrap();
    let problems = build::build(&BuildInputs { target: &target, ..inputs }).unwrap_err().0;
    assert_eq!(problems[0].path, "spec.gateway.podTemplate");
}

#[test]
fn a_secret_that_is_missing_or_not_whole_is_reported_with_the_field_that_names_it() {
    let spec = json!({
        "booking": { "endpoint": "https://booking:1", "tls": { "secretName": "booking-tls" } },
        "redis": { "urlSecret": { "name": "our-redis", "key": "url" } },
    });
    let target = QueueTarget::resolve(&queue("concert", &spec)).unwrap();
    let found = secrets(&[secret("our-redis", &["uri"])]);
    let reported: Vec<String> =
        target.secrets.iter().filter_map(|r| found.problem(r)).map(|p| p.to_string()).collect();
    assert_eq!(
        reported,
        [
            "the Secret booking-tls, named in spec.booking.tls, does not exist in this namespace",
            "the Secret our-redis, named in spec.redis.urlSecret, has no key url"
        ]
    );
}

#[test]
fn half_a_pair_of_certificate_and_key_is_reported_with_the_other_half() {
    let spec = json!({
        "booking": { "endpoint": "https://booking:1", "tls": { "secretName": "booking-tls" } },
        "redis": { "url": "rediss://redis.example.com:6379", "tls": { "secretName": "redis-tls" } },
    });
    let target = QueueTarget::resolve(&queue("concert", &spec)).unwrap();
    for (redis, booking, lacking) in [
        (["ca.crt", "tls.crt"], ["tls.key", "ca.crt"], ["tls.crt", "tls.key"]),
        (["tls.key", "ca.crt"], ["tls.crt", "ca.crt"], ["tls.key", "tls.crt"]),
    ] {
        let found = secrets(&[secret("redis-tls", &redis), secret("booking-tls", &booking)]);
        let reported: Vec<String> =
            target.secrets.iter().filter_map(|r| found.problem(r)).map(|p| p.to_string()).collect();
        let [of_booking, of_redis] = lacking;
        let expected = [
            format!("the Secret booking-tls, named in spec.booking.tls, has no key {of_booking}"),
            format!("the Secret redis-tls, named in spec.redis.tls, has no key {of_redis}"),
        ];
        assert_eq!(reported, expected);
    }
    let found = [secret("redis-tls", &["ca.crt"]), secret("booking-tls", &["tls.crt", "tls.key"])];
    let found = secrets(&found);
    assert!(target.secrets.iter().all(|secret| found.problem(secret).is_none()));
}
