//! How long a client waits, as a range, and its chance of a ticket.
//!
//! ```text
//!   EtaReading, once a second ─┐                ┌─> flow       how fast the front moves
//!   departures, as they come ──┴─> Forecaster ──┼─> fluid      the wait at a position
//!                                       ^       ├─> bootstrap  how far it may be off, at first
//!                                       │       '─> calibration  how far it was off, later
//!                                       │── samples of the line that have left it ──┘
//!                                       '── service clock   outages, and time without them
//! ```
//!
//! **Expected.** The line is a fluid: its front moves at min(cap, slots / service time), and the
//! bookings ahead get fewer by the share that cancels. A worker does not know how many workers
//! there are, nor what the planner decides next. It knows how many tasks are in progress: it
//! measures the pace, and when more tasks are in progress than before, the pace grows with them.
//!
//! **Range.** The true wait is below `low` for 1 of 10 bookings and above `high` for 1 of 10.
//! A block bootstrap of the departures per second gives the first ranges. The forecaster then
//! follows samples of the line. When they leave, it corrects the width, separately for each
//! horizon: normalized conformal prediction, with the adaptive level of Gibbs and Candès,
//! "Adaptive Conformal Inference Under Distribution Shift" (2021), because a sale drifts. Samples
//! age while the queue serves. An outage is another matter: `high` leaves room for one where it is
//! likely enough, less and less in a sale that has none. A cap is exact: it needs no such room.
//!
//! **No promise.** A line that does not move has no wait: see [`EtaUnknown`].
//!
//! Each worker calibrates by itself from the events that it follows. All workers follow the same
//! events, so a shared table would hold the same numbers, cost a write for each sample, and be one
//! more thing that a store can lose. A worker that starts has the bootstrap until it has outcomes.
//!
//! # Use
//!
//! The owner of a [`Line`] calls [`Forecaster::observe`] once a second, [`Forecaster::left`] for
//! every place that leaves the line, before or after it removes the place, and
//! [`Forecaster::reset`] when it has loaded the line again. It answers [`EtaUnknown::SoldOut`] by
//! itself for a booking whose item refuses it; the forecaster does not know items.
//!
//! ```
//! use bookingq_core::eta::{Departure, Eta, EtaReading, EtaUnknown, Forecaster};
//! use bookingq_core::line::Line;
//! use bookingq_core::{Admission, Outflow, Place, Timestamp};
//!
//! let mut line = Line::new();
//! (1..=500).for_each(|number| line.join(Place::numbered(number)));
//! let mut forecaster = Forecaster::default();
//! let mut reading = EtaReading {
//!     at: Timestamp(1_800_000_000_000),
//!     in_flight: 64,
//!     slots: 64,
//!     admission: Admission::Open,
//!     opens_at: None,
//!     outage: false,
//!     outflow: Outflow::default(),
//! };
//! forecaster.observe(&reading, &line);
//! assert_eq!(forecaster.eta(100), Eta::Unknown(EtaUnknown::NoData));
//! // Ten bookings leave each second.
//! for number in 1..=200 {
//!     line.leave(Place::numbered(number));
//!     forecaster.left(Place::numbered(number), Departure::Served, reading.at);
//!     if number % 10 == 0 {
//!         reading.at.0 += 1000;
//!         forecaster.observe(&reading, &line);
//!     }
//! }
//! let Eta::Range(range) = forecaster.eta(100) else { panic!("the line moves") };
//! assert!((range.expected.as_secs_f64() - 10.0).abs() < 0.1);
//! assert!(range.low < range.expected && range.expected < range.high);
//! assert!(forecaster.points(32).is_sorted());
//! ```

mod bootstrap;
mod calibration;
mod chance;
mod flow;
mod fluid;
mod reading;
mod service_clock;

use std::time::Duration;

use self::calibration::{Calibrator, EtaRow, Quantiles};
pub use self::chance::{Chance, Demand};
use self::flow::FlowHistory;
use self::fluid::Fluid;
pub use self::reading::{Departure, Eta, EtaRange, EtaReading, EtaUnknown};
use self::service_clock::ServiceClock;
use crate::line::Line;
use crate::place::Place;
use crate::time::Timestamp;

/// Positions in the table of forecasts: each about this factor further back.
const STEP: f64 = 1.3;
/// Bookings may join between two readings: the table reaches this far beyond the line.
const BEYOND: u64 = 1000;

/// No wait is longer, in seconds: a century.
const LONGEST: f64 = 3e9;

/// Forecasts the waits of one queue. The same calls in the same order give the same forecasts.
#[derive(Debug, Default)]
pub struct Forecaster {
    flow: FlowHistory,
    calibrator: Calibrator,
    clock: ServiceClock,
    /// The forecast at ascending positions; empty while the wait is unknown.
    table: Vec<EtaRow>,
    unknown: Option<EtaUnknown>,
}

impl Forecaster {
    /// Takes a reading, and forecasts the wait at every position.
    pub fn observe(&mut self, reading: &EtaReading, line: &Line) {
        if self.clock.is_set_back(reading.at) {
            // The store's clock was set back: what was learned still holds.
            self.reset();
        }
        self.table.clear();
        self.unknown = reading.halted();
        let outage = self.unknown == Some(EtaUnknown::Outage);
        self.clock.read(reading.at, self.unknown.is_some(), outage);
        self.flow.read(reading, line.len(), self.unknown);
        self.calibrator.learn(self.clock.now());
        if self.unknown.is_none() {
            match Fluid::new(&self.flow, reading, line.len()) {
                Some(fluid) => self.forecast(&fluid, line),
                None => self.unknown = Some(EtaUnknown::NoData),
            }
        }
    }

    /// A place has left the line.
    pub fn left(&mut self, place: Place, departure: Departure, at: Timestamp) {
        self.flow.left(departure);
        match departure {
            Departure::Served | Departure::Parked => {
                self.calibrator.left(place, self.clock.served_at(at));
            }
            Departure::Cancelled => self.calibrator.cancelled(place),
        }
    }

    /// The line was loaded again, so departures may have been missed.
    pub fn reset(&mut self) {
        self.flow.skip();
        self.calibrator.forget();
    }

    /// The wait at a position (1 = next), from the last reading on.
    pub fn eta(&self, position: u64) -> Eta {
        match self.waits(position.max(1)) {
            Some(waits) => Eta::Range(range(waits)),
            None => Eta::Unknown(self.unknown.unwrap_or(EtaUnknown::NoData)),
        }
    }

    /// At most `count` (at least 2) positions and their waits, ascending, from the front to beyond
    /// the end of the line. Between two of them, interpolate. Empty while the wait is unknown.
    pub fn points(&self, count: usize) -> Vec<(u64, EtaRange)> {
        let (last, gaps) = (self.table.len().saturating_sub(1), count.max(2) - 1);
        let mut rows: Vec<usize> = (0..=gaps).map(|gap| gap * last / gaps).collect();
        rows.dedup();
        let rows = rows.into_iter().filter_map(|row| self.table.get(row));
        rows.map(|row| (row.position, range(row.waits))).collect()
    }

    fn waits(&self, position: u64) -> Option<Quantiles> {
        let last = self.table.last()?;
        let next = self.table.partition_point(|row| row.position <= position);
        let Some(to) = self.table.get(next) else {
            return Some(last.waits.map(|wait| wait * position as f64 / last.position as f64));
        };
        // The first row is position 1.
        let from = &self.table[next.max(1) - 1];
        let share = (position - from.position) as f64 / (to.position - from.position) as f64;
        Some(std::array::from_fn(|i| from.waits[i] + share * (to.waits[i] - from.waits[i])))
    }

    fn forecast(&mut self, fluid: &Fluid, line: &Line) {
        let positions = positions(line.len() + BEYOND);
        let means: Vec<f64> = positions.iter().map(|&at| fluid.wait(at)).collect();
        let spreads = bootstrap::spreads(&self.flow.pulse(), &means);
        let mut least = Quantiles::default();
        for ((position, mean), noise) in positions.into_iter().zip(means).zip(spreads) {
            let spread = fluid.spread(mean, noise);
            let mut waits = self.calibrator.waits(mean, spread);
            if !fluid.is_capped() {
                let [_, expected, high] = waits;
                waits[2] = expected + (high - expected).hypot(self.clock.outages_within(mean));
            }
            // A position further back never waits less, whatever the outcomes of its horizon say.
            least = std::array::from_fn(|i| waits[i].max(least[i]));
            self.table.push(EtaRow { position, mean, spread, waits: least });
        }
        self.calibrator.sample(self.clock.now(), &self.table, line);
    }
}

/// Ascending positions from 1 to `last`.
fn positions(last: u64) -> Vec<u64> {
    let next = |at: &u64| (*at < last).then(|| ((*at as f64 * STEP) as u64).clamp(at + 1, last));
    std::iter::successors(Some(1), next).collect()
}

fn range(waits: Quantiles) -> EtaRange {
    let [low, expected, high] = waits.map(|wait| Duration::from_secs_f64(wait.min(LONGEST)));
    EtaRange { low, expected, high }
}
