//! Events: what happened to a queue, in words, where `kubectl describe` shows them.

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};

use crate::build::names;
use crate::error::call;

/// Longest note that the API server takes, in bytes.
const MAX_NOTE: usize = 1024;

/// Publishes events. One that cannot be published is logged and forgotten: nothing waits for it.
#[derive(Clone)]
pub struct Events {
    recorder: Recorder,
}

impl Events {
    /// Of the operator `instance` (its Pod).
    pub fn new(client: Client, instance: String) -> Self {
        let reporter = Reporter { controller: names::MANAGER.to_owned(), instance: Some(instance) };
        Self { recorder: Recorder::new(client, reporter) }
    }

    /// Something that was to be expected.
    pub async fn normal(&self, about: &ObjectReference, reason: &str, action: &str, note: String) {
        self.publish(EventType::Normal, about, reason, action, note).await;
    }

    /// Something that a person should look at.
    pub async fn warning(&self, about: &ObjectReference, reason: &str, action: &str, note: String) {
        self.publish(EventType::Warning, about, reason, action, note).await;
    }

    /// Events of one queue, reason and action within six minutes are counted as one, with the first
    /// one's note.
    async fn publish(
        &self,
        type_: EventType,
        about: &ObjectReference,
        reason: &str,
        action: &str,
        mut note: String,
    ) {
        note.truncate(note.floor_char_boundary(MAX_NOTE));
        let event = Event {
            type_,
            reason: reason.to_owned(),
            note: Some(note),
            action: action.to_owned(),
            secondary: None,
        };
        if let Err(error) = call("publish an event", self.recorder.publish(&event, about)).await {
            tracing::warn!(%error, reason, "an event was not published");
        }
    }
}
