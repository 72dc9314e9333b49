//! Validation of manifests, and the CRD in the tree.
#![allow(clippy::unwrap_used, clippy::needless_pass_by_value)]

use std::time::Duration;

use bookingq_api::downstream::Endpoint;
use bookingq_api::plan::{RedisSource, ScalingPlan};
use bookingq_api::{BookingQueue, BookingQueueBackup, BookingQueueSpec, Problems};
use bookingq_core::{Outflow, SaleRules, SoldOutRule, Timestamp};
use kube::CustomResourceExt as _;
use serde_json::{Value, json};

fn spec(value: Value) -> BookingQueueSpec {
    serde_json::from_value(value).unwrap()
}

/// The given fields and the required ones.
fn with(fields: Value) -> BookingQueueSpec {
    let mut whole = json!({ "booking": { "endpoint": "http://booking-service:50051" } });
    for (name, value) in fields.as_object().unwrap() {
        whole[name] = value.clone();
    }
    spec(whole)
}

fn problems(fields: Value) -> Vec<String> {
    let Problems(found) = with(fields).resolve("concert").unwrap_err();
    found.iter().map(ToString::to_string).collect()
}

#[test]
fn an_endpoint_is_enough() {
    let plan = with(json!({})).resolve("concert").unwrap();
    assert_eq!(plan.booking.endpoint, Endpoint::Grpc("http://booking-service:50051".into()));
    assert_eq!(plan.booking.timeout, Duration::from_secs(3));
    assert_eq!(plan.hold, Duration::from_secs(300));
    let redis = &plan.store.redis().unwrap().source;
    assert!(matches!(redis, RedisSource::Managed(redis) if redis.storage == "8Gi"));
    let ScalingPlan::Automatic(policy) = plan.scaling else { panic!("{:?}", plan.scaling) };
    assert_eq!((policy.min, policy.max), (1, 10));
    assert_eq!(plan.sweep.as_deref(), Some("* * * * *"));
}

#[test]
fn the_crds_defaults_are_the_ones_of_the_code() {
    let crd = serde_json::to_value(BookingQueue::crd()).unwrap();
    let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"];
    let written = serde_json::to_value(with(json!({}))).unwrap();
    for field in [
        "worker",
        "autoscaling",
        "hold",
        "sweep",
        "retry",
        "admission",
        "soldOut",
        "deletion",
        "update",
    ] {
        assert_eq!(schema[field]["default"], written[field], "{field}");
    }
    assert_eq!(
        schema["booking"]["properties"]["timeout"]["default"],
        written["booking"]["timeout"]
    );
}

#[test]
fn a_fixed_number_of_replicas_switches_autoscaling_off() {
    let plan =
        with(json!({ "replicas": 4, "autoscaling": { "max": 3 } })).resolve("concert").unwrap();
    assert_eq!(plan.scaling, ScalingPlan::Fixed(4));
}

#[test]
fn every_problem_is_reported_at_once_with_field_value_and_allowed_values() {
    let found = problems(json!({
        "booking": { "endpoint": "booking:50051", "timeout": "0s" },
        "ticket": { "endpoint": "simulate://booking" },
        "autoscaling": { "min": 5, "max": 3, "utilisationPercent": 0 },
        "worker": { "grace": "3s", "linger": "2s", "concurrency": -1 },
        "retry": { "initialBackoff": "20s", "attempts": 0 },
        "outflow": { "perMinute": 0, "burst": 9, "maxHolds": -1 },
        "items": [{ "name": "A", "soldOut": "End" }, { "name": "A", "soldOut": "Wait" }],
        "hold": { "timeout": "0s" },
        "sweep": { "schedule": "often" },
        "redis": { "url": "redis://a", "managed": {} },
    }));
    let paths: Vec<&str> = found.iter().filter_map(|problem| problem.split(' ').next()).collect();
    let expected = [
        "spec.booking.timeout",
        "spec.booking.endpoint",
        "spec.ticket.endpoint",
        "spec.redis",
        "spec.worker.grace",
        "spec.worker.concurrency",
        "spec.autoscaling.min",
        "spec.autoscaling.utilisationPercent",
        "spec.hold.timeout",
        "spec.sweep.schedule",
        "spec.retry.initialBackoff",
        "spec.retry.attempts",
        "spec.outflow.perMinute",
        "spec.outflow.maxHolds",
        "spec.outflow.burst",
        "spec.items[1].name",
    ];
    assert_eq!(paths, expected, "{found:#?}");
    assert!(found.contains(
        &"spec.autoscaling.min is 5; allowed: at most spec.autoscaling.max (3)".to_owned()
    ));
    assert!(
        found.contains(
            &"spec.retry.initialBackoff is 20s; allowed: at most spec.retry.maxBackoff (10s)"
                .to_owned()
        )
    );
}

#[test]
fn a_sale_without_rules_restricts_nothing() {
    assert_eq!(with(json!({})).resolve("concert").unwrap().rules, SaleRules::default());
}

#[test]
fn the_rules_of_a_sale_are_typed() {
    let plan = with(json!({
        "sale": { "opensAt": "2026-12-01T20:00:00+01:00" },
        "outflow": { "perMinute": 600, "burst": 20, "maxHolds": 5000 },
        "soldOut": "End",
        "items": [{ "name": "day ticket", "soldOut": "Wait" }],
    }));
    let rules = plan.resolve("concert").unwrap().rules;
    assert_eq!(rules.opens_at, Some(Timestamp(1_796_151_600_000)));
    let outflow = Outflow { per_minute: Some(600), burst: Some(20), max_holds: Some(5000) };
    assert_eq!(rules.outflow, outflow);
    assert_eq!(rules.sold_out.of("day ticket"), SoldOutRule::Wait);
    assert_eq!(rules.sold_out.of("camping"), SoldOutRule::End);
}

#[test]
fn an_invalid_rule_is_reported_with_the_allowed_values() {
    let many: Vec<Value> =
        (0..65).map(|n| json!({ "name": n.to_string(), "soldOut": "End" })).collect();
    for (fields, expected) in [
        (
            json!({ "outflow": { "burst": 5 } }),
            "spec.outflow.burst is \"5\"; allowed: nothing without outflow.perMinute",
        ),
        (
            json!({ "outflow": { "perMinute": 5, "burst": 6 } }),
            "spec.outflow.burst is \"6\"; allowed: 1 to outflow.perMinute",
        ),
        (
            json!({ "items": [{ "name": "a\nb", "soldOut": "End" }] }),
            "spec.items[0].name is \"a\\nb\"; allowed: at most 128 bytes of UTF-8 without control \
             characters",
        ),
        (json!({ "items": many }), "spec.items is 65 items; allowed: at most 64 items"),
    ] {
        assert_eq!(problems(fields), [expected]);
    }
}

#[test]
fn an_invalid_quantity_is_reported_before_the_api_server_fails_on_it() {
    let found = problems(json!({
        "worker": { "resources": { "requests": { "cpu": "nonsense" }, "limits": { "memory": "1Gi" } } },
        "redis": { "managed": { "storage": "8gb", "resources": { "limits": { "cpu": "-1" } } } },
    }));
    let paths: Vec<&str> = found.iter().filter_map(|problem| problem.split(' ').next()).collect();
    let expected = [
        "spec.redis.managed.storage",
        "spec.redis.managed.resources.limits.cpu",
        "spec.worker.resources.requests.cpu",
    ];
    assert_eq!(paths, expected, "{found:#?}");
}

#[test]
fn a_worker_must_have_time_to_finish_a_call_before_it_leaves() {
    let found = problems(json!({ "worker": { "grace": "4s", "linger": "2s", "lease": "4s" } }));
    assert_eq!(
        found,
        ["spec.worker.grace is 4s; allowed: at least 5s, that is linger plus spec.booking.timeout"]
    );
}

#[test]
fn a_worker_must_be_able_to_keep_its_tasks_until_it_has_left() {
    let found = problems(json!({ "worker": { "grace": "8s", "lease": "10s" } }));
    assert_eq!(found, ["spec.worker.grace is 8s; allowed: at least spec.worker.lease (10s)"]);
}

#[test]
fn a_password_does_not_belong_into_a_resource_and_is_never_repeated() {
    let found = problems(json!({ "redis": { "url": "redis://:hunter2@redis:6379" } }));
    assert!(
        found[0].starts_with("spec.redis.url") && found[0].contains("passwordSecret"),
        "{found:?}"
    );
    assert!(!found[0].contains("hunter2"));
}

#[test]
fn each_host_of_a_redis_is_checked() {
    let found = problems(json!({ "redis": { "url": "redis://a:6379,b:x/0" } }));
    assert!(found[0].starts_with("spec.redis.url"), "{found:?}");
    let found = problems(json!({ "redis": { "cluster": { "nodes": ["a:1", "u:p@b"] } } }));
    assert_eq!(found, [r#"spec.redis.cluster.nodes[1] is "u:p@b"; allowed: HOST[:PORT]"#]);
    let sentinel = json!({ "primaryName": "", "nodes": [] });
    let found =
        problems(json!({ "redis": { "sentinel": sentinel, "acknowledge": { "replicas": 3 } } }));
    let paths: Vec<&str> = found.iter().filter_map(|problem| problem.split(' ').next()).collect();
    let expected = [
        "spec.redis.sentinel.nodes",
        "spec.redis.sentinel.primaryName",
        "spec.redis.acknowledge.replicas",
    ];
    assert_eq!(paths, expected);
    let spec = json!({ "redis": { "url": "rediss://a,b:6380,[::1]:6381/2" } });
    assert!(with(spec).resolve("concert").is_ok());
}

#[test]
fn tls_needs_an_https_endpoint() {
    let tls = json!({ "secretName": "booking-tls" });
    let found = problems(json!({ "booking": { "endpoint": "http://a:1", "tls": tls } }));
    assert_eq!(
        found,
        ["spec.booking.tls is set; allowed: only with an endpoint that starts with https://"]
    );
    with(json!({ "booking": { "endpoint": "https://a:1", "tls": tls } }))
        .resolve("concert")
        .unwrap();
}

#[test]
fn a_queues_name_must_be_one() {
    let Problems(found) = with(json!({})).resolve("Concert!").unwrap_err();
    assert_eq!(found[0].path, "metadata.name");
}

#[test]
fn the_crds_in_the_tree_are_those_of_these_types() {
    for (name, definition) in [
        ("bookingqueue", bookingq_api::crd::definition()),
        ("bookingqueuebackup", bookingq_api::crd::backup_definition()),
    ] {
        let path = format!("{}/../../crds/{name}.yaml", env!("CARGO_MANIFEST_DIR"));
        let written = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            written == bookingq_api::crd::yaml(&definition).unwrap(),
            "crds/{name}.yaml is not what the types say; renew it: cargo xtask crd"
        );
    }
}

#[test]
fn every_field_of_the_crd_is_described_and_none_is_unsigned() {
    for crd in [BookingQueue::crd(), BookingQueueBackup::crd()] {
        let crd = serde_json::to_value(crd).unwrap();
        let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        for part in ["spec", "status"] {
            described(part, &schema["properties"][part]);
        }
        assert!(!crd.to_string().contains("uint"), "kubectl warns at formats it does not know");
    }
}

fn described(path: &str, schema: &Value) {
    assert!(
        !schema["description"].as_str().unwrap_or_default().is_empty(),
        "{path} has no description"
    );
    if let Some(properties) = schema["properties"].as_object() {
        for (name, property) in properties {
            described(&format!("{path}.{name}"), property);
        }
    }
}

#[test]
fn a_misspelt_field_is_named_with_those_that_exist() {
    let manifest = json!({ "spec": {
        "booking": { "endpoint": "http://a:1", "timeOut": "3s" },
        "hodl": {},
        "worker": { "podTemplate": { "anything": { "goes": true } }, "resources": { "limits": { "cpu": "1" } } },
        "redis": { "managed": { "labels": { "any": "label" } } },
    }});
    let found: Vec<String> =
        bookingq_api::strict::unknown_fields(&manifest).iter().map(ToString::to_string).collect();
    assert_eq!(found[0], "spec.booking.timeOut is not a field; allowed: endpoint, timeout, tls");
    assert!(
        found[1].starts_with("spec.hodl is not a field; allowed: admission, autoscaling, booking,"),
        "{found:?}"
    );
    assert_eq!(found.len(), 2);
}

#[test]
fn windows_of_updates_have_cron_fields_a_zone_and_a_duration() {
    let window = |cron: &str, duration: &str, zone: &str| {
        let window = json!({ "cron": cron, "duration": duration, "timeZone": zone });
        json!({ "update": { "windows": [window] } })
    };
    let plan = with(window("0 3 * * 1-5", "2h", "Europe/Berlin")).resolve("concert").unwrap();
    assert_eq!(plan.update.windows.len(), 1);
    for (fields, problem) in [
        (window("0 3 * * 1-5", "59s", "UTC"), "spec.update.windows[0].duration is 59s; allowed: "),
        (window("0 25 * * *", "2h", "UTC"), "spec.update.windows[0].cron is \"0 25 * * *\"; "),
        (window("0 3 * * *", "2h", "Berlin"), "spec.update.windows[0].timeZone is \"Berlin\"; "),
        (window("0 3 * * * UTC", "2h", "UTC"), "spec.update.windows[0].cron is "),
    ] {
        let found = problems(fields);
        assert!(found.len() == 1 && found[0].starts_with(problem), "{found:?}");
    }
}
