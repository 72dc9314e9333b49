//! From successive snapshots of a queue to what the planner wants to know.

use std::time::Duration;

use bookingq_core::autoscale::Reading;

use crate::{Snapshot, Totals};

/// Differences the queue's counters.
///
/// Arrivals are smoothed with a time constant of one second: short enough that a step is mostly
/// known after two readings, long enough that one reading's luck does not move the fleet. The
/// service time is a mean over about the last five readings in which somebody left the line.
#[derive(Debug, Clone, Default)]
pub struct ReadingFollower {
    last: Option<Snapshot>,
    arrivals: f64,
    service_time: Option<f64>,
}

/// Time constant of the arrivals, in seconds.
const ARRIVALS: f64 = 1.0;
/// Weight of the newest service time.
const SERVICE: f64 = 0.2;

impl ReadingFollower {
    /// Nothing known yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a snapshot. The first one, and one whose counters went backwards, tells only what is
    /// waiting.
    pub fn observe(&mut self, snapshot: Snapshot) -> Reading {
        if let Some(last) = self.last.take().filter(|last| grows(&last.totals, &snapshot.totals)) {
            let seconds = snapshot.now.since(last.now).as_secs_f64();
            if seconds > 0.0 {
                self.difference(&last.totals, &snapshot.totals, seconds);
            }
        } else {
            *self = Self::default();
        }
        let reading = Reading {
            at: snapshot.now,
            backlog: snapshot.backlog,
            arrivals: self.arrivals,
            service_time: self.service_time.map(Duration::from_secs_f64),
            in_flight: snapshot.in_flight,
        };
        self.last = Some(snapshot);
        reading
    }

    fn difference(&mut self, last: &Totals, now: &Totals, seconds: f64) {
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

fn grows(last: &Totals, now: &Totals) -> bool {
    now.enqueued >= last.enqueued
        && now.dispatched >= last.dispatched
        && now.busy_us >= last.busy_us
}

#[cfg(test)]
mod tests {
    use bookingq_core::{Admission, Timestamp};

    use super::*;

    fn snapshot(second: u64, enqueued: u64, dispatched: u64, busy_us: u64) -> Snapshot {
        Snapshot {
            now: Timestamp(second * 1000),
            epoch: String::new(),
            set_back: false,
            admission: Admission::Open,
            backlog: enqueued - dispatched,
            in_flight: 0,
            due: 0,
            holds: 0,
            overdue: 0,
            front: None,
            totals: Totals { enqueued, dispatched, busy_us, ..Totals::default() },
            swept_at: None,
            outbox: 0,
        }
    }

    #[test]
    fn a_steady_queue_gives_its_rate_and_its_service_time() {
        let mut follower = ReadingFollower::new();
        let mut reading = follower.observe(snapshot(0, 0, 0, 0));
        assert_eq!(reading.service_time, None);
        for second in 1..60 {
            reading = follower.observe(snapshot(
                second,
                second * 100,
                second * 100,
                second * 100 * 20_000,
            ));
        }
        assert!((reading.arrivals - 100.0).abs() < 0.01, "{reading:?}");
        assert_eq!(reading.service_time, Some(Duration::from_millis(20)));
    }

    #[test]
    fn a_step_is_mostly_known_after_two_readings() {
        let mut follower = ReadingFollower::new();
        follower.observe(snapshot(0, 0, 0, 0));
        follower.observe(snapshot(1, 1000, 0, 0));
        let reading = follower.observe(snapshot(2, 2000, 0, 0));
        assert!(reading.arrivals > 800.0, "{reading:?}");
    }

    #[test]
    fn a_store_that_lost_its_counters_starts_anew() {
        let mut follower = ReadingFollower::new();
        follower.observe(snapshot(0, 1000, 1000, 0));
        let reading = follower.observe(snapshot(1, 5, 0, 0));
        assert_eq!((reading.arrivals, reading.backlog), (0.0, 5));
    }
}
