//! Refusals: the store decides them in the same step that would have made the change.

use crate::booking::BookingState;

/// A request that the rules do not allow. It is no fault, and a repeat gets the same answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The queue takes no new bookings.
    #[error("the queue is closed: it takes no new bookings")]
    QueueClosed,
    /// The client has no booking here, its retention is over, or the request names another one.
    #[error("there is no such booking for this client in this queue")]
    BookingNotFound,
    /// The deadline passed before the payment arrived.
    #[error("the hold has expired: the payment came after the deadline")]
    HoldExpired,
    /// The booking is final, paid, or about to end.
    #[error("the booking is {0} and can no longer be changed this way")]
    AlreadyFinal(BookingState),
    /// There is no hold to pay for yet.
    #[error("the booking is {0}: there is no hold to pay for yet")]
    NotReserved(BookingState),
}
