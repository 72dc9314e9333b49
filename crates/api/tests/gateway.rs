//! Validation of `spec.gateway` and `spec.worker.tls`.
#![allow(clippy::unwrap_used, clippy::needless_pass_by_value)]

use std::time::Duration;

use bookingq_api::plan::{GatewayPlan, GatewayScaling};
use bookingq_api::{BookingQueueSpec, Plan, Problems};
use bookingq_core::autoscale::sockets::SocketPolicy;
use serde_json::{Value, json};

/// The given fields of the gateway and the required ones.
fn resolve(fields: Value, worker: Value) -> Result<Plan, Problems> {
    let mut gateway = json!({ "keys": { "secretName": "keys" } });
    for (name, value) in fields.as_object().unwrap() {
        gateway[name] = value.clone();
    }
    let spec: BookingQueueSpec = serde_json::from_value(json!({
        "booking": { "endpoint": "http://booking-service:50051" },
        "worker": worker,
        "gateway": gateway,
    }))
    .unwrap();
    spec.resolve("concert")
}

fn gateway(fields: Value) -> GatewayPlan {
    resolve(fields, json!({})).unwrap().gateway.unwrap()
}

fn problems(fields: Value, worker: Value) -> Vec<String> {
    let Problems(found) = resolve(fields, worker).unwrap_err();
    found.iter().map(ToString::to_string).collect()
}

#[test]
fn a_queue_has_no_gateway_unless_it_asks_for_one() {
    let spec = json!({ "booking": { "endpoint": "http://booking-service:50051" } });
    let spec: BookingQueueSpec = serde_json::from_value(spec).unwrap();
    assert_eq!(spec.resolve("concert").unwrap().gateway, None);
}

#[test]
fn keys_are_enough_for_a_gateway() {
    let plan = gateway(json!({}));
    assert_eq!(plan.scaling, GatewayScaling::Automatic(SocketPolicy::DEFAULT));
    assert_eq!(plan.drain, Duration::from_secs(60));
    assert!(plan.items.is_empty() && !plan.spec.exclusive);
}

#[test]
fn a_fixed_number_of_gateways_switches_their_autoscaling_off() {
    assert_eq!(gateway(json!({ "replicas": 4 })).scaling, GatewayScaling::Fixed(4));
}

#[test]
fn items_are_typed() {
    let items = json!([{ "name": "seat" }, { "name": "standing", "maxQuantity": 4 }]);
    let quantities: Vec<u32> =
        gateway(json!({ "items": items })).items.iter().map(|item| item.max_quantity).collect();
    assert_eq!(quantities, [1, 4]);
}

/// An invalid field with its path, its value and what is allowed.
type Refused<'a> = (Value, &'a str, &'a str, &'a str);

fn assert_refused(cases: &[Refused<'_>]) {
    for (fields, path, value, allowed) in cases {
        let expected = format!("spec.gateway.{path} is {value}; allowed: {allowed}");
        assert_eq!(problems(fields.clone(), json!({})), [expected]);
    }
}

#[test]
fn an_invalid_address_is_reported_with_its_value_and_the_allowed_ones() {
    let origin = "https://HOST[:PORT] in lower case, or http://, without a path";
    let network = "an address, or a network such as 10.0.0.0/8 or fd00::/8";
    let host = "a host name in lower case, such as wait.example.com";
    assert_refused(&[
        (json!({ "host": "Wait.example.com" }), "host", "\"Wait.example.com\"", host),
        (json!({ "host": "a..b" }), "host", "\"a..b\"", host),
        (json!({ "origins": ["https://a/b"] }), "origins[0]", "\"https://a/b\"", origin),
        (json!({ "origins": ["*"] }), "origins[0]", "\"*\"", origin),
        (json!({ "origins": ["https://A"] }), "origins[0]", "\"https://A\"", origin),
        (json!({ "origins": ["https://u@a"] }), "origins[0]", "\"https://u@a\"", origin),
        (
            json!({ "returnOrigins": ["https://a", "https://a:99999"] }),
            "returnOrigins[1]",
            "\"https://a:99999\"",
            origin,
        ),
        (
            json!({ "trustedProxies": ["10.0.0.0/33"] }),
            "trustedProxies[0]",
            "\"10.0.0.0/33\"",
            network,
        ),
        (
            json!({ "trustedProxies": ["10.0.0.1/8"] }),
            "trustedProxies[0]",
            "\"10.0.0.1/8\"",
            network,
        ),
        (
            json!({ "trustedProxies": ["10.0.0.0/+8"] }),
            "trustedProxies[0]",
            "\"10.0.0.0/+8\"",
            network,
        ),
        (json!({ "trustedProxies": ["::/0/1"] }), "trustedProxies[0]", "\"::/0/1\"", network),
        (json!({ "trustedProxies": ["10.0.0.1/"] }), "trustedProxies[0]", "\"10.0.0.1/\"", network),
    ]);
}

#[test]
fn an_invalid_look_is_reported_with_its_value_and_the_allowed_ones() {
    let link = "https://HOST/PATH, or a path of the gateways' own host";
    assert_refused(&[
        (
            json!({ "returnOrigins": ["https://a.com"], "returnUrl": "https://a.com.evil.com/" }),
            "returnUrl",
            "\"https://a.com.evil.com/\"",
            "a URL of one of spec.gateway.returnOrigins, at most 1024 bytes",
        ),
        (
            json!({ "brand": { "title": "a\nb" } }),
            "brand.title",
            "\"a\\nb\"",
            "without control characters, at most 200 bytes",
        ),
        (
            json!({ "brand": { "color": "red" } }),
            "brand.color",
            "\"red\"",
            "a colour in hexadecimal, such as #0a7d4b",
        ),
        (json!({ "brand": { "logo": "//a/b" } }), "brand.logo", "\"//a/b\"", link),
        (json!({ "brand": { "logo": "http://a/b" } }), "brand.logo", "\"http://a/b\"", link),
        (
            json!({ "brand": { "home": "javascript:alert(1)" } }),
            "brand.home",
            "\"javascript:alert(1)\"",
            link,
        ),
    ]);
}

#[test]
fn an_invalid_size_is_reported_with_its_value_and_the_allowed_ones() {
    assert_refused(&[
        (
            json!({ "maxConnections": 0, "autoscaling": { "connectionsPerReplica": 1 } }),
            "maxConnections",
            "0",
            "1 to 10000000",
        ),
        (json!({ "drain": "11m" }), "drain", "11m", "1s to 10m"),
        (json!({ "replicas": 101 }), "replicas", "101", "0 to 100"),
        (
            json!({ "autoscaling": { "minReplicas": 3, "maxReplicas": 2 } }),
            "autoscaling.minReplicas",
            "3",
            "at most spec.gateway.autoscaling.maxReplicas (2)",
        ),
        (
            json!({ "maxConnections": 9, "autoscaling": { "connectionsPerReplica": 10 } }),
            "autoscaling.connectionsPerReplica",
            "10",
            "at most spec.gateway.maxConnections (9)",
        ),
        (
            json!({ "items": [{ "name": "a", "maxQuantity": 101 }] }),
            "items[0].maxQuantity",
            "101",
            "1 to 100",
        ),
        (
            json!({ "items": [{ "name": "a" }, { "name": "a" }] }),
            "items[1].name",
            "\"a\"",
            "a name that no other entry has",
        ),
        (
            json!({ "backend": { "namespaces": ["Checkout"] } }),
            "backend.namespaces[0]",
            "\"Checkout\"",
            "the name of a namespace: 1 to 63 lower-case letters, digits and '-'",
        ),
        (
            json!({ "backend": { "clientCaSecretName": "ca" } }),
            "backend.clientCaSecretName",
            "ca",
            "only with spec.gateway.tls",
        ),
    ]);
}

#[test]
fn a_proxy_in_front_of_the_gateways_must_be_named_as_one() {
    let route = json!({ "parentRefs": [{ "name": "public" }] });
    for (field, value) in [("ingress", json!({})), ("httpRoute", route)] {
        let found = problems(json!({ field: value }), json!({}));
        let paths: Vec<&str> = found.iter().filter_map(|one| one.split(' ').next()).collect();
        assert_eq!(paths, ["spec.gateway.host", "spec.gateway.trustedProxies"], "{found:?}");
        assert!(found[1].ends_with(&format!("because spec.gateway.{field} is set")), "{found:?}");
        gateway(
            json!({ field: value, "host": "wait.example.com", "trustedProxies": ["10.0.0.0/8"] }),
        );
    }
}

#[test]
fn gateways_of_workers_that_require_a_certificate_need_one() {
    let mtls = json!({ "tls": { "secretName": "workers", "clientCaSecretName": "callers" } });
    assert_eq!(
        problems(json!({}), mtls.clone()),
        [
            "spec.gateway.clientCertificateSecretName is not set; allowed: a Secret with tls.crt and \
          tls.key, because spec.worker.tls.clientCaSecretName is set"
        ]
    );
    let own = json!({ "clientCertificateSecretName": "own" });
    assert!(resolve(own.clone(), mtls).unwrap().worker.tls.is_some());
    assert_eq!(
        problems(own, json!({ "tls": { "secretName": "workers" } })),
        ["spec.gateway.clientCertificateSecretName is own; allowed: only with \
          spec.worker.tls.clientCaSecretName"]
    );
}
