//! What callers bring, and what they see.

use std::time::Duration;

use bookingq_core::autoscale::driver::Measurement;
use bookingq_core::{
    Admission, Booking, BookingId, ClientId, Details, Event, EventSeq, PaymentId, Place, RequestId,
    Timestamp,
};

use crate::task::Task;

/// A place in line, please.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enqueue {
    /// Who.
    pub client: ClientId,
    /// Which request; repeated, it returns the same booking.
    pub request: RequestId,
    /// The id a new booking gets.
    pub booking: BookingId,
    /// What is booked.
    pub details: Details,
    /// W3C `traceparent`, if any.
    pub trace: Option<String>,
}

/// The place in line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enqueued {
    /// The booking.
    pub booking: Booking,
    /// It was there before this call.
    pub existing: bool,
}

/// A payment has arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confirm {
    /// Whose.
    pub client: ClientId,
    /// If set, only for this booking.
    pub booking: Option<BookingId>,
    /// Which payment.
    pub payment: PaymentId,
}

/// What a payment did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Confirmed {
    /// It won: the booking is confirming and the caller holds the task. (`Booking` as it is now.)
    Won(Box<Task>, Booking),
    /// The same payment came before; this is the booking now: confirming, confirmed, or on its way
    /// to failed.
    Repeated(Booking),
}

/// A client leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cancel {
    /// Who.
    pub client: ClientId,
    /// If set, only this booking.
    pub booking: Option<BookingId>,
}

/// What a sweep did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// Holds turned into releases.
    pub expired: usize,
    /// Whether more are overdue.
    pub more: bool,
    /// How long until the next hold is overdue; `None` when there is none.
    pub next_deadline: Option<Duration>,
}

/// Counters of a queue that only grow.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Places given.
    pub enqueued: u64,
    /// First claims from the line.
    pub dispatched: u64,
    /// Claims of every kind, retries included: also the newest fence.
    pub claimed: u64,
    /// Claims of tasks whose lease had ended without being settled: a worker died or was too slow.
    pub reclaimed: u64,
    /// Tries that failed and will be repeated.
    pub retried: u64,
    /// Settlements refused because of their fence.
    pub stale: u64,
    /// Holds made.
    pub reserved: u64,
    /// Final states, one counter each.
    pub confirmed: u64,
    /// See above.
    pub expired: u64,
    /// See above.
    pub cancelled: u64,
    /// See above.
    pub sold_out: u64,
    /// See above.
    pub rejected: u64,
    /// See above.
    pub failed: u64,
    /// Slot time of all settled tasks, in microseconds.
    pub busy_us: u64,
    /// Members found without a readable booking and dropped: foreign or damaged data.
    pub damaged: u64,
}

/// The queue as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The store's clock.
    pub now: Timestamp,
    /// Names the store's data ([`Opened::epoch`]); empty when it was lost and nobody has opened
    /// the store since.
    pub epoch: String,
    /// The data is older than what this store has seen of it since it was opened: what happened
    /// last is gone. Until it is opened again, which gives such data another epoch.
    pub set_back: bool,
    /// Whether it takes and serves bookings.
    pub admission: Admission,
    /// Bookings in the line.
    pub backlog: u64,
    /// Bookings reserving, confirming or releasing, retries included.
    pub in_flight: u64,
    /// Of those, how many are due: their lease has ended and nobody has claimed them yet.
    pub due: u64,
    /// Bookings reserved.
    pub holds: u64,
    /// Of those, how many are overdue.
    pub overdue: u64,
    /// The front of the line: its place and when it joined.
    pub front: Option<(Place, Timestamp)>,
    /// Counters.
    pub totals: Totals,
    /// The sweeper's last heartbeat.
    pub swept_at: Option<Timestamp>,
    /// Outbox entries kept.
    pub outbox: u64,
}

impl From<&Snapshot> for Measurement {
    fn from(snapshot: &Snapshot) -> Self {
        Self {
            at: snapshot.now,
            admission: snapshot.admission,
            backlog: snapshot.backlog,
            in_flight: snapshot.in_flight,
            enqueued: snapshot.totals.enqueued,
            dispatched: snapshot.totals.dispatched,
            busy_us: snapshot.totals.busy_us,
        }
    }
}

/// A piece of the outbox.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Events {
    /// Oldest first.
    pub events: Vec<Event>,
    /// Where to go on from; equals the `after` of the call when nothing came.
    pub next: EventSeq,
    /// Events between `after` and the first one here are gone (trimmed, or the store lost its
    /// data): start anew.
    pub gap: bool,
}

/// The right to notify.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotifierLease {
    /// Everything up to here has been told.
    pub done: EventSeq,
}

/// What was found when opening.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Opened {
    /// Names this store's data; another one means that data was lost, all of it or what was
    /// newest.
    pub epoch: String,
    /// Settings of the server that are unsafe for bookings, for a person.
    pub warnings: Vec<String>,
}
