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
}

/// The outcome of [`Confirm`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Confirmed {
    /// The payment won: the booking is confirming, and the caller holds its task.
    Won(Box<Task>, Booking),
    /// The same payment came before. The booking is confirming, confirmed, or about to fail.
    Repeated(Booking),
}

/// A client cancels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cancel {
    /// The client.
    pub client: ClientId,
    /// If set, only this booking is cancelled.
    pub booking: Option<BookingId>,
}
