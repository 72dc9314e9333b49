//! Unknown fields of a manifest: a misspelt field must not be ignored silently.

use kube::CustomResourceExt as _;
use serde_json::{Map, Value};

use crate::resolve::FieldProblem;
use crate::spec::BookingQueue;

/// The fields of a `BookingQueue` manifest that the resource does not have, each with those it has
/// at that place.
///
/// An API server says the same (`kubectl apply` validates strictly); this is for manifests that no
/// API server sees.
pub fn unknown_fields(manifest: &Value) -> Vec<FieldProblem> {
    let crd = serde_json::to_value(BookingQueue::crd()).unwrap_or_default();
    let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
    let mut problems = Vec::new();
    search(schema, &manifest["spec"], "spec", &mut problems);
    problems
}

fn search(schema: &Value, given: &Value, path: &str, problems: &mut Vec<FieldProblem>) {
    match given {
        Value::Object(fields) => {
            let Some(known) = schema["properties"].as_object() else { return };
            for (name, value) in fields {
                let path = format!("{path}.{name}");
                match known.get(name) {
                    Some(schema) => search(schema, value, &path, problems),
                    None => problems.push(unknown(path, known)),
                }
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                search(&schema["items"], item, &format!("{path}[{index}]"), problems);
            }
        }
        _ => {}
    }
}

fn unknown(path: String, known: &Map<String, Value>) -> FieldProblem {
    let names: Vec<&str> = known.keys().map(String::as_str).collect();
    FieldProblem { path, value: "not a field".to_owned(), allowed: names.join(", ") }
}
