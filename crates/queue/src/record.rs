//! One booking as the engine keeps it.

use bookingq_core::{
    Booking, BookingId, BookingState, ClientId, Details, Fence, Generation, Outcome, PaymentId,
    Place, RequestId, ReservationId, Timestamp,
};

use crate::request::{Enqueue, reacquired_for};
use crate::task::{Lease, Task, TaskKind};

/// The one set of the index that holds a booking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Slot {
    /// In the line.
    Line,
    /// Waits for its item.
    Parked,
    /// A task; due once this moment has come.
    Leased(Timestamp),
    /// A hold; overdue once this moment has come.
    Held(Timestamp),
    /// Final; forgotten at this moment.
    Final(Timestamp),
}

/// One booking.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    pub(crate) id: BookingId,
    pub(crate) request: RequestId,
    pub(crate) state: BookingState,
    pub(crate) slot: Slot,
    pub(crate) place: Place,
    pub(crate) enqueued_at: Timestamp,
    pub(crate) details: Details,
    pub(crate) trace: Option<String>,
    /// The newest claim; 0 before the first.
    pub(crate) fence: Fence,
    /// The newest claim that was settled. A worker holds the task while this is below `fence`.
    pub(crate) settled: Fence,
    /// A Reserve of it was repeated before the outcome of the one before was known: that one may
    /// still arrive, also after a refusal.
    pub(crate) stray: bool,
    pub(crate) attempts: u32,
    pub(crate) reservation: Option<ReservationId>,
    pub(crate) deadline: Option<Timestamp>,
    pub(crate) payment: Option<PaymentId>,
    pub(crate) outcome: Option<Outcome>,
    pub(crate) reason: String,
    /// Changed since the sum of [`Bookings`](crate::bookings::Bookings) held its hash.
    pub(crate) is_touched: bool,
}

impl Slot {
    /// Whether a reservation of the booking may exist and come back.
    pub(crate) fn is_unsettled(self) -> bool {
        matches!(self, Self::Leased(_) | Self::Held(_))
    }
}

impl Record {
    /// A new booking at the end of the line.
    pub(crate) fn new(enqueue: &Enqueue, place: Place, now: Timestamp) -> Self {
        Self {
            id: enqueue.booking,
            request: enqueue.request.clone(),
            state: BookingState::Queued,
            slot: Slot::Line,
            place,
            enqueued_at: now,
            details: enqueue.details.clone(),
            trace: enqueue.trace.clone(),
            fence: Fence(0),
            settled: Fence(0),
            stray: false,
            attempts: 0,
            reservation: None,
            deadline: None,
            payment: None,
            outcome: None,
            reason: String::new(),
            is_touched: false,
        }
    }

    /// Whether a worker holds the task, unless its lease has ended.
    pub(crate) fn is_held(&self) -> bool {
        self.state.is_leased() && self.settled < self.fence
    }

    /// Whether this lease names the newest claim of this booking.
    pub(crate) fn is_newest_claim(&self, lease: &Lease) -> bool {
        self.id == lease.booking && self.fence == lease.fence && self.fence > Fence(0)
    }

    /// Whether the client left while a worker was reserving.
    pub(crate) fn is_leaving(&self) -> bool {
        self.state == BookingState::Reserving && self.outcome == Some(Outcome::Cancelled)
    }

    /// The booking as clients see it.
    pub(crate) fn booking(&self, client: &ClientId, position: Option<u64>) -> Booking {
        Booking {
            client: client.clone(),
            id: self.id,
            request: self.request.clone(),
            state: self.state,
            place: self.place,
            position,
            parked: self.slot == Slot::Parked,
            enqueued_at: self.enqueued_at,
            item: self.details.item.clone(),
            quantity: self.details.quantity,
            reservation: self.reservation.clone(),
            deadline: self.deadline,
            payment: self.payment.clone(),
            outcome: self.outcome,
            reason: self.reason.clone(),
        }
    }

    /// The booking for whose payment this one was made, after its hold had expired.
    pub(crate) fn reacquired_for(&self) -> Option<BookingId> {
        reacquired_for(&self.request)
    }

    /// The task of its state, as if claimed before; `None` when its state asks for none.
    pub(crate) fn task(&self, client: &ClientId) -> Option<Task> {
        let kind = match self.state {
            BookingState::Reserving => TaskKind::Reserve,
            BookingState::Confirming => TaskKind::Confirm {
                reservation: self.reservation.clone()?,
                payment: self.payment.clone()?,
            },
            BookingState::Releasing => {
                TaskKind::Release { reservation: self.reservation.clone(), outcome: self.outcome? }
            }
            _ => return None,
        };
        Some(Task {
            client: client.clone(),
            booking: self.id,
            fence: self.fence,
            kind,
            place: self.place,
            attempts: self.attempts,
            details: self.details.clone(),
            enqueued_at: self.enqueued_at,
            trace: self.trace.clone(),
            first: false,
            item_open: false,
            generation: Generation::default(),
            cancelled: self.is_leaving(),
        })
    }
}
