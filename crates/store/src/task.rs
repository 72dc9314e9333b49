//! Tasks: what a worker takes, holds for a time, and settles.

use std::time::Duration;

use bookingq_core::{
    BookingId, BookingState, ClientId, Details, Fence, Outcome, PaymentId, Place, ReservationId,
    Timestamp,
};

/// Which tasks to claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Whatever is due, and then the line: what a worker does.
    Everything,
    /// Only what is due already, never the line: what a sweeper or a draining worker does.
    DueOnly,
}

/// What is to be done at the Booking Service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TaskKind {
    /// Ask for a reservation.
    Reserve,
    /// Tell that it is paid.
    Confirm {
        /// The reservation.
        reservation: ReservationId,
        /// The payment that won.
        payment: PaymentId,
    },
    /// Give it back.
    Release {
        /// The reservation; `None` when Reserve's outcome is not known.
        reservation: Option<ReservationId>,
        /// What follows.
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

/// A worker's time-limited right to do one thing for one booking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// Whose booking.
    pub client: ClientId,
    /// Which booking.
    pub booking: BookingId,
    /// Higher than that of every earlier claim of the queue. Settle with it.
    pub fence: Fence,
    /// What is to be done.
    pub kind: TaskKind,
    /// The booking's place in the order.
    pub place: Place,
    /// Tries of this kind that counted so far; 0 for a new task.
    pub attempts: u32,
    /// What is booked.
    pub details: Details,
    /// When the place in line was given.
    pub enqueued_at: Timestamp,
    /// W3C `traceparent` of the request that made the booking, if it had one.
    pub trace: Option<String>,
    /// Claimed straight from the line, for the first time: no earlier worker can have asked for a
    /// reservation.
    pub first: bool,
    /// The client has asked to leave while this was reserving: do not reserve; settle with
    /// [`Verdict::GiveUp`].
    pub cancelled: bool,
}

/// What a claim brought.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Claim {
    /// The store's clock at the claim.
    pub now: Timestamp,
    /// The tasks, to be done in this order.
    pub tasks: Vec<Task>,
    /// How long until the earliest lease ends; `None` when there is none. What is due after this
    /// claim is claimed then.
    pub next_due: Option<Duration>,
    /// Whether the line still has somebody this claim could not take (it was full).
    pub more: bool,
}

impl Task {
    /// The right to it, by which it is renewed and settled.
    pub fn lease(&self) -> Lease {
        Lease {
            client: self.client.clone(),
            booking: self.booking,
            place: self.place,
            fence: self.fence,
        }
    }
}

/// Names one held task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// Whose booking.
    pub client: ClientId,
    /// Which booking.
    pub booking: BookingId,
    /// Its place in the order.
    pub place: Place,
    /// The claim.
    pub fence: Fence,
}

/// Whether a try that failed counts against the attempts of the booking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Try {
    /// The Booking Service works for others: it counts.
    Counts,
    /// An outage, or a task handed back before it was started: it does not.
    Free,
}

/// What became of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Reserve succeeded: hold it for this long from now. If the client has left meanwhile, it is
    /// released instead.
    Reserved {
        /// The Booking Service's name for it.
        reservation: ReservationId,
        /// Time to pay.
        hold: Duration,
    },
    /// Nothing is left.
    SoldOut,
    /// The Booking Service says no.
    Rejected {
        /// Its words.
        reason: String,
    },
    /// Confirm succeeded, or Release found that it had: the booking is confirmed.
    Confirmed,
    /// Release succeeded: the booking ends as its outcome says.
    Released,
    /// Try again after this long; 0 hands the task back at once. Reserving, confirming and
    /// releasing stay what they are, but a reserving booking whose client has left is released
    /// instead.
    Retry {
        /// From now.
        after: Duration,
        /// Whether the try counts.
        counts: Try,
    },
    /// Reserve has no attempts left, or Confirm was refused: release it, and the booking fails. (A
    /// reserving booking whose client has left ends cancelled.)
    GiveUp {
        /// Why.
        reason: String,
    },
}

/// One task's outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settlement {
    /// The task.
    pub lease: Lease,
    /// What became of it.
    pub verdict: Verdict,
    /// How long the task took a slot: what the autoscaler's service time is made of. A store may
    /// count the mean of a call's settlements for each of them that is applied.
    pub busy: Duration,
}

/// What a settlement did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// It took effect; the booking is now in this state.
    Applied(BookingState),
    /// It had taken effect before (a repeat after a lost reply); the booking is now in this state.
    Repeated(BookingState),
    /// The fence is not the current one, or the booking is another, or the verdict does not fit the
    /// state: nothing was changed.
    Stale,
}
