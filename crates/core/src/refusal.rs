//! Why the queue says no: decided by the store in the same step that would have made the change.

use crate::booking::BookingState;

/// A request the rules do not allow. Not a fault: repeating it gives the same answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The queue takes no new bookings.
    #[error("the queue is closed: it takes no new bookings")]
    QueueClosed,
    /// The client has no booking here, or it is forgotten, or it is not the one that was named.
    #[error("there is no such booking for this client in this queue")]
    BookingNotFound,
    /// The deadline passed before the payment arrived.
    #[error("the hold has expired: the payment came after the deadline")]
    HoldExpired,
    /// The booking is decided.
    #[error("the booking is {0} and can no longer be changed this way")]
    AlreadyFinal(BookingState),
    /// There is nothing to pay yet.
    #[error("the booking is {0}: there is no hold to pay for yet")]
    NotReserved(BookingState),
}
