//! Counters of a crowd that can be read while it runs.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use bookingq_core::BookingState;
use bookingq_proto::error::{reason_of, reason_word};
use bookingq_proto::v1::ErrorReason;
use serde::Serialize;
use tonic::Status;

const STATES: usize = BookingState::ALL.len();
/// One more than the highest number of the closed set of reasons.
const REASONS: usize = ErrorReason::NotReserved as usize + 1;

/// Counters that only grow.
#[derive(Debug, Default)]
pub struct CrowdProgress {
    pub(crate) arrived: AtomicU64,
    pub(crate) acknowledged: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) held: AtomicU64,
    pub(crate) paid: AtomicU64,
    pub(crate) paid_late: AtomicU64,
    pub(crate) left: AtomicU64,
    pub(crate) watches: AtomicU64,
    finals: [AtomicU64; STATES],
    /// By reason; index 0 counts errors without one of our reasons, such as a lost connection.
    errors: [AtomicU64; REASONS],
}

/// The counters at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct ProgressView {
    /// Clients that have arrived.
    pub arrived: u64,
    /// Clients that got a place in line.
    pub acknowledged: u64,
    /// Clients that were refused a place.
    pub refused: u64,
    /// Holds that clients saw.
    pub held: u64,
    /// Payments that were accepted.
    pub paid: u64,
    /// Payments refused because they came too late.
    pub paid_late: u64,
    /// Cancellations that were accepted.
    pub left: u64,
    /// Watch streams that brought an update.
    pub watches: u64,
    /// Bookings that ended while their client watched.
    pub finished: u64,
}

impl CrowdProgress {
    /// The current values.
    pub fn view(&self) -> ProgressView {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        ProgressView {
            arrived: get(&self.arrived),
            acknowledged: get(&self.acknowledged),
            refused: get(&self.refused),
            held: get(&self.held),
            paid: get(&self.paid),
            paid_late: get(&self.paid_late),
            left: get(&self.left),
            watches: get(&self.watches),
            finished: self.finals.iter().map(get).sum(),
        }
    }

    /// How many bookings clients saw end in each final state.
    pub fn finals(&self) -> BTreeMap<&'static str, u64> {
        BookingState::ALL
            .into_iter()
            .zip(&self.finals)
            .filter(|(state, _)| state.is_final())
            .map(|(state, count)| (state.as_str(), count.load(Ordering::Relaxed)))
            .collect()
    }

    /// Errors by reason, without the zeros. `TRANSPORT` are those without one of our reasons.
    pub fn errors(&self) -> BTreeMap<&'static str, u64> {
        let reasons = self.errors.iter().enumerate().filter_map(|(number, count)| {
            let reason = ErrorReason::try_from(i32::try_from(number).ok()?).ok()?;
            let word =
                if reason == ErrorReason::Unspecified { "TRANSPORT" } else { reason_word(reason) };
            Some((word, count.load(Ordering::Relaxed)))
        });
        reasons.filter(|(_, count)| *count > 0).collect()
    }

    pub(crate) fn booking_ended(&self, state: BookingState) {
        if let Some(index) = BookingState::ALL.iter().position(|one| *one == state) {
            self.finals[index].fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn call_failed(&self, status: &Status) {
        let reason = reason_of(status).map_or(0, |reason| reason as usize);
        if let Some(counter) = self.errors.get(reason) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Adds one.
pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
