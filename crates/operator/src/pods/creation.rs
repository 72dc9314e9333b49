//! Why a controller cannot create Pods: a StatefulSet and a Job say it in events only.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use k8s_openapi::api::events::v1::Event;
use kube::runtime::reflector::Store;
use parking_lot::Mutex;

use crate::build::names::Part;
use crate::queue::QueueKey;

/// The events that are watched: a controller could not create a Pod or a volume.
pub const FAILED_CREATE: &str = "reason=FailedCreate";

/// A failure to create a Pod: its message, and the time of the first event about it.
pub type CreationRefusal = (String, Timestamp);

/// Failures to create Pods: the events about them as the watch last saw them, and since when a Pod
/// of each part of a queue is missing, of those that miss one.
pub struct CreationFailures {
    events: Store<Event>,
    missing: Mutex<HashMap<(QueueKey, Part), Instant>>,
}

impl CreationFailures {
    /// Those of a watch with [`FAILED_CREATE`].
    pub fn new(events: Store<Event>) -> Self {
        Self { events, missing: Mutex::default() }
    }

    /// The message of the last failure of an object's controller, unless a Pod was created since:
    /// `newest_pod`.
    pub fn of(
        &self,
        (namespace, kind, name): (&str, &str, &str),
        newest_pod: Option<Timestamp>,
    ) -> Option<CreationRefusal> {
        let is_about = |event: &Event| {
            let about = event.regarding.as_ref();
            about.is_some_and(|about| {
                about.namespace.as_deref() == Some(namespace)
                    && about.kind.as_deref() == Some(kind)
                    && about.name.as_deref() == Some(name)
            })
        };
        let failures = self.events.state_filter(is_about);
        let last = failures.iter().max_by_key(|event| last_seen(event))?;
        let seen = last_seen(last);
        if newest_pod.is_some_and(|created| created > seen) {
            return None;
        }
        let first = last.deprecated_first_timestamp.as_ref().map_or(seen, |at| at.0);
        Some((last.note.clone().unwrap_or_default(), first))
    }

    /// A Pod of a part is missing: for how long.
    pub fn missing(&self, key: &QueueKey, part: Part, now: Instant) -> Duration {
        let since = *self.missing.lock().entry((key.clone(), part)).or_insert(now);
        now.duration_since(since)
    }

    /// No Pod of a part is missing.
    pub fn complete(&self, key: &QueueKey, part: Part) {
        self.missing.lock().remove(&(key.clone(), part));
    }

    /// Forgets a deleted queue.
    pub fn forget(&self, key: &QueueKey) {
        self.missing.lock().retain(|(queue, _), _| queue != key);
    }
}

fn last_seen(event: &Event) -> Timestamp {
    let series = event.series.as_ref().map(|series| series.last_observed_time.0);
    let old = event.deprecated_last_timestamp.as_ref().map(|at| at.0);
    let made = event.metadata.creation_timestamp.as_ref().map(|at| at.0);
    let first = event.event_time.as_ref().map(|at| at.0);
    series.into_iter().chain(old).chain(first).chain(made).max().unwrap_or(Timestamp::UNIX_EPOCH)
}
