//! One booking as the embedded store keeps it.

use bookingq_core::{
    Booking, BookingId, BookingState, ClientId, Details, Fence, Outcome, PaymentId, Place,
    RequestId, ReservationId, Timestamp,
};

use crate::task::{Lease, Task, TaskKind};
use crate::view::Enqueue;

/// Where a booking is kept: always in exactly one place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Slot {
    /// In the line.
    Line,
    /// A task; due once this moment has come.
    Leased(Timestamp),
    /// A hold; overdue once this moment has come.
    Held(Timestamp),
    /// Final; forgotten at this moment.
    Final(Timestamp),
}

/// One booking.
#[derive(Debug, Clone)]
pub(super) struct Record {
    pub(super) id: BookingId,
    pub(super) request: RequestId,
    pub(super) state: BookingState,
    pub(super) slot: Slot,
    pub(super) place: Place,
    pub(super) enqueued_at: Timestamp,
    pub(super) details: Details,
    pub(super) trace: Option<String>,
    /// The newest claim; 0 before the first.
    pub(super) fence: Fence,
    /// The newest claim that was settled. A task is in somebody's hands while this is below
    /// `fence`.
    pub(super) settled: Fence,
    pub(super) attempts: u32,
    pub(super) reservation: Option<ReservationId>,
    pub(super) deadline: Option<Timestamp>,
    pub(super) payment: Option<PaymentId>,
    pub(super) outcome: Option<Outcome>,
    pub(super) reason: String,
}

impl Record {
    /// A new booking at the end of the line.
    pub(super) fn new(asked: &Enqueue, place: Place, now: Timestamp) -> Self {
        Self {
            id: asked.booking,
            request: asked.request.clone(),
            state: BookingState::Queued,
            slot: Slot::Line,
            place,
            enqueued_at: now,
            details: asked.details.clone(),
            trace: asked.trace.clone(),
            fence: Fence(0),
            settled: Fence(0),
            attempts: 0,
            reservation: None,
            deadline: None,
            payment: None,
            outcome: None,
            reason: String::new(),
        }
    }

    /// Whether a worker has the task just now, as far as anybody knows.
    pub(super) fn in_hand(&self) -> bool {
        self.state.is_leased() && self.settled < self.fence
    }

    /// Whether this lease names the newest claim of this booking.
    pub(super) fn is_newest_claim(&self, lease: &Lease) -> bool {
        self.id == lease.booking && self.fence == lease.fence && self.fence > Fence(0)
    }

    /// Whether the client has left while the Booking Service was being asked.
    pub(super) fn is_leaving(&self) -> bool {
        self.state == BookingState::Reserving && self.outcome == Some(Outcome::Cancelled)
    }

    /// What can be seen of it.
    pub(super) fn booking(&self, client: &ClientId, position: Option<u64>) -> Booking {
        Booking {
            client: client.clone(),
            id: self.id,
            request: self.request.clone(),
            state: self.state,
            place: self.place,
            position,
            enqueued_at: self.enqueued_at,
            reservation: self.reservation.clone(),
            deadline: self.deadline,
            payment: self.payment.clone(),
            outcome: self.outcome,
            reason: self.reason.clone(),
        }
    }

    /// The task of its state, as if claimed before; `None` when its state asks for none.
    pub(super) fn task(&self, client: &ClientId) -> Option<Task> {
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
            cancelled: self.is_leaving(),
        })
    }
}
