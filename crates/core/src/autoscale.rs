//! How many workers a line needs: a pure function of what was measured. [`driver`] feeds it for
//! the operator and `bookingq up`.
//!
//! With backlog `B`, arrivals `λ`, mean service time `S`, concurrency of a worker `c`, target
//! utilisation `ρ` and drain target `T`, the demand is `(λ·S + B·S/T) / ρ` slots: what keeps up
//! with arrivals plus what clears the backlog in time. Workers = demand / c, rounded up, within
//! `[min, max]`.
//!
//! Work in hand keeps workers but never asks for more: `in flight / c`, at most the present number.
//! (Dividing it by ρ as well would grow a busy queue for ever: N workers with all slots taken
//! would ask for N/ρ.)

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::defaults;
use crate::time::Timestamp;

pub mod driver;

/// What the user asked for.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Policy {
    /// Never fewer workers.
    pub min: u32,
    /// Never more workers.
    pub max: u32,
    /// Tasks one worker runs at once; at least 1.
    pub concurrency: u32,
    /// Share of the slots that should be busy, in (0, 1].
    pub utilisation: f64,
    /// Time in which a backlog should drain.
    pub drain_target: Duration,
    /// Scales down only to the highest number wanted within this time.
    pub scale_down_window: Duration,
    /// Readings older than this are ignored.
    pub stale_after: Duration,
}

impl Policy {
    /// The defaults of a queue.
    pub const DEFAULT: Self = Self {
        min: 1,
        max: 10,
        concurrency: defaults::CONCURRENCY,
        utilisation: 0.7,
        drain_target: Duration::from_secs(30),
        scale_down_window: Duration::from_secs(60),
        stale_after: Duration::from_secs(5),
    };
}

impl Default for Policy {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// Service time assumed while none has been measured.
pub const ASSUMED_SERVICE_TIME: Duration = Duration::from_millis(250);

/// What was measured.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Reading {
    /// When, by the store's clock.
    pub at: Timestamp,
    /// `B`: bookings in the line.
    pub backlog: u64,
    /// `λ`: bookings joining each second.
    pub arrivals: f64,
    /// `S`: slot time used for each booking that left the line; `None` before the first.
    pub service_time: Option<Duration>,
    /// Tasks in progress, retries included.
    pub in_flight: u64,
}

/// Everything a decision depends on.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Situation {
    /// Now, by the same clock as the reading.
    pub now: Timestamp,
    /// The newest reading, if the store could be read at all.
    pub reading: Option<Reading>,
    /// Workers wanted at present (`spec.replicas`).
    pub current: u32,
    /// Of those, the number that cannot be scheduled.
    pub unschedulable: u32,
}

/// Why this many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reason {
    /// What the formula says.
    Demand,
    /// The queue needs fewer, but needed more within the scale-down window.
    HeldByWindow,
    /// No reading, or a stale one: nothing changes.
    NoReading,
    /// The queue needs more, but not all present workers can be scheduled.
    Unschedulable,
}

/// A number of workers, with everything needed to replay the decision.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Decision {
    /// Workers wanted from now on.
    pub replicas: u32,
    /// What the formula alone would say; equals `replicas` without a reading.
    pub wanted: u32,
    /// Why.
    pub reason: Reason,
    /// The input of the decision.
    pub situation: Situation,
}

/// Decides, and remembers the numbers wanted within the scale-down window.
#[derive(Debug, Clone, Default)]
pub struct Planner {
    recent: VecDeque<(Timestamp, u32)>,
}

impl Planner {
    /// A planner without history.
    pub fn new() -> Self {
        Self::default()
    }

    /// A planner that takes over a running queue. Its history is unknown, so the present number
    /// stands for it. Otherwise a new operator would scale down on its first reading, which knows
    /// no arrivals yet.
    pub fn taking_over(now: Timestamp, replicas: u32) -> Self {
        Self { recent: [(now, replicas)].into() }
    }

    /// Decides. The same calls in the same order always give the same decisions.
    pub fn decide(&mut self, policy: &Policy, situation: Situation) -> Decision {
        let current = situation.current;
        let fresh = situation.reading.filter(|r| situation.now.since(r.at) <= policy.stale_after);
        let Some(reading) = fresh else {
            let kept = current.clamp(policy.min, policy.max);
            return Decision { replicas: kept, wanted: kept, reason: Reason::NoReading, situation };
        };
        let wanted = wanted(policy, &reading, current);
        self.remember(policy, situation.now, wanted);
        let highest = self.recent.iter().map(|&(_, n)| n).max().unwrap_or(wanted);
        let (replicas, reason) = if wanted > current {
            if situation.unschedulable > 0 {
                (current, Reason::Unschedulable)
            } else {
                (wanted, Reason::Demand)
            }
        } else if highest > wanted && current > wanted {
            (highest.min(current), Reason::HeldByWindow)
        } else {
            (wanted, Reason::Demand)
        };
        Decision { replicas: replicas.clamp(policy.min, policy.max), wanted, reason, situation }
    }

    fn remember(&mut self, policy: &Policy, now: Timestamp, wanted: u32) {
        while self.recent.front().is_some_and(|&(at, _)| now.since(at) > policy.scale_down_window) {
            self.recent.pop_front();
        }
        // Only a value that no later one exceeds can be the highest, so the history stays a short
        // falling staircase.
        while self.recent.back().is_some_and(|&(_, n)| n <= wanted) {
            self.recent.pop_back();
        }
        self.recent.push_back((now, wanted));
    }
}

/// The formula, without memory.
pub fn wanted(policy: &Policy, reading: &Reading, current: u32) -> u32 {
    let service = reading.service_time.unwrap_or(ASSUMED_SERVICE_TIME).as_secs_f64();
    let drain = policy.drain_target.as_secs_f64().max(0.001);
    let concurrency = f64::from(policy.concurrency.max(1));
    let demand = (reading.arrivals.max(0.0) * service + reading.backlog as f64 * service / drain)
        / policy.utilisation.clamp(0.01, 1.0);
    // A float to integer cast saturates, so an absurd reading ends at max, not at a wrapped number.
    let for_demand = (demand / concurrency).ceil() as u32;
    let in_hand = ((reading.in_flight as f64 / concurrency).ceil() as u32).min(current);
    for_demand.max(in_hand).clamp(policy.min, policy.max)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> Policy {
        Policy { min: 1, max: 50, concurrency: 10, ..Policy::default() }
    }

    fn reading(at: Timestamp, backlog: u64, arrivals: f64) -> Reading {
        Reading {
            at,
            backlog,
            arrivals,
            service_time: Some(Duration::from_millis(100)),
            in_flight: 0,
        }
    }

    /// Drives a planner for `seconds` with arrivals as a function of time; returns the replicas of
    /// each second.
    fn drive(seconds: u64, arrivals: impl Fn(f64) -> f64) -> Vec<u32> {
        let (mut planner, mut current) = (Planner::new(), 1);
        (0..seconds)
            .map(|s| {
                let now = Timestamp(s * 1000);
                let reading = Some(reading(now, 0, arrivals(s as f64)));
                current = planner
                    .decide(&policy(), Situation { now, reading, current, unschedulable: 0 })
                    .replicas;
                current
            })
            .collect()
    }

    #[test]
    fn a_step_is_answered_at_once_and_left_only_after_the_window() {
        let replicas = drive(200, |s| if (10.0..20.0).contains(&s) { 1000.0 } else { 50.0 });
        assert_eq!(replicas[9], 1);
        assert_eq!(replicas[10], 15, "1000/s x 0.1 s / 0.7 / 10 slots");
        assert!(replicas[10..=79].iter().all(|&n| n == 15), "{replicas:?}");
        assert_eq!(replicas[81], 1);
    }

    #[test]
    fn a_planner_that_takes_over_keeps_the_workers_until_the_window_is_over() {
        let start = Timestamp(1000);
        let mut planner = Planner::taking_over(start, 4);
        let mut decide = |seconds: u64| {
            let now = Timestamp(start.0 + seconds * 1000);
            let reading = Some(reading(now, 0, 0.0));
            planner.decide(&policy(), Situation { now, reading, current: 4, unschedulable: 0 })
        };
        assert_eq!((decide(0).replicas, decide(0).reason), (4, Reason::HeldByWindow));
        assert_eq!(decide(60).replicas, 4);
        assert_eq!(decide(61).replicas, 1);
    }

    #[test]
    fn a_ramp_is_followed_upwards_without_a_step_back() {
        let replicas = drive(100, |s| s * 20.0);
        assert!(replicas.is_sorted(), "{replicas:?}");
        assert_eq!(replicas[99], 29);
    }

    #[test]
    fn a_sinusoid_of_ten_percent_does_not_flap() {
        for period in [5.0, 20.0, 50.0] {
            let replicas =
                drive(600, |s| 700.0 * (1.0 + 0.1 * (s / period * std::f64::consts::TAU).sin()));
            let settled = &replicas[60..];
            assert!(settled.iter().all(|&n| n == settled[0]), "period {period}: {settled:?}");
        }
    }

    #[test]
    fn a_backlog_asks_for_what_drains_it_in_time() {
        // 30,000 waiting x 0.1 s / 30 s / 0.7 = 143 slots.
        assert_eq!(wanted(&policy(), &reading(Timestamp(0), 30_000, 0.0), 1), 15);
    }

    #[test]
    fn a_missing_or_stale_reading_changes_nothing() {
        let mut planner = Planner::new();
        let now = Timestamp(100_000);
        for reading in [None, Some(reading(Timestamp(94_000), 0, 0.0))] {
            let decision = planner
                .decide(&policy(), Situation { now, reading, current: 20, unschedulable: 0 });
            assert_eq!((decision.replicas, decision.reason), (20, Reason::NoReading));
        }
    }

    #[test]
    fn one_long_task_keeps_its_worker_but_asks_for_no_more() {
        let mut r = reading(Timestamp(0), 0, 0.0);
        r.in_flight = 11;
        assert_eq!(wanted(&policy(), &r, 3), 2);
        assert_eq!(wanted(&policy(), &r, 1), 1);
    }

    #[test]
    fn workers_with_all_slots_taken_do_not_grow_by_that_alone() {
        let mut r = reading(Timestamp(0), 0, 100.0);
        for current in 1..50 {
            r.in_flight = u64::from(current) * 10;
            assert_eq!(wanted(&policy(), &r, current), current.max(2));
        }
    }

    #[test]
    fn unschedulable_pods_stop_the_growth_but_not_the_shrinking() {
        let mut planner = Planner::new();
        let now = Timestamp(1000);
        let busy =
            Situation { now, reading: Some(reading(now, 0, 1000.0)), current: 5, unschedulable: 2 };
        let decision = planner.decide(&policy(), busy);
        assert_eq!((decision.replicas, decision.wanted), (5, 15));
        assert_eq!(decision.reason, Reason::Unschedulable);

        let later = Timestamp(100_000);
        let idle = Situation { now: later, reading: Some(reading(later, 0, 0.0)), ..busy };
        assert_eq!(planner.decide(&policy(), idle).replicas, 1);
    }

    #[test]
    fn absurd_readings_end_within_the_limits() {
        for arrivals in [f64::INFINITY, f64::NAN, -5.0, 1e300] {
            let n = wanted(&policy(), &reading(Timestamp(0), u64::MAX, arrivals), 3);
            assert!((1..=50).contains(&n));
        }
    }
}
