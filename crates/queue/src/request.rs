//! What clients ask of a queue, and what it answers.

use bookingq_core::{Booking, BookingId, ClientId, Details, PaymentId, RequestId};

use crate::task::Task;

/// A client joins the line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enqueue {
    /// The client.
    pub client: ClientId,
    /// Identifies the request: a repeat returns the same booking.
    pub request: RequestId,
    /// The id of the booking, if this request makes one.
    pub booking: BookingId,
    /// What is booked.
    pub details: Details,
    /// W3C `traceparent`, if any.
    pub trace: Option<String>,
}

/// The outcome of [`Enqueue`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enqueued {
    /// The booking.
    pub booking: Booking,
    /// It existed before this call.
    pub existing: bool,
}

/// A payment arrives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confirm {
    /// The client.
    pub client: ClientId,
    /// If set, the payment is for this booking only.
    pub booking: Option<BookingId>,
    /// The payment.
    pub payment: PaymentId,
    /// If the hold has expired, make a new booking with this id, which is reserved and confirmed
    /// ahead of the line.
    pub reacquire: Option<BookingId>,
}

/// The outcome of [`Confirm`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Confirmed {
    /// The payment won: the booking is confirming, and the caller holds its task.
    Won(Box<Task>, Booking),
    /// The same payment came before. The booking is confirming or confirmed, or was refused.
    Repeated(Booking),
    /// The hold expired just now, and the client wants another one: the caller holds the task that
    /// releases it. Repeat the call after that.
    Releasing(Box<Task>),
    /// A new booking was made for the payment, and the caller holds its task: it is reserving, or
    /// was refused at once and is sold out (then there is no task).
    Reacquired(Option<Box<Task>>, Booking),
}

/// The request of the booking that is made for a payment after the hold of `expired` had ended.
///
/// # Panics
/// Never: the text is a valid id.
pub fn reacquiring(expired: BookingId) -> RequestId {
    RequestId::new(&format!("{REACQUIRE}{expired}"))
        .expect("a short text without control characters")
}

/// The booking whose hold had expired, if the request is one of [`reacquiring`].
pub fn reacquired_for(request: &RequestId) -> Option<BookingId> {
    BookingId::new(request.as_str().strip_prefix(REACQUIRE)?).ok()
}

const REACQUIRE: &str = "reacquire ";

/// A client cancels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cancel {
    /// The client.
    pub client: ClientId,
    /// If set, only this booking is cancelled.
    pub booking: Option<BookingId>,
}
