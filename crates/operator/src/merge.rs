//! Objects as trees: laying one over another, and asking whether one holds all that another says.
//!
//! Both know, as the API server does, which lists are sets of named things and which are one value.

use serde_json::{Map, Value};

/// Lists whose elements are told apart by a key of theirs; every other list is one value, taken or
/// left as a whole.
const KEYED: [(&str, &str); 9] = [
    ("containers", "name"),
    ("initContainers", "name"),
    ("env", "name"),
    ("volumes", "name"),
    ("volumeMounts", "mountPath"),
    ("imagePullSecrets", "name"),
    ("hostAliases", "ip"),
    ("ownerReferences", "uid"),
    ("topologySpreadConstraints", "topologyKey"),
];
/// Ports are told apart by this in a container, and by `port` in a Service.
const PORTS: [&str; 2] = ["containerPort", "port"];

fn key_of(field: &str, element: &Value) -> Option<&'static str> {
    if field == "ports" {
        return PORTS.into_iter().find(|key| element.get(key).is_some());
    }
    KEYED.iter().find(|(name, _)| *name == field).map(|(_, key)| *key)
}

/// The element of `list` with the same key as `element`, where `list` (in the field `field`) is a
/// set of keyed things.
fn counterpart(field: &str, list: &[Value], element: &Value) -> Option<usize> {
    let key = key_of(field, element)?;
    list.iter().position(|other| other.get(key).is_some() && other.get(key) == element.get(key))
}

/// Lays `over` over `base`: objects field by field, keyed lists element by element, all else
/// replaces. `null` removes.
pub fn overlay(base: &mut Value, over: &Value) {
    lay("", base, over);
}

fn lay(field: &str, base: &mut Value, over: &Value) {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => lay_fields(base, over),
        (Value::Array(base), Value::Array(over))
            if over.iter().all(|e| key_of(field, e).is_some()) =>
        {
            for element in over {
                match counterpart(field, base, element) {
                    Some(index) => lay("", &mut base[index], element),
                    None => base.push(element.clone()),
                }
            }
        }
        (base, over) => *base = over.clone(),
    }
}

fn lay_fields(base: &mut Map<String, Value>, over: &Map<String, Value>) {
    for (name, value) in over {
        if value.is_null() {
            base.remove(name);
        } else {
            lay(name, base.entry(name.clone()).or_insert(Value::Null), value);
        }
    }
}

/// Whether `live` says all that `wanted` says. What it says beyond that (defaults, others' fields)
/// does not matter.
pub fn contains(live: &Value, wanted: &Value) -> bool {
    holds("", live, wanted)
}

fn holds(field: &str, live: &Value, wanted: &Value) -> bool {
    match (live, wanted) {
        (Value::Object(live), Value::Object(wanted)) => wanted.iter().all(|(name, value)| {
            live.get(name).map_or_else(|| is_nothing(value), |live| holds(name, live, value))
        }),
        (Value::Array(live), Value::Array(wanted))
            if wanted.iter().any(|e| key_of(field, e).is_some()) =>
        {
            wanted.iter().all(|element| {
                counterpart(field, live, element)
                    .is_some_and(|index| holds("", &live[index], element))
            })
        }
        (Value::Array(live), Value::Array(wanted)) => {
            live.len() == wanted.len()
                && live.iter().zip(wanted).all(|(live, wanted)| holds("", live, wanted))
        }
        (live, wanted) => live == wanted,
    }
}

/// The API server leaves out what is empty.
fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(fields) => fields.is_empty(),
        Value::Array(elements) => elements.is_empty(),
        Value::String(text) => text.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

/// A digest of a tree: the same in every process and release (FNV-1a over its text, whose fields
/// are sorted).
pub fn digest(value: &Value) -> String {
    let hash = value.to_string().bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    format!("{hash:016x}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

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
        assert_eq!(
            laid["spec"]["containers"],
            json!([worker, { "name": "sidecar", "image": "s" }])
        );
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
    fn a_service_port_is_found_by_its_number_and_a_policys_ports_are_one_value() {
        let live = json!({ "ports": [{ "port": 1, "nodePort": 30001 }, { "port": 2 }] });
        assert!(contains(&live, &json!({ "ports": [{ "port": 2 }] })));
        assert!(!contains(&live, &json!({ "ports": [{ "port": 3 }] })));
        let policy = json!({ "ingress": [{}, {}] });
        assert!(!contains(&policy, &json!({ "ingress": [{}] })));
    }

    #[test]
    fn a_digest_stays_the_same_for_ever() {
        assert_eq!(
            digest(&json!({ "b": 1, "a": [true, "x"] })),
            digest(&json!({ "a": [true, "x"], "b": 1 }))
        );
        assert_eq!(digest(&json!("")), "07cc7607b4949e25");
    }
}
