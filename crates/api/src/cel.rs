//! CEL rules of the CRD, with which the API server rejects invalid combinations of fields.
//!
//! [`resolve`](crate::resolve) repeats the checks for manifests that no API server has seen.

use serde_json::{Value, json};

/// One rule in the Common Expression Language, as the value of `x-kubernetes-validations`.
pub fn rule(rule: &str, message: &str) -> Value {
    json!([{ "rule": rule, "message": message }])
}

/// Several rules, each with its message.
pub fn rules(rules: &[(&str, &str)]) -> Value {
    rules.iter().map(|(rule, message)| json!({ "rule": rule, "message": message })).collect()
}

/// `first` must not be longer than `second`; both are duration fields of the object the rule stands
/// on.
pub fn not_longer(first: &str, second: &str) -> Value {
    rule(
        &format!("duration(self.{first}) <= duration(self.{second})"),
        &format!("{first} must not be longer than {second}"),
    )
}
