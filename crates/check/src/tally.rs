//! Bookings by state, and durations.

use std::fmt;

use bookingq_core::BookingState;
use bookingq_crowd::latency::{Latency, LatencySummary};
use serde::Serialize;

/// Bookings by state: `enqueued` is the sum of all others.
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

/// Bookings by final state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct FinalTallies {
    /// Paid and confirmed.
    pub confirmed: u64,
    /// Not paid in time.
    pub expired: u64,
    /// Cancelled by the client.
    pub cancelled: u64,
    /// The stock was used up.
    pub sold_out: u64,
    /// Refused by the Booking Service.
    pub rejected: u64,
    /// Given up, or the confirmation was refused.
    pub failed: u64,
}

impl fmt::Display for FinalTallies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { confirmed, expired, cancelled, sold_out, rejected, failed } = self;
        write!(f, "confirmed {confirmed}, expired {expired}, cancelled {cancelled}, ")?;
        write!(f, "sold out {sold_out}, rejected {rejected}, failed {failed}")
    }
}

impl Tallies {
    pub(crate) fn add(&mut self, state: BookingState) {
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

/// Durations in milliseconds of the store's clock.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Timings<T = LatencySummary> {
    /// From joining the line to being claimed.
    pub queued: T,
    /// From being claimed to the Booking Service's answer, retries included.
    pub reserve: T,
    /// From the payment to being confirmed.
    pub confirm: T,
    /// From the deadline of an unpaid hold until it was released.
    pub release_lag: T,
}

impl Timings<Latency> {
    pub(crate) fn summary(&self) -> Timings {
        Timings {
            queued: self.queued.summary(),
            reserve: self.reserve.summary(),
            confirm: self.confirm.summary(),
            release_lag: self.release_lag.summary(),
        }
    }
}
