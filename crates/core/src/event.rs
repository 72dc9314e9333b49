//! What the outbox carries: one event for each transition, written by the step that makes it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::booking::{BookingState, Outcome};
use crate::ids::{BookingId, ClientId, Fence};
use crate::place::Place;
use crate::time::Timestamp;

/// Where an event stands among all events of its queue. Only grows.
///
/// `ms` and the upper 48 bits of `number` are the id of the outbox entry; the lower 16 bits count
/// events within it, since one store call writes all its events as one entry.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, Default,
)]
pub struct EventSeq {
    /// Milliseconds part.
    pub ms: u64,
    /// Entry number within the millisecond, and index within the entry.
    pub number: u64,
}

impl EventSeq {
    /// Before every event.
    pub const START: Self = Self { ms: 0, number: 0 };

    /// From the parts of an entry id and the index in the entry.
    pub fn new(ms: u64, entry: u64, index: u16) -> Self {
        Self { ms, number: (entry << 16) | u64::from(index) }
    }

    /// The second part of the entry's id.
    pub fn entry(self) -> u64 {
        self.number >> 16
    }
}

impl fmt::Display for EventSeq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}.{}", self.ms, self.entry(), self.number & 0xffff)
    }
}

/// One transition of one booking.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Its place among all events of the queue.
    pub seq: EventSeq,
    /// When (the store's clock).
    pub at: Timestamp,
    /// Whose booking.
    pub client: ClientId,
    /// Which booking.
    pub booking: BookingId,
    /// Its place in the order.
    #[serde(flatten)]
    pub place: Place,
    /// Before; `None` when the booking is new. Equal to `to` when a task was claimed again.
    pub from: Option<BookingState>,
    /// After.
    pub to: BookingState,
    /// The claim this belongs to; 0 before the first.
    pub fence: Fence,
    /// Pay before this; only with `to` = reserved.
    pub deadline: Option<Timestamp>,
    /// What follows the release; only with `to` = releasing.
    pub outcome: Option<Outcome>,
    /// Why; may be empty.
    pub reason: String,
}

impl Event {
    /// Whether a task in hand was claimed again, rather than a state changed.
    pub fn is_reclaim(&self) -> bool {
        self.from == Some(self.to)
    }
}
