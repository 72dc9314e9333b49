//! The events of the sample's namespace.

use std::time::Duration;

use anyhow::Result;
use serde_json::Value;

use super::cluster::{NAMESPACE, list};
use crate::within::{Look, until};

/// Waits for an event with this reason whose message contains `words`.
pub fn wait_for_event(reason: &str, words: &str, limit: Duration) -> Result<Value> {
    let selector = format!("--field-selector=reason={reason}");
    until(format!("the event {reason} with {words:?}"), limit, || {
        let events = list(&["events", "--namespace", NAMESPACE, &selector])?;
        let message = |event: &Value| event["message"].as_str().unwrap_or_default().to_owned();
        let messages: Vec<String> = events.iter().map(message).collect();
        let found = events.into_iter().find(|event| message(event).contains(words));
        Ok(found.map_or_else(|| Look::NotYet(messages.join("; ")), Look::Done))
    })
}
