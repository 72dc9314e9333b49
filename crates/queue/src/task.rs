//! Tasks: what a worker claims, holds under a lease, and settles.

use std::time::Duration;

use bookingq_core::{
    BookingId, BookingState, ClientId, Details, Fence, Generation, Outcome, PaymentId, Place,
    ReservationId, Timestamp,
};

/// Which tasks to claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Due tasks, then the line. Used by workers.
    Everything,
    /// Due tasks, then the line once the rules of the sale were ever written: a queue that must not
    /// serve anybody before.
    OnceRuled,
    /// Due tasks only, never the line. Used by sweepers and draining workers.
    DueOnly,
}

/// The call to make at the Booking Service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TaskKind {
    /// Reserve.
    Reserve,
    /// Confirm a paid reservation.
    Confirm {
        /// The reservation.
        reservation: ReservationId,
        /// The payment that won.
        payment: PaymentId,
    },
    /// Release the reservation.
    Release {
        /// The reservation; `None` when the outcome of Reserve is unknown.
        reservation: Option<ReservationId>,
        /// The final state that follows.
        outcome: Outcome,
    },
}

impl TaskKind {
    /// The word used in logs and metrics.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Reserve => "reserve",
            Self::Confirm { .. } => "confirm",
            Self::Release { .. } => "release",
        }
    }
}

/// A worker's time-limited right to make one call for one booking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// The client.
    pub client: ClientId,
    /// The booking.
    pub booking: BookingId,
    /// Higher than the fence of every earlier claim of the queue. Settling needs it.
    pub fence: Fence,
    /// The call to make.
    pub kind: TaskKind,
    /// The booking's place in the order.
    pub place: Place,
    /// Counted tries of this kind so far; 0 for a new task.
    pub attempts: u32,
    /// What is booked.
    pub details: Details,
    /// When the booking joined the line.
    pub enqueued_at: Timestamp,
    /// W3C `traceparent` of the request that made the booking, if it had one.
    pub trace: Option<String>,
    /// Claimed for the first time: no earlier worker can have made a reservation.
    pub first: bool,
    /// The item was never sold out: only then the Ticket Service is asked.
    pub item_open: bool,
    /// How much of the item had come back before the claim.
    pub generation: Generation,
    /// The client cancelled while this was reserving: do not reserve, settle with
    /// [`TaskOutcome::GiveUp`].
    pub cancelled: bool,
}

impl Task {
    /// The lease by which the task is renewed and settled.
    pub fn lease(&self) -> Lease {
        Lease {
            client: self.client.clone(),
            booking: self.booking,
            place: self.place,
            fence: self.fence,
            generation: self.generation,
        }
    }
}

/// The outcome of a claim.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Claim {
    /// The store's clock at the claim.
    pub now: Timestamp,
    /// The tasks, in the order in which to do them.
    pub tasks: Vec<Task>,
    /// Time until a later claim may find a task without any other change: a lease ends, the
    /// outflow allows the next booking, the sale opens, or a probe is due. `None` when nothing is
    /// expected.
    pub next: Option<Duration>,
    /// Whether bookings can be claimed now that did not fit into this claim.
    pub more: bool,
}

/// Identifies one claimed task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The client.
    pub client: ClientId,
    /// The booking.
    pub booking: BookingId,
    /// The booking's place in the order.
    pub place: Place,
    /// The claim.
    pub fence: Fence,
    /// How much of the item had come back before the claim: a refusal from before a return closes
    /// nothing.
    pub generation: Generation,
}

/// Whether a failed try counts against the attempts of its booking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Try {
    /// The Booking Service is available: the try counts.
    Counts,
    /// The service is out, or the task is handed back before it started: the try does not count.
    Free,
}

/// The outcome of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TaskOutcome {
    /// Reserve succeeded. If the client has left meanwhile, the booking is released instead.
    Reserved {
        /// The Booking Service's id of the reservation.
        reservation: ReservationId,
        /// Time to pay, from now.
        hold: Duration,
        /// How many of the item are left, if the Booking Service says so.
        left: Option<u64>,
    },
    /// The Booking Service has not enough left at the moment. The booking is parked, or ends if
    /// nothing can come back.
    SoldOut {
        /// How many of the item are left, if the Booking Service says so.
        left: Option<u64>,
        /// How many others hold that may come back: above 0, the item does not end.
        elsewhere: u64,
    },
    /// The Booking Service rejected the booking.
    Rejected {
        /// The service's reason.
        reason: String,
    },
    /// Confirm succeeded, or Release found that it had: the booking is confirmed.
    Confirmed,
    /// Release succeeded: the booking ends as its outcome says.
    Released,
    /// Try again. The state stays, except that a reserving booking whose client has left is
    /// released.
    Retry {
        /// Time to wait; 0 hands the task back at once.
        after: Duration,
        /// Whether the try counts.
        counts: Try,
    },
    /// Reserve has no attempts left, or the Booking Service refused Confirm. The booking is
    /// released, then fails; a reserving booking whose client has left ends cancelled.
    GiveUp {
        /// Why.
        reason: String,
    },
}

impl TaskOutcome {
    /// The refusal of a Booking Service that says no more than that.
    pub const SOLD_OUT: Self = Self::SoldOut { left: None, elsewhere: 0 };
}

/// Records the outcome of one task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settlement {
    /// The task.
    pub lease: Lease,
    /// Its outcome.
    pub outcome: TaskOutcome,
    /// How long the task used a slot: the autoscaler derives the service time from it. A store may
    /// count the mean of a call's settlements for each that is applied.
    pub busy: Duration,
}

/// The effect of a settlement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// It took effect; the booking is now in this state.
    Applied(BookingState),
    /// It took effect before, as after a lost reply; the booking is now in this state.
    Repeated(BookingState),
    /// Nothing changed: the fence is not the newest, the booking is another one, or the outcome
    /// does not fit the state.
    Stale,
}
