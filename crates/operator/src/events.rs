//! Kubernetes Events about queues, which `kubectl describe` shows.

use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};

use crate::build::names;
use crate::error::call;

/// Longest note that the API server accepts, in bytes.
const MAX_NOTE: usize = 1024;

/// How long the publisher of an event waits for it. The API server may take longer; what comes
/// after an event must not.
const WAIT: Duration = Duration::from_millis(500);

/// Publishes events. One that cannot be published is logged and dropped.
#[derive(Clone)]
pub struct EventRecorder(Recorder);

impl EventRecorder {
    /// Events of the operator `instance` (its Pod).
    pub fn new(client: Client, instance: String) -> Self {
        let reporter = Reporter { controller: names::MANAGER.to_owned(), instance: Some(instance) };
        Self(Recorder::new(client, reporter))
    }

    /// Publishes one event. Those of the same queue, reason and action within six minutes are
    /// counted as one, with the note of the first.
    pub async fn publish(
        &self,
        type_: EventType,
        about: &ObjectReference,
        reason: &str,
        action: &str,
        mut note: String,
    ) {
        note.truncate(note.floor_char_boundary(MAX_NOTE));
        let (reason, action) = (reason.to_owned(), action.to_owned());
        let event = Event { type_, reason, note: Some(note), action, secondary: None };
        let (recorder, about) = (self.0.clone(), about.clone());
        let published = tokio::spawn(async move {
            if let Err(error) = call("publish an event", recorder.publish(&event, &about)).await {
                tracing::warn!(%error, reason = event.reason, "an event was not published");
            }
        });
        // It goes on by itself, within the deadline of the call.
        tokio::time::timeout(WAIT, published).await.ok();
    }
}
