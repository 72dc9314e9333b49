//! Outbox events: one for each transition, written by the step that makes it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::booking::{BookingState, Outcome};
use crate::ids::{BookingId, ClientId, Fence};
use crate::place::Place;
use crate::time::Timestamp;

/// The order of an event among all events of its queue.
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
    /// Its order among all events of the queue.
    pub seq: EventSeq,
    /// The time, by the store's clock.
    pub at: Timestamp,
    /// The client.
    pub client: ClientId,
    /// The booking.
    pub booking: BookingId,
    /// Its place in the order.
    #[serde(flatten)]
    pub place: Place,
    /// The state before; `None` for a new booking. Equal to `to` when a task is claimed again.
    pub from: Option<BookingState>,
    /// The state after.
    pub to: BookingState,
    /// The newest claim of the booking; 0 before the first.
    pub fence: Fence,
    /// The deadline of the payment; only with `to` = reserved.
    pub deadline: Option<Timestamp>,
    /// The final state after the release; only with `to` = releasing.
    pub outcome: Option<Outcome>,
    /// The reason; may be empty.
    pub reason: String,
}

impl Event {
    /// Whether a task was claimed again without a change of state.
    pub fn is_reclaim(&self) -> bool {
        self.from == Some(self.to)
    }
}
