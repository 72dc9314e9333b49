//! The scaling driver of one queue: from successive measurements of its store to decisions.
//!
//! ```text
//!   Measurement ──> Follower (rates from counters) ──> admission ──> Planner ──> Decision
//! ```

use std::time::Duration;

use super::{Decision, Planner, Policy, Reading, Situation};
use crate::admission::Admission;
use crate::time::Timestamp;

/// What the store says of a queue at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Measurement {
    /// The store's clock.
    pub at: Timestamp,
    /// Whether the queue serves bookings.
    pub admission: Admission,
    /// Bookings in the line.
    pub backlog: u64,
    /// Tasks in progress, retries included.
    pub in_flight: u64,
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
    follower: Follower,
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
        self.follower = Follower::default();
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
            let reading = replayable(self.follower.observe(measurement));
            admitted(reading, measurement.admission)
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
    Reading {
        arrivals: (reading.arrivals * 60.0).round() / 60.0,
        service_time: reading.service_time.map(|time| Duration::from_micros(micros(time))),
        ..reading
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// A paused queue reserves nothing, so neither its line nor its arrivals use slots, however many
/// workers there are. Accepting a booking uses none either.
fn admitted(reading: Reading, admission: Admission) -> Reading {
    match admission {
        Admission::Paused => Reading { backlog: 0, arrivals: 0.0, ..reading },
        Admission::Open | Admission::Closed => reading,
    }
}

/// Differences the queue's counters.
///
/// Arrivals are smoothed with a time constant of one second: short enough that two readings show
/// most of a step, long enough that the luck of one reading does not change the number of workers.
/// The service time is a mean over about the last five readings in which a booking left the line.
#[derive(Debug, Clone, Default)]
struct Follower {
    last: Option<Measurement>,
    arrivals: f64,
    service_time: Option<f64>,
}

/// Time constant of the arrivals, in seconds.
const ARRIVALS: f64 = 1.0;
/// Weight of the newest service time.
const SERVICE: f64 = 0.2;

impl Follower {
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
            backlog: now.backlog,
            arrivals: self.arrivals,
            service_time: self.service_time.map(Duration::from_secs_f64),
            in_flight: now.in_flight,
        }
    }

    fn difference(&mut self, last: &Measurement, now: &Measurement, seconds: f64) {
        let weight = 1.0 - (-seconds / ARRIVALS).exp();
        let arrivals = (now.enqueued - last.enqueued) as f64 / seconds;
        self.arrivals += weight * (arrivals - self.arrivals);
        let dispatched = now.dispatched - last.dispatched;
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

#[cfg(test)]
mod tests {
    use super::super::Reason;
    use super::*;

    fn measured(second: u64, enqueued: u64, dispatched: u64, busy_us: u64) -> Measurement {
        Measurement {
            at: Timestamp(second * 1000),
            admission: Admission::Open,
            backlog: enqueued - dispatched,
            in_flight: 0,
            enqueued,
            dispatched,
            busy_us,
        }
    }

    fn policy() -> Policy {
        Policy { max: 4, scale_down_window: Duration::from_secs(2), ..Policy::default() }
    }

    fn step(driver: &mut ScalingDriver, seen: Option<Measurement>, current: u32) -> Decision {
        let situation = driver.observe(seen, current, 0);
        driver.decide(&policy(), situation)
    }

    #[test]
    fn a_steady_queue_gives_its_rate_and_its_service_time() {
        let mut follower = Follower::default();
        let mut reading = follower.observe(measured(0, 0, 0, 0));
        assert_eq!(reading.service_time, None);
        for second in 1..60 {
            let total = second * 100;
            reading = follower.observe(measured(second, total, total, total * 20_000));
        }
        assert!((reading.arrivals - 100.0).abs() < 0.01, "{reading:?}");
        assert_eq!(reading.service_time, Some(Duration::from_millis(20)));
    }

    #[test]
    fn two_readings_show_most_of_a_step() {
        let mut follower = Follower::default();
        follower.observe(measured(0, 0, 0, 0));
        follower.observe(measured(1, 1000, 0, 0));
        let reading = follower.observe(measured(2, 2000, 0, 0));
        assert!(reading.arrivals > 800.0, "{reading:?}");
    }

    #[test]
    fn a_store_that_lost_its_counters_starts_again() {
        let mut follower = Follower::default();
        follower.observe(measured(0, 1000, 1000, 0));
        let reading = follower.observe(measured(1, 5, 0, 0));
        assert_eq!((reading.arrivals, reading.backlog), (0.0, 5));
    }

    #[test]
    fn a_line_adds_workers_and_its_end_removes_them_after_the_window() {
        let mut driver = ScalingDriver::new();
        assert_eq!(step(&mut driver, Some(measured(1, 100_000, 0, 0)), 1).replicas, 4);
        assert_eq!(step(&mut driver, Some(measured(2, 100_000, 100_000, 0)), 4).replicas, 4);
        assert_eq!(step(&mut driver, Some(measured(5, 100_000, 100_000, 0)), 4).replicas, 1);
    }

    #[test]
    fn a_paused_queue_keeps_its_workers_however_many_clients_join() {
        let mut driver = ScalingDriver::new();
        for second in 1..60 {
            let joined = measured(second, second * 10_000, 0, 0);
            let paused = Measurement { admission: Admission::Paused, ..joined };
            assert_eq!(step(&mut driver, Some(paused), 1).replicas, 1);
        }
        let opened = measured(60, 600_000, 0, 0);
        assert_eq!(step(&mut driver, Some(opened), 1).replicas, 4);
    }

    #[test]
    fn a_store_that_cannot_be_read_changes_nothing() {
        let mut driver = ScalingDriver::new();
        assert_eq!(step(&mut driver, None, 3).replicas, 3);
        step(&mut driver, Some(measured(1, 100_000, 0, 0)), 1);
        for _ in 0..100 {
            let decision = step(&mut driver, None, 4);
            assert_eq!((decision.replicas, decision.reason), (4, Reason::NoReading));
        }
    }

    #[test]
    fn a_driver_that_takes_over_keeps_the_workers_for_the_window() {
        let mut driver = ScalingDriver::new();
        let decision = step(&mut driver, Some(measured(1, 0, 0, 0)), 4);
        assert_eq!((decision.replicas, decision.reason), (4, Reason::HeldByWindow));
        assert_eq!(step(&mut driver, Some(measured(4, 0, 0, 0)), 4).replicas, 1);
    }
}
