//! The API server's audit log: which operator asked for what, and when.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result};
use jiff::Timestamp;
use serde_json::Value;

/// One request that was answered.
#[derive(Debug, Clone)]
pub struct Request {
    /// Who asked.
    pub user: String,
    /// `get`, `list`, `watch`, `create`, `patch` …
    pub verb: String,
    /// Such as `deployments/scale`.
    pub resource: String,
    /// Namespace and name of the object.
    pub object: String,
    /// When it came.
    pub received: Timestamp,
    /// When it was answered.
    pub answered: Timestamp,
    /// The HTTP status of the answer.
    pub code: i64,
    /// What was sent, where the policy keeps it.
    pub body: Value,
}

impl Request {
    /// Whether it changes something, if it is allowed.
    pub fn writes(&self) -> bool {
        !["get", "list", "watch"].contains(&self.verb.as_str())
    }

    /// Whether it is about who leads.
    pub fn is_lease(&self) -> bool {
        self.resource == "leases"
    }
}

/// All requests since `since` but those of the discovery, in the order of the answers.
///
/// # Errors
/// When the log cannot be read.
pub fn requests(log: &Path, since: Timestamp) -> Result<Vec<Request>> {
    let text =
        std::fs::read_to_string(log).with_context(|| format!("cannot read {}", log.display()))?;
    // The last line may be half written.
    let events = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let requests = events.filter_map(|event| parsed(&event));
    Ok(requests.filter(|request| request.received >= since).collect())
}

fn parsed(event: &Value) -> Option<Request> {
    let word = |pointer: &str| {
        event.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let resource = word("/objectRef/resource");
    if resource.is_empty() {
        return None;
    }
    let sub = word("/objectRef/subresource");
    Some(Request {
        user: word("/user/username"),
        verb: word("/verb"),
        resource: if sub.is_empty() { resource } else { format!("{resource}/{sub}") },
        object: format!("{}/{}", word("/objectRef/namespace"), word("/objectRef/name")),
        received: word("/requestReceivedTimestamp").parse().ok()?,
        answered: word("/stageTimestamp").parse().ok()?,
        code: event.pointer("/responseStatus/code").and_then(Value::as_i64).unwrap_or_default(),
        body: event.get("requestObject").cloned().unwrap_or_default(),
    })
}

/// How many of each verb, resource and outcome, for a person to read.
pub fn table(requests: &[Request], queues: usize) -> String {
    let mut counts: BTreeMap<(String, String, i64), usize> = BTreeMap::new();
    for request in requests {
        *counts
            .entry((request.verb.clone(), request.resource.clone(), request.code))
            .or_default() += 1;
    }
    let line = |((verb, resource, code), count): (&(String, String, i64), &usize)| {
        let each = *count as f64 / queues.max(1) as f64;
        format!("  {verb:<7} {resource:<24} {code}  {count:>7}  {each:>6.2} for each queue\n")
    };
    counts.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    #[test]
    fn a_line_of_the_log_becomes_a_request_and_the_discovery_none() {
        let event = json!({ "verb": "patch", "user": { "username": "operator-1" },
            "objectRef": { "resource": "deployments", "subresource": "scale", "namespace": "n", "name": "q" },
            "requestReceivedTimestamp": "2026-01-01T00:00:00.5Z", "stageTimestamp": "2026-01-01T00:00:01Z",
            "responseStatus": { "code": 200 }, "requestObject": { "spec": { "replicas": 3 } } });
        let request = parsed(&event).unwrap();
        assert!(request.writes() && !request.is_lease());
        assert_eq!(
            (request.resource.as_str(), request.object.as_str()),
            ("deployments/scale", "n/q")
        );
        assert_eq!(request.body["spec"]["replicas"], 3);
        assert!(parsed(&json!({ "verb": "get", "requestURI": "/api" })).is_none());
    }
}
