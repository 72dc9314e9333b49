//! What is reported of updates: for the status, and once in an event.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::Mutex;

use super::decision::{UpdateWait, WaitsFor};
use super::templates::PendingUpdate;
use crate::build::names;
use crate::queue::QueueKey;

/// Longest time between two looks at a queue whose update waits.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// The outcome of the last comparison of a queue with its operator.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum UpdateReport {
    /// There was none yet.
    #[default]
    Unknown,
    /// An update may have to wait: the line has not been read yet.
    Unread,
    /// Nothing waits.
    Nothing,
    /// An update waits.
    Waits(PendingUpdate, UpdateWait),
    /// An update begins, because it may.
    Begins(PendingUpdate),
    /// An update begins, because the spec changes the same templates.
    Taken(PendingUpdate),
}

impl UpdateReport {
    /// The update that waits, and for what.
    pub fn waiting(&self) -> Option<(&PendingUpdate, &UpdateWait)> {
        match self {
            Self::Waits(update, wait) => Some((update, wait)),
            _ => None,
        }
    }

    /// Whether it matters at once that the line becomes empty.
    pub fn awaits_idle(&self) -> bool {
        matches!(self, Self::Unread | Self::Waits(..))
    }

    /// How long until the queue is looked at again: a window may open, or minutes may have passed
    /// in which it served no client.
    pub fn look_again(&self, now: Timestamp) -> Option<Duration> {
        let window = self.waiting()?.1.window;
        let opens = window.map(|begins| Duration::try_from(begins - now).unwrap_or_default());
        Some(opens.map_or(LOOK_AGAIN, |opens| LOOK_AGAIN.min(opens + Duration::from_secs(1))))
    }
}

/// The reports of all queues.
#[derive(Default)]
pub struct UpdateReports(Mutex<HashMap<QueueKey, KnownReport>>);

/// A report, and the updates of the last event of each kind.
#[derive(Default)]
struct KnownReport {
    report: UpdateReport,
    shown: HashMap<UpdateEvent, String>,
}

/// What an event says of an update.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum UpdateEvent {
    /// It waits.
    Waits,
    /// It begins, because it may.
    Begins,
    /// It begins with a change of the spec.
    Taken,
}

impl UpdateReports {
    /// That of a queue.
    pub fn of(&self, key: &QueueKey) -> UpdateReport {
        self.0.lock().get(key).map(|known| known.report.clone()).unwrap_or_default()
    }

    /// Forgets a deleted queue.
    pub fn forget(&self, key: &QueueKey) {
        self.0.lock().remove(key);
    }

    pub(super) fn set(&self, key: &QueueKey, report: UpdateReport) {
        self.0.lock().entry(key.clone()).or_default().report = report;
    }

    /// Whether an update has begun: then it goes on, although clients may have come meanwhile.
    pub(super) fn has_begun(&self, key: &QueueKey, id: &str) -> bool {
        let all = self.0.lock();
        all.get(key).is_some_and(|known| known.has_shown(UpdateEvent::Begins, id))
    }

    /// Whether an event is new: the last one of its kind was of another update.
    pub(super) fn is_new(&self, key: &QueueKey, event: UpdateEvent, id: &str) -> bool {
        let mut all = self.0.lock();
        let known = all.entry(key.clone()).or_default();
        let is_new = !known.has_shown(event, id);
        known.shown.insert(event, id.to_owned());
        is_new
    }
}

impl KnownReport {
    fn has_shown(&self, event: UpdateEvent, id: &str) -> bool {
        self.shown.get(&event).is_some_and(|shown| shown == id)
    }
}

/// The message of the condition UpdatePending.
pub fn sentence(update: &PendingUpdate, wait: &UpdateWait) -> String {
    let PendingUpdate { id, from, to, parts } = update;
    let meanwhile = &wait.meanwhile;
    let until = match (wait.waits_for, wait.window) {
        (WaitsFor::Annotation, _) => "an approval".to_owned(),
        (_, Some(window)) => format!("an empty line, or the window at {window} ({meanwhile})"),
        (_, None) => format!("an empty line ({meanwhile})"),
    };
    format!(
        "{parts}: {from} runs; {to} is ready and waits for {until}. To begin now, set the \
         annotation {}: {id}",
        names::UPDATE
    )
}
