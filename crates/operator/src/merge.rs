//! Objects as trees: an overlay of one over another, and whether one contains another.
//!
//! As in the API server, some lists are sets of keyed elements, and the others are one value.

use serde_json::{Map, Value};

/// Lists whose elements have a key. Every other list is replaced or compared as a whole.
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
/// The key of a port: the first in a container, the second in a Service.
const PORTS: [&str; 2] = ["containerPort", "port"];

fn key_of(field: &str, element: &Value) -> Option<&'static str> {
    if field == "ports" {
        return PORTS.into_iter().find(|key| element.get(key).is_some());
    }
    KEYED.iter().find(|(name, _)| *name == field).map(|(_, key)| *key)
}

/// Index of the element of `list`, the value of `field`, that has the key of `element`.
fn counterpart(field: &str, list: &[Value], element: &Value) -> Option<usize> {
    let key = key_of(field, element)?;
    list.iter().position(|other| other.get(key).is_some() && other.get(key) == element.get(key))
}

/// Merges `over` into `base`: objects by field, keyed lists by element; every other value replaces.
/// `null` removes a field.
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

/// Whether `live` contains every value of `wanted`. It may contain more: defaults, and fields of
/// other managers.
pub fn contains(live: &Value, wanted: &Value) -> bool {
    holds("", live, wanted)
}

fn holds(field: &str, live: &Value, wanted: &Value) -> bool {
    match (live, wanted) {
        (Value::Object(live), Value::Object(wanted)) => wanted.iter().all(|(name, value)| {
            live.get(name).map_or_else(|| is_empty(value), |live| holds(name, live, value))
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

/// The API server omits empty values.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(fields) => fields.is_empty(),
        Value::Array(elements) => elements.is_empty(),
        Value::String(text) => text.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

/// A digest of an object, the same in every process and release: FNV-1a of its text with sorted
/// fields.
pub fn digest(value: &Value) -> String {
    let hash = value.to_string().bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    format!("{hash:016x}")
}
