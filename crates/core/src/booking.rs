//! A booking's life: the states, the table of transitions, and what can be seen of one booking.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::details::Quantity;
use crate::ids::{BookingId, ClientId, PaymentId, RequestId, ReservationId};
use crate::place::Place;
use crate::time::Timestamp;

/// Where a booking is in its life.
///
/// ```text
/// queued -> reserving -> reserved -> confirming -> confirmed
///              |            |            '-> releasing -> failed
///              |            '-> releasing -> expired | cancelled
///              |-> sold_out | rejected
///              |-> queued        refused at the moment; parked with the same place
///              |-> confirming    paid before, after an earlier hold had expired
///              '-> releasing -> failed | cancelled | sold_out | rejected
/// queued -> cancelled | sold_out
/// queued -> releasing -> cancelled | sold_out     a late Reserve may still arrive
/// ```
///
/// Who waits is queued all the time, in the line or parked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BookingState {
    /// Waits: in the line, or parked until its item is available again.
    Queued,
    /// A worker asks the Booking Service for a reservation.
    Reserving,
    /// Held, waiting for payment until the deadline.
    Reserved,
    /// Paid in time; a worker confirms it at the Booking Service. It can no longer expire or be
    /// cancelled.
    Confirming,
    /// A worker releases the reservation; the [`Outcome`] says which final state follows.
    Releasing,
    /// Final: paid and confirmed.
    Confirmed,
    /// Final: not paid in time, released.
    Expired,
    /// Final: cancelled by the client.
    Cancelled,
    /// Final: the Booking Service has nothing left. Where clients may wait: and nothing can come
    /// back any more. Released before if a late Reserve may still arrive; so is a rejected one.
    SoldOut,
    /// Final: the Booking Service refused the booking.
    Rejected,
    /// Final: attempts used up, or the confirmation was refused; released.
    Failed,
}

impl BookingState {
    /// Every state, in the order of a life.
    pub const ALL: [Self; 11] = [
        Self::Queued,
        Self::Reserving,
        Self::Reserved,
        Self::Confirming,
        Self::Releasing,
        Self::Confirmed,
        Self::Expired,
        Self::Cancelled,
        Self::SoldOut,
        Self::Rejected,
        Self::Failed,
    ];

    /// The word used in the store, in logs and in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Reserving => "reserving",
            Self::Reserved => "reserved",
            Self::Confirming => "confirming",
            Self::Releasing => "releasing",
            Self::Confirmed => "confirmed",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
            Self::SoldOut => "sold_out",
            Self::Rejected => "rejected",
            Self::Failed => "failed",
        }
    }

    /// Parses [`Self::as_str`].
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }

    /// Whether nothing follows.
    pub fn is_final(self) -> bool {
        self.successors().is_empty()
    }

    /// Whether a worker holds, or may claim, a task for it: the states whose members live in
    /// `booking-leases`.
    pub fn is_leased(self) -> bool {
        matches!(self, Self::Reserving | Self::Confirming | Self::Releasing)
    }

    /// The transition table: every state that may directly follow this one.
    pub fn successors(self) -> &'static [Self] {
        use BookingState as S;
        match self {
            S::Queued => &[S::Reserving, S::Cancelled, S::SoldOut, S::Releasing],
            S::Reserving => {
                &[S::Reserved, S::SoldOut, S::Rejected, S::Releasing, S::Queued, S::Confirming]
            }
            S::Reserved => &[S::Confirming, S::Releasing],
            S::Confirming => &[S::Confirmed, S::Releasing],
            // Confirmed: the store was set back to a moment before the sale.
            S::Releasing => {
                &[S::Expired, S::Cancelled, S::Failed, S::SoldOut, S::Rejected, S::Confirmed]
            }
            S::Confirmed | S::Expired | S::Cancelled | S::SoldOut | S::Rejected | S::Failed => &[],
        }
    }

    /// Whether `next` may directly follow.
    pub fn may_become(self, next: Self) -> bool {
        self.successors().contains(&next)
    }
}

impl fmt::Display for BookingState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a booking is being released, and so the final state that follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Not paid in time.
    Expired,
    /// The client left.
    Cancelled,
    /// Attempts used up, or the confirmation was refused.
    Failed,
    /// The Booking Service has nothing left, and a late Reserve may still arrive.
    SoldOut,
    /// The Booking Service refused the booking, and a late Reserve may still arrive.
    Rejected,
}

impl Outcome {
    /// Every outcome.
    pub const ALL: [Self; 5] =
        [Self::Expired, Self::Cancelled, Self::Failed, Self::SoldOut, Self::Rejected];

    /// The final state that follows the release.
    pub fn state(self) -> BookingState {
        match self {
            Self::Expired => BookingState::Expired,
            Self::Cancelled => BookingState::Cancelled,
            Self::Failed => BookingState::Failed,
            Self::SoldOut => BookingState::SoldOut,
            Self::Rejected => BookingState::Rejected,
        }
    }

    /// The word used in the store: that of the final state.
    pub fn as_str(self) -> &'static str {
        self.state().as_str()
    }

    /// Parses [`Self::as_str`].
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.as_str() == word)
    }
}

/// What can be seen of one booking at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Booking {
    /// The client.
    pub client: ClientId,
    /// Never used again.
    pub id: BookingId,
    /// The request that made it.
    pub request: RequestId,
    /// Where it is in its life.
    pub state: BookingState,
    /// Its place in the order.
    pub place: Place,
    /// 1 = next; `None` unless queued. Of a parked booking: among all that wait for its item.
    pub position: Option<u64>,
    /// Whether it is queued and waits for an item that is sold out at the moment.
    pub parked: bool,
    /// When it joined the line.
    pub enqueued_at: Timestamp,
    /// The item; empty once the booking has ended, unless it expired.
    pub item: Arc<str>,
    /// How many of it; 1 once the booking has ended, unless it expired.
    pub quantity: Quantity,
    /// From the Booking Service; `None` until reserved.
    pub reservation: Option<ReservationId>,
    /// Pay before this; `None` until reserved.
    pub deadline: Option<Timestamp>,
    /// The payment that won; `None` until then.
    pub payment: Option<PaymentId>,
    /// Why it is or was released; also `Cancelled` on a reserving booking whose client cancelled.
    pub outcome: Option<Outcome>,
    /// Why it was rejected or failed; may be empty.
    pub reason: String,
}
