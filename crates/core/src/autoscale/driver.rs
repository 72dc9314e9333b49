//! The scaling driver of one queue: from successive measurements of its store to decisions.
//!
//! ```text
//!   Measurement ──> RateMeter (rates from counters) ──> servable ──> Planner ──> Decision
//! ```

use std::time::Duration;

use super::{Decision, HoldLimit, Planner, Policy, Reading, Situation};
use crate::admission::Admission;
use crate::sale::Outflow;
use crate::time::Timestamp;

/// The state of a queue at one moment, as its store counts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Measurement {
    /// The store's clock.
    pub at: Timestamp,
    /// Whether the queue serves bookings.
    pub admission: Admission,
    /// Before this moment the queue serves no client.
    pub opens_at: Option<Timestamp>,
    /// How fast the line is served.
    pub outflow: Outflow,
    /// Bookings in the line whose item is available.
    pub claimable: u64,
    /// Bookings that wait for an item that is sold out at the moment.
    pub parked: u64,
    /// Tasks in progress, retries included.
    pub in_flight: u64,
    /// Reservations that wait for payment.
    pub holds: u64,
    /// Bookings that ever joined the line.
    pub enqueued: u64,
    /// Bookings that ever left the line for a worker.
    pub dispatched: u64,
    /// Slot time ever used, in microseconds.
    pub busy_us: u64,
}

/// Scales one queue. The operator and `bookingq up` each run one for every queue.
#[derive(Debug, Clone, Default)]
pub struct ScalingDriver {
    rates: RateMeter,
    /// Starts with the first reading.
    planner: Option<Planner>,
    /// The store's clock; the last known time while the store is unavailable.
    now: Timestamp,
}

impl ScalingDriver {
    /// Starts without any knowledge of the queue.
    pub fn new() -> Self {
        Self::default()
    }

    /// Drops the measured rates: the queue has moved to another store. The scale-down window
    /// stays.
    pub fn reset_rates(&mut self) {
        self.rates = RateMeter::default();
    }

    /// Takes a fresh measurement, or `None` if the store could not be read.
    pub fn observe(
        &mut self,
        measurement: Option<Measurement>,
        current: u32,
        unschedulable: u32,
    ) -> Situation {
        let reading = measurement.map(|measurement| {
            self.now = measurement.at;
            let reading = replayable(self.rates.observe(measurement));
            servable(reading, &measurement)
        });
        Situation { now: self.now, reading, current, unschedulable }
    }

    /// Decides how many workers a queue needs.
    pub fn decide(&mut self, policy: &Policy, situation: Situation) -> Decision {
        match &mut self.planner {
            Some(planner) => planner.decide(policy, situation),
            None if situation.reading.is_some() => {
                let planner = Planner::taking_over(situation.now, situation.current);
                self.planner.insert(planner).decide(policy, situation)
            }
            None => Planner::new().decide(policy, situation),
        }
    }
}

/// Rounds to the whole numbers that a status can hold, so that a recorded decision replays to the
/// same result.
fn replayable(reading: Reading) -> Reading {
    let minutely = |rate: f64| (rate * 60.0).round() / 60.0;
    Reading {
        arrivals: minutely(reading.arrivals),
        holds: reading
            .holds
            .map(|holds| HoldLimit { dispatched: minutely(holds.dispatched), ..holds }),
        service_time: reading.service_time.map(|time| Duration::from_micros(micros(time))),
        ..reading
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// Time before the opening from which the workers for the line are wanted.
pub const READY_BEFORE: Duration = Duration::from_secs(60);

/// A queue that is paused or does not open soon reserves nothing, so neither its line nor its
/// arrivals use slots, however many workers there are. Accepting a booking uses none either.
fn servable(reading: Reading, measurement: &Measurement) -> Reading {
    let soon = measurement.at + READY_BEFORE;
    let later = measurement.opens_at.is_some_and(|opens_at| opens_at > soon);
    if later || measurement.admission == Admission::Paused {
        return Reading { claimable: 0, arrivals: 0.0, ..reading };
    }
    reading
}

/// Differences the queue's counters.
///
/// Arrivals and departures are smoothed with a time constant of one second: short enough that two
/// readings show most of a step, long enough that the luck of one reading does not change the
/// number of workers.
/// The service time is a mean over about the last five readings in which a booking left the line.
#[derive(Debug, Clone, Default)]
struct RateMeter {
    last: Option<Measurement>,
    arrivals: f64,
    dispatched: f64,
    service_time: Option<f64>,
}

/// Time constant of arrivals and departures, in seconds.
const SMOOTHING: f64 = 1.0;
/// Weight of the newest service time.
const SERVICE: f64 = 0.2;

impl RateMeter {
    /// The first measurement, and one whose counters went backwards, gives no rates.
    fn observe(&mut self, now: Measurement) -> Reading {
        if let Some(last) = self.last.filter(|last| grows(last, &now)) {
            let seconds = now.at.since(last.at).as_secs_f64();
            if seconds > 0.0 {
                self.difference(&last, &now, seconds);
            }
        } else {
            *self = Self::default();
        }
        self.last = Some(now);
        Reading {
            at: now.at,
            claimable: now.claimable,
            arrivals: self.arrivals,
            service_time: self.service_time.map(Duration::from_secs_f64),
            in_flight: now.in_flight,
            cap_per_minute: now.outflow.per_minute,
            holds: now.outflow.max_holds.map(|max| HoldLimit {
                max,
                free: u64::from(max).saturating_sub(now.holds + now.in_flight),
                dispatched: self.dispatched,
            }),
        }
    }

    fn difference(&mut self, last: &Measurement, now: &Measurement, seconds: f64) {
        let weight = 1.0 - (-seconds / SMOOTHING).exp();
        // Who joins for a sold out item is parked, and asks for no slot.
        let parked = now.parked.saturating_sub(last.parked);
        let arrivals = (now.enqueued - last.enqueued).saturating_sub(parked) as f64 / seconds;
        self.arrivals += weight * (arrivals - self.arrivals);
        let dispatched = now.dispatched - last.dispatched;
        self.dispatched += weight * (dispatched as f64 / seconds - self.dispatched);
        if dispatched > 0 {
            let busy = (now.busy_us - last.busy_us) as f64 / 1e6 / dispatched as f64;
            self.service_time =
                Some(self.service_time.map_or(busy, |mean| mean + SERVICE * (busy - mean)));
        }
    }
}

fn grows(last: &Measurement, now: &Measurement) -> bool {
    now.enqueued >= last.enqueued
        && now.dispatched >= last.dispatched
        && now.busy_us >= last.busy_us
}
