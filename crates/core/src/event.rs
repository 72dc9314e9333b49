//! Outbox events: one for each transition of a booking and each change of an item, written by the
//! step that makes it.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::booking::{BookingState, Outcome};
use crate::details::Quantity;
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

/// One event of the outbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum OutboxEvent {
    /// A booking made a transition.
    Booking(Event),
    /// An item changed, with all that wait for it.
    Item(ItemEvent),
}

impl OutboxEvent {
    /// Its order among all events of the queue.
    pub fn seq(&self) -> EventSeq {
        match self {
            Self::Booking(event) => event.seq,
            Self::Item(event) => event.seq,
        }
    }

    /// The time, by the store's clock.
    pub fn at(&self) -> Timestamp {
        match self {
            Self::Booking(event) => event.at,
            Self::Item(event) => event.at,
        }
    }

    /// The transition of a booking, unless it is about an item.
    pub fn booking(&self) -> Option<&Event> {
        match self {
            Self::Booking(event) => Some(event),
            Self::Item(_) => None,
        }
    }

    /// Like [`Self::booking`], by value.
    pub fn into_booking(self) -> Option<Event> {
        match self {
            Self::Booking(event) => Some(event),
            Self::Item(_) => None,
        }
    }
}

/// A change of an item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ItemEvent {
    /// Its order among all events of the queue.
    pub seq: EventSeq,
    /// The time, by the store's clock.
    pub at: Timestamp,
    /// The item, as Enqueue names it.
    pub item: Arc<str>,
    /// The change.
    pub change: ItemChange,
}

/// How an item changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ItemChange {
    /// Sold out at the moment, for this quantity and all larger ones.
    SoldOut {
        /// The smallest quantity that was refused.
        quantity: Quantity,
    },
    /// Available again, in any quantity.
    Open,
    /// Sold out for good: nothing can come back any more.
    Ended,
    /// Bookings left the line and wait for the item; they keep their places.
    Parked {
        /// The quantity that each of them wants.
        quantity: Quantity,
        /// Their places, ascending.
        places: Vec<Place>,
    },
}

/// What a parked booking waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parked {
    /// The item.
    pub item: Arc<str>,
    /// How many of it.
    pub quantity: Quantity,
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
    /// What the booking waits for; only when it was refused and is parked: from reserving to
    /// queued.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parked: Option<Parked>,
}

impl Event {
    /// Whether a task was claimed again without a change of state.
    pub fn is_reclaim(&self) -> bool {
        self.from == Some(self.to)
    }
}
