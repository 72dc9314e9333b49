//! Why a controller cannot create Pods: a StatefulSet and a Job say it in events only. Reading them
//! is paced, because in a cluster without room the Pods of every queue are missing.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use k8s_openapi::api::events::v1::Event;
use kube::api::ListParams;
use kube::{Api, Client};
use parking_lot::Mutex;
use tracing::debug;

use crate::build::names::Part;
use crate::error::call_within;
use crate::queue::QueueKey;

/// Deadline of the call, so that one API server that hangs delays no other step for long.
const DEADLINE: Duration = Duration::from_secs(3);
/// Events that are read.
const LIMIT: u32 = 100;
/// Time in which a controller creates a Pod.
pub const CREATED_WITHIN: Duration = Duration::from_secs(5);
/// Longest time between two reads about the same part of a queue.
const LONGEST: Duration = Duration::from_secs(60);

/// A failure to create a Pod: its message, and the time of the first event about it.
pub type CreationRefusal = (String, Timestamp);

/// What the events said about the missing Pods of each queue, and when they are read again: 5 s
/// after a Pod is missed, then after twice the time, each minute in the end.
#[derive(Default)]
pub struct CreationReads(Mutex<HashMap<(QueueKey, Part), MissedPod>>);

struct MissedPod {
    /// When it was missed first, or its events were read last.
    at: Instant,
    /// From then to the next read.
    wait: Duration,
    refusal: Option<CreationRefusal>,
}

impl CreationReads {
    /// A Pod of a part is missing: the time until its events are to be read, zero if now, and what
    /// they said last.
    pub fn missing(
        &self,
        key: &QueueKey,
        part: Part,
        now: Instant,
    ) -> (Duration, Option<CreationRefusal>) {
        let missed = || MissedPod { at: now, wait: CREATED_WITHIN, refusal: None };
        let mut reads = self.0.lock();
        let missed = reads.entry((key.clone(), part)).or_insert_with(missed);
        let wait = missed.wait.saturating_sub(now.duration_since(missed.at));
        (wait, missed.refusal.clone())
    }

    /// Its events were read.
    pub fn read(&self, key: &QueueKey, part: Part, refusal: Option<CreationRefusal>, now: Instant) {
        if let Some(missed) = self.0.lock().get_mut(&(key.clone(), part)) {
            let wait = (missed.wait * 2).min(LONGEST);
            *missed = MissedPod { at: now, wait, refusal };
        }
    }

    /// No Pod of a part is missing.
    pub fn complete(&self, key: &QueueKey, part: Part) {
        self.0.lock().remove(&(key.clone(), part));
    }

    /// Forgets a deleted queue.
    pub fn forget(&self, key: &QueueKey) {
        self.0.lock().retain(|(queue, _), _| queue != key);
    }
}

/// The message of the last attempt of the object's controller to create a Pod or a volume, if it
/// failed, and the time of the first such event. An unreadable event says nothing.
pub async fn refused(
    client: &Client,
    namespace: &str,
    kind: &str,
    name: &str,
) -> Option<CreationRefusal> {
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
pub fn last_attempt(events: &[Event]) -> Option<CreationRefusal> {
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
