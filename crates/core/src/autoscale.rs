//! How many workers a line needs: a pure function of measurements. [`driver`] feeds it for the
//! operator and `bookingq up`.
//!
//! With claimable bookings `B`, arrivals `λ`, mean service time `S`, concurrency of a worker `c`,
//! target utilisation `ρ` and drain target `T`, the demand is `(λ·S + B·S/T) / ρ` slots: what keeps
//! up with arrivals plus what clears the line in time. Workers = demand / c, rounded up, within
//! `[min, max]`.
//!
//! Tasks in flight keep workers but never ask for more: `in flight / c`, at most the current
//! number. (Dividing it by ρ as well would grow a busy queue for ever: N workers with all slots
//! taken would ask for N/ρ.)
//!
//! The outflow of the queue bounds the demand, because further workers would only wait. A rate of
//! `r` bookings a second uses `r·S` slots. A limit of `h` holds lets only as many bookings leave
//! the line as holds come free: `d` a second lately, and the `f` that are free now in the time `T`.
//! So the demand is `min(min(λ + B/T, r)·S/ρ, d·S + f·S/T/ρ, h)`. (`d·S` is what workers do now,
//! so it is not divided by ρ either.)

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::defaults;
use crate::time::Timestamp;

pub mod driver;
pub mod sockets;

/// The limits and goals of a queue's scaling.
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

/// Measured load.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Reading {
    /// When, by the store's clock.
    pub at: Timestamp,
    /// `B`: bookings in the line that workers may claim.
    pub claimable: u64,
    /// `λ`: bookings joining each second that workers may claim.
    pub arrivals: f64,
    /// `S`: slot time used for each booking that left the line; `None` before the first.
    pub service_time: Option<Duration>,
    /// Tasks in progress, retries included.
    pub in_flight: u64,
    /// `60·r`: bookings that may leave the line each minute; `None` = any number.
    pub cap_per_minute: Option<u32>,
    /// Bookings that may be in progress or held at once; `None` = any number.
    pub holds: Option<HoldLimit>,
}

/// The limit of the holds, and how it is used.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HoldLimit {
    /// `h`: bookings that may be in progress or held at once.
    pub max: u32,
    /// `f`: how many more that could be.
    pub free: u64,
    /// `d`: bookings leaving the line each second.
    pub dispatched: f64,
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
    /// The number of current workers that cannot be scheduled.
    pub unschedulable: u32,
}

/// The reason for a number of workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reason {
    /// The result of the formula.
    Demand,
    /// The result of the formula, and the outflow of the queue made it lower.
    Capped,
    /// The queue needs fewer, but needed more within the scale-down window.
    HeldByWindow,
    /// No reading, or a stale one: nothing changes.
    NoReading,
    /// The queue needs more, but not all present workers can be scheduled.
    Unschedulable,
}

impl Reason {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Demand => "Demand",
            Self::Capped => "Capped",
            Self::HeldByWindow => "HeldByWindow",
            Self::NoReading => "NoReading",
            Self::Unschedulable => "Unschedulable",
        }
    }
}

/// A number of workers, with everything needed to replay the decision.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Decision {
    /// Workers wanted from now on.
    pub replicas: u32,
    /// The result of the formula alone; equals `replicas` without a reading.
    pub wanted: u32,
    /// The reason.
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
        let uncapped = Reading { cap_per_minute: None, holds: None, ..reading };
        let (wanted, uncapped) =
            (wanted(policy, &reading, current), wanted(policy, &uncapped, current));
        let formula = if wanted < uncapped { Reason::Capped } else { Reason::Demand };
        // A number from an assumed service time is not kept for the whole window if a cap made it:
        // it would be what the cap is to prevent.
        if formula == Reason::Demand || reading.service_time.is_some() {
            remember(&mut self.recent, policy.scale_down_window, situation.now, wanted);
        }
        let highest = self.recent.front().map_or(wanted, |&(_, n)| n);
        let (replicas, reason) = if wanted > current {
            if situation.unschedulable > 0 {
                (current, Reason::Unschedulable)
            } else {
                (wanted, formula)
            }
        } else if highest > wanted && current > wanted {
            (highest.min(current), Reason::HeldByWindow)
        } else {
            (wanted, formula)
        };
        Decision { replicas: replicas.clamp(policy.min, policy.max), wanted, reason, situation }
    }
}

/// Adds a number to those of the last `window`.
fn remember(
    recent: &mut VecDeque<(Timestamp, u32)>,
    window: Duration,
    now: Timestamp,
    wanted: u32,
) {
    while recent.front().is_some_and(|&(at, _)| now.since(at) > window) {
        recent.pop_front();
    }
    // Only a value that no later one exceeds can be the highest, so the history stays a short
    // falling staircase.
    while recent.back().is_some_and(|&(_, n)| n <= wanted) {
        recent.pop_back();
    }
    recent.push_back((now, wanted));
}

/// The formula, without memory.
pub fn wanted(policy: &Policy, reading: &Reading, current: u32) -> u32 {
    let service = reading.service_time.unwrap_or(ASSUMED_SERVICE_TIME).as_secs_f64();
    let drain = policy.drain_target.as_secs_f64().max(0.001);
    let concurrency = f64::from(policy.concurrency.max(1));
    let line = reading.arrivals.max(0.0) + reading.claimable as f64 / drain;
    let cap = reading.cap_per_minute.map_or(f64::INFINITY, |cap| f64::from(cap) / 60.0);
    let utilisation = policy.utilisation.clamp(0.01, 1.0);
    let holds = reading.holds.map_or(f64::INFINITY, |holds| {
        let freed = holds.dispatched.max(0.0) + holds.free as f64 / drain / utilisation;
        (freed * service).min(f64::from(holds.max))
    });
    let demand = (line.min(cap) * service / utilisation).min(holds);
    // A float to integer cast saturates, so an absurd reading ends at max, not at a wrapped number.
    let for_demand = (demand / concurrency).ceil() as u32;
    let in_hand = ((reading.in_flight as f64 / concurrency).ceil() as u32).min(current);
    for_demand.max(in_hand).clamp(policy.min, policy.max)
}
