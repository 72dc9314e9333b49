//! What the checker is given at the end, and what it answers.

use bookingq_core::{Booking, BookingState};
use serde::Serialize;

use super::violation::Violations;
use crate::crowd::Acknowledged;
use crate::latency::Summary;
use crate::ledger::{LedgerCopy, Totals};

/// Whether anything still moves while evidence is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Moment {
    /// No worker, sweeper or client does anything any more, and all that was due is done:
    /// everything must agree exactly.
    AtRest,
    /// Work goes on: a booking that is being reserved, confirmed or released may be ahead of what
    /// was read.
    InMotion,
}

/// What others say. Take it in the order of the fields, and the log at least up to the moment the
/// bookings were read; otherwise what happened in between looks like a broken promise.
#[derive(Debug, Clone, Default)]
pub struct Evidence {
    /// What clients were promised.
    pub acknowledged: Vec<Acknowledged>,
    /// The newest booking of each of [`History::clients`](super::History::clients), and of
    /// everybody acknowledged, from the store.
    pub bookings: Vec<Booking>,
    /// The shop's ledger; `None` when it is not a simulated one, and then what needs it is not
    /// judged.
    pub ledger: Option<LedgerCopy>,
}

/// The judgement.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Verdict {
    /// Whether anything still moved.
    pub moment: Moment,
    /// How many bookings are where.
    #[serde(flatten)]
    pub tallies: Tallies,
    /// The shop's ledger in numbers; absent when it was not given.
    pub ledger: Option<Totals>,
    /// Broken promises.
    pub violations: Violations,
    /// How long things took, by the store's clock.
    pub timings: Timings,
    /// How often the log had to be read on after a gap. Above 0, the verdict is not complete.
    pub gaps: u64,
}

/// How many bookings are where: `enqueued` is the sum of all others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Tallies {
    /// All bookings.
    pub enqueued: u64,
    /// In the line.
    pub waiting: u64,
    /// Reserving, reserved, confirming or releasing.
    pub in_progress: u64,
    /// In a final state.
    #[serde(rename = "final")]
    pub finals: FinalTallies,
}

/// How many bookings ended how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct FinalTallies {
    /// Paid and confirmed.
    pub confirmed: u64,
    /// Not paid in time.
    pub expired: u64,
    /// Left.
    pub cancelled: u64,
    /// Nothing was left for them.
    pub sold_out: u64,
    /// Refused by the Booking Service.
    pub rejected: u64,
    /// Given up, or the confirmation was refused.
    pub failed: u64,
}

/// How long things took, in milliseconds of the store's clock.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Timings {
    /// From joining the line to being claimed.
    pub queued: Summary,
    /// From being claimed to the Booking Service's answer, retries included.
    pub reserve: Summary,
    /// From the payment to being confirmed.
    pub confirm: Summary,
    /// From the deadline of an unpaid hold until it was given back.
    pub release_lag: Summary,
}

impl Tallies {
    pub(super) fn add(&mut self, state: BookingState) {
        self.enqueued += 1;
        let counter = match state {
            BookingState::Queued => &mut self.waiting,
            BookingState::Reserving
            | BookingState::Reserved
            | BookingState::Confirming
            | BookingState::Releasing => &mut self.in_progress,
            BookingState::Confirmed => &mut self.finals.confirmed,
            BookingState::Expired => &mut self.finals.expired,
            BookingState::Cancelled => &mut self.finals.cancelled,
            BookingState::SoldOut => &mut self.finals.sold_out,
            BookingState::Rejected => &mut self.finals.rejected,
            BookingState::Failed => &mut self.finals.failed,
        };
        *counter += 1;
    }
}
