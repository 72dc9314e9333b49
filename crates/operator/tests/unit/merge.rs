//! Overlays and comparisons of objects.

use bookingq_operator::merge::{contains, digest, overlay};
use serde_json::{Value, json};

fn pod() -> Value {
    json!({ "spec": {
        "nodeSelector": { "disk": "ssd" },
        "containers": [{ "name": "worker", "image": "a", "args": ["x", "y"], "env": [{ "name": "A", "value": "1" }] }],
    }})
}

#[test]
fn an_overlay_changes_what_it_names_and_leaves_the_rest() {
    let mut laid = pod();
    overlay(
        &mut laid,
        &json!({ "spec": {
            "nodeSelector": { "zone": "b", "disk": null },
            "containers": [
                { "name": "worker", "args": ["z"], "env": [{ "name": "B", "value": "2" }] },
                { "name": "sidecar", "image": "s" },
            ],
        }}),
    );
    let worker = json!({ "name": "worker", "image": "a", "args": ["z"],
        "env": [{ "name": "A", "value": "1" }, { "name": "B", "value": "2" }] });
    assert_eq!(laid["spec"]["nodeSelector"], json!({ "zone": "b" }));
    assert_eq!(laid["spec"]["containers"], json!([worker, { "name": "sidecar", "image": "s" }]));
}

#[test]
fn defaults_and_fields_of_others_do_not_matter() {
    let mut live = pod();
    live["spec"]["dnsPolicy"] = json!("ClusterFirst");
    overlay(
        &mut live,
        &json!({ "spec": { "containers": [
            { "name": "worker", "env": [{ "name": "INJECTED", "value": "1" }] },
            { "name": "injected" },
        ]}}),
    );
    assert!(contains(&live, &pod()));
}

#[test]
fn a_changed_field_or_a_longer_list_is_seen() {
    for (path, value) in [
        ("/spec/containers/0/image", json!("b")),
        ("/spec/containers/0/args", json!(["x", "y", "z"])),
        ("/spec/containers/0/env", json!([])),
        ("/spec/nodeSelector", json!({})),
    ] {
        let mut live = pod();
        *live.pointer_mut(path).unwrap() = value;
        assert!(!contains(&live, &pod()), "{path}");
    }
}

#[test]
fn a_service_port_is_found_by_its_number_and_the_ports_of_a_policy_are_one_value() {
    let live = json!({ "ports": [{ "port": 1, "nodePort": 30001 }, { "port": 2 }] });
    assert!(contains(&live, &json!({ "ports": [{ "port": 2 }] })));
    assert!(!contains(&live, &json!({ "ports": [{ "port": 3 }] })));
    let policy = json!({ "ingress": [{}, {}] });
    assert!(!contains(&policy, &json!({ "ingress": [{}] })));
}

#[test]
fn a_digest_is_the_same_in_every_release() {
    assert_eq!(
        digest(&json!({ "b": 1, "a": [true, "x"] })),
        digest(&json!({ "a": [true, "x"], "b": 1 }))
    );
    assert_eq!(digest(&json!("")), "07cc7607b4949e25");
}
