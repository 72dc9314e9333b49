//! Why a controller cannot create Pods: a StatefulSet and a Job say it in events only.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::events::v1::Event;
use kube::api::ListParams;
use kube::{Api, Client};
use tracing::debug;

use crate::error::call_within;

/// Deadline of the call, so that one API server that hangs delays no other step for long.
const DEADLINE: Duration = Duration::from_secs(3);
/// Events that are read.
const LIMIT: u32 = 100;

/// The message of the last attempt of the object's controller to create a Pod or a volume, if it
/// failed, and the time of the first such event. An unreadable event says nothing.
pub async fn refused(
    client: &Client,
    namespace: &str,
    kind: &str,
    name: &str,
) -> Option<(String, Timestamp)> {
    let api: Api<Event> = Api::namespaced(client.clone(), namespace);
    let about = format!("regarding.kind={kind},regarding.name={name}");
    let parameters = ListParams::default().fields(&about).limit(LIMIT);
    let events = call_within(DEADLINE, "list events", api.list(&parameters)).await;
    let events = match events {
        Ok(events) => events.items,
        Err(error) => {
            debug!(%error, "the events of an object are unknown");
            return None;
        }
    };
    last_attempt(&events)
}

/// Of these events: the failure, unless a later event says that a Pod was created.
pub fn last_attempt(events: &[Event]) -> Option<(String, Timestamp)> {
    let is_attempt = |event: &&Event| {
        matches!(event.reason.as_deref(), Some("FailedCreate" | "SuccessfulCreate"))
    };
    let last = events.iter().filter(is_attempt).max_by_key(|event| last_seen(event))?;
    if last.reason.as_deref() != Some("FailedCreate") {
        return None;
    }
    let first = last.deprecated_first_timestamp.as_ref().map_or_else(|| last_seen(last), |at| at.0);
    Some((last.note.clone().unwrap_or_default(), first))
}

fn last_seen(event: &Event) -> Timestamp {
    let series = event.series.as_ref().map(|series| series.last_observed_time.0);
    let old = event.deprecated_last_timestamp.as_ref().map(|at| at.0);
    let made = event.metadata.creation_timestamp.as_ref().map(|at| at.0);
    let first = event.event_time.as_ref().map(|at| at.0);
    series.into_iter().chain(old).chain(first).chain(made).max().unwrap_or(Timestamp::UNIX_EPOCH)
}
