//! Counters of a crowd that can be read while it runs.

use std::collections::BTreeMap;

use bookingq_core::BookingState;
use bookingq_proto::error::{reason_of, reason_word};
use parking_lot::Mutex;
use serde::Serialize;
use tonic::Status;

use crate::demand::{CrowdDemand, Wanted};

/// Counters that only grow, apart from `parked`.
#[derive(Debug, Default)]
pub struct CrowdCounters(Mutex<CountersState>);

#[derive(Debug, Default)]
struct CountersState {
    progress: ProgressView,
    /// By the position of the state in [`BookingState::ALL`].
    finals: [u64; BookingState::ALL.len()],
    errors: BTreeMap<&'static str, u64>,
    demand: BTreeMap<Wanted, CrowdDemand>,
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
    /// Payments refused because they came too late, or because nothing was left to reserve again.
    pub paid_late: u64,
    /// Late payments that were accepted for a new reservation.
    pub reacquired: u64,
    /// Clients that wait at the moment for an item that is sold out at the moment.
    pub parked: u64,
    /// Cancellations that were accepted.
    pub left: u64,
    /// Watch streams that brought an update.
    pub watches: u64,
    /// Bookings that ended while their client watched.
    pub finished: u64,
}

impl CrowdCounters {
    /// The current values.
    pub fn view(&self) -> ProgressView {
        self.0.lock().progress
    }

    /// The number of bookings that clients saw end in each final state.
    pub fn finals(&self) -> BTreeMap<&'static str, u64> {
        let states = BookingState::ALL.into_iter().zip(self.0.lock().finals);
        let finals = states.filter(|(state, _)| state.is_final());
        finals.map(|(state, count)| (state.as_str(), count)).collect()
    }

    /// Errors by reason. `TRANSPORT` are those without one of our reasons.
    pub fn errors(&self) -> BTreeMap<&'static str, u64> {
        self.0.lock().errors.clone()
    }

    /// What the clients want, and what they learned of it.
    pub fn demand(&self) -> BTreeMap<Wanted, CrowdDemand> {
        self.0.lock().demand.clone()
    }

    /// Changes the demand for what a client wants.
    pub(crate) fn demanded(&self, wanted: &Wanted, change: impl FnOnce(&mut CrowdDemand)) {
        let mut counters = self.0.lock();
        change(counters.demand.entry(wanted.clone()).or_default());
        counters.progress.parked = counters.demand.values().map(|demand| demand.parked).sum();
    }

    pub(crate) fn count(&self, change: impl FnOnce(&mut ProgressView)) {
        change(&mut self.0.lock().progress);
    }

    pub(crate) fn booking_ended(&self, state: BookingState) {
        let mut counters = self.0.lock();
        counters.progress.finished += 1;
        if let Some(index) = BookingState::ALL.iter().position(|one| *one == state) {
            counters.finals[index] += 1;
        }
    }

    pub(crate) fn call_failed(&self, status: &Status) {
        let word = reason_of(status).map_or("TRANSPORT", reason_word);
        *self.0.lock().errors.entry(word).or_default() += 1;
    }
}
