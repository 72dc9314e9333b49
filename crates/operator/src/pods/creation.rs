//! Why a controller cannot create Pods: a StatefulSet and a Job say it in events only.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use k8s_openapi::api::events::v1::Event as EventObject;
use kube::ResourceExt as _;
use kube::runtime::reflector::ObjectRef;
use kube::runtime::watcher::Event;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::timeout;

use super::pod_fault::text;
use crate::build::names::{self, Part};
use crate::queue::QueueKey;

/// The events that are watched: a controller could not create a Pod or a volume.
pub const FAILED_CREATE: &str = "reason=FailedCreate";
/// Longest wait for the first list of events: an operator that may not read them goes on without.
const LISTED_WITHIN: Duration = Duration::from_secs(5);

/// The object whose controller should have created a Pod that is missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MissingOf {
    /// The StatefulSet of a managed Redis, by its UID: one of the same name may have been deleted.
    StatefulSet(String),
    /// A Job of the sweeper, by its name, which no other Job has.
    Job(String),
}

/// A failure to create a Pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreationRefusal {
    /// What the API server said.
    pub message: String,
    /// The first time that it said so while the Pod was missing.
    pub since: Timestamp,
}

/// Failures to create Pods of queues: the newest one of each part, as the watch brought it; and
/// which parts miss a Pod. Failures of other applications are not kept.
pub struct CreationFailures {
    failures: Mutex<HashMap<PartKey, FailedCreate>>,
    /// The parts in the list that is being received.
    arriving: Mutex<HashSet<PartKey>>,
    /// Whether the first list has arrived, or is not waited for any more.
    listed: watch::Sender<bool>,
    parts: Mutex<HashMap<PartKey, PartLooks>>,
}

type PartKey = (QueueKey, Part);

/// What an event says.
struct FailedCreate {
    /// Name of the event, which is deleted after an hour or so.
    event: String,
    about: MissingOf,
    message: String,
    first: Timestamp,
    last: Timestamp,
}

/// What this process has seen of the Pods of a part.
#[derive(Default)]
struct PartLooks {
    /// When no Pod was missing the last time.
    complete: Option<Timestamp>,
    /// Since when one is missing.
    missing: Option<Instant>,
}

impl Default for CreationFailures {
    fn default() -> Self {
        Self {
            failures: Mutex::default(),
            arriving: Mutex::default(),
            listed: watch::Sender::new(false),
            parts: Mutex::default(),
        }
    }
}

impl CreationFailures {
    /// Applies an event of a watch of [`FAILED_CREATE`].
    pub fn on_event(&self, event: &Event<EventObject>) {
        match event {
            Event::Init => self.arriving.lock().clear(),
            Event::InitApply(failed) => {
                let part = self.insert(failed);
                self.arriving.lock().extend(part);
            }
            Event::InitDone => {
                let arrived = std::mem::take(&mut *self.arriving.lock());
                self.failures.lock().retain(|part, _| arrived.contains(part));
                self.listed.send_replace(true);
            }
            Event::Apply(failed) => {
                self.insert(failed);
            }
            Event::Delete(failed) => {
                let Some((part, _)) = missing_of(failed) else { return };
                let mut failures = self.failures.lock();
                if failures.get(&part).is_some_and(|own| own.event == failed.name_any()) {
                    failures.remove(&part);
                }
            }
        }
    }

    /// Waits for the first list, so that an operator that has just started says what the one before
    /// it said; for some seconds at most.
    pub async fn listed(&self) {
        let mut listed = self.listed.subscribe();
        if timeout(LISTED_WITHIN, listed.wait_for(|listed| *listed)).await.is_err() {
            self.listed.send_replace(true);
        }
    }

    /// Why a Pod of a part is missing, unless one was there after the last failure. `newest_pod` is
    /// when the newest one that exists was created.
    pub fn refusal_of(
        &self,
        key: &QueueKey,
        part: Part,
        about: &MissingOf,
        newest_pod: Option<Timestamp>,
    ) -> Option<CreationRefusal> {
        let part = (key.clone(), part);
        let complete = self.parts.lock().get(&part).and_then(|looks| looks.complete);
        let failures = self.failures.lock();
        let failure = failures.get(&part).filter(|failure| failure.about == *about)?;
        // A controller keeps the first time of a message for as long as it runs, so it may be that
        // of an earlier failure.
        let was_there = newest_pod.max(complete);
        if was_there.is_some_and(|was_there| was_there > failure.last) {
            return None;
        }
        let since = was_there.map_or(failure.first, |was_there| was_there.max(failure.first));
        Some(CreationRefusal { message: failure.message.clone(), since })
    }

    /// Notes that a Pod of a part is missing. Returns for how long.
    pub fn note_missing(&self, key: &QueueKey, part: Part, now: Instant) -> Duration {
        let mut parts = self.parts.lock();
        let looks = parts.entry((key.clone(), part)).or_default();
        now.duration_since(*looks.missing.get_or_insert(now))
    }

    /// Notes that no Pod of a part is missing.
    pub fn note_complete(&self, key: &QueueKey, part: Part, now: Timestamp) {
        let looks = PartLooks { complete: Some(now), missing: None };
        self.parts.lock().insert((key.clone(), part), looks);
    }

    /// Forgets a deleted queue.
    pub fn forget(&self, key: &QueueKey) {
        self.parts.lock().retain(|(queue, _), _| queue != key);
    }

    fn insert(&self, event: &EventObject) -> Option<PartKey> {
        let (part, about) = missing_of(event)?;
        let last = last_seen(event);
        let first = event.deprecated_first_timestamp.as_ref().map_or(last, |at| at.0);
        let message = event.note.as_deref().map(text).unwrap_or_default();
        let failure = FailedCreate { event: event.name_any(), about, message, first, last };
        let mut failures = self.failures.lock();
        if failures.get(&part).is_none_or(|known| known.last <= last) {
            failures.insert(part.clone(), failure);
        }
        Some(part)
    }
}

/// What an event is about, if its object has a name and a kind of ours.
fn missing_of(event: &EventObject) -> Option<(PartKey, MissingOf)> {
    let about = event.regarding.as_ref()?;
    let (namespace, name) = (about.namespace.as_deref()?, about.name.as_deref()?);
    let (queue, part, missing) = match about.kind.as_deref()? {
        "StatefulSet" => {
            let uid = about.uid.clone().unwrap_or_default();
            (names::queue_of_redis(name)?, Part::Redis, MissingOf::StatefulSet(uid))
        }
        "Job" => {
            let job = MissingOf::Job(name.to_owned());
            (names::queue_of_sweep(name)?, Part::Sweeper, job)
        }
        _ => return None,
    };
    Some(((ObjectRef::new(queue).within(namespace), part), missing))
}

fn last_seen(event: &EventObject) -> Timestamp {
    let series = event.series.as_ref().map(|series| series.last_observed_time.0);
    let old = event.deprecated_last_timestamp.as_ref().map(|at| at.0);
    let made = event.metadata.creation_timestamp.as_ref().map(|at| at.0);
    let first = event.event_time.as_ref().map(|at| at.0);
    series.into_iter().chain(old).chain(first).chain(made).max().unwrap_or(Timestamp::UNIX_EPOCH)
}
