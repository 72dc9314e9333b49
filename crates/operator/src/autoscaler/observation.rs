//! Observations of a queue, rounded so that small movements write no status.

use std::time::Duration;

use bookingq_api::status::{GatewayScalingStatus, LastScaling};
use bookingq_core::Timestamp;
use bookingq_store::{MissingReplicas, Snapshot};

use crate::redis_failover::plan::FailoverState;
use crate::redis_failover::view::{NodeIndex, PrimaryRecord};

/// The state of a queue.
#[derive(Debug, Clone, PartialEq)]
pub struct Observation {
    /// The store.
    pub store: StoreHealth,
    /// The line, as it was last read.
    pub line: Option<ObservedLine>,
    /// The sweepers.
    pub sweeper: SweeperHealth,
    /// Number of workers that cannot be scheduled.
    pub unschedulable: u32,
    /// The last change of the number of workers.
    pub scaling: Option<LastScaling>,
    /// By the store's clock, the queue does not serve yet.
    pub not_open: bool,
    /// Another writer of the number of workers, by its field manager.
    pub scaled_by: Option<String>,
}

impl Observation {
    /// Before the first reading.
    pub fn starting(scaling: Option<LastScaling>) -> Self {
        Self {
            store: StoreHealth::Unknown,
            line: None,
            sweeper: SweeperHealth::Unknown,
            unschedulable: 0,
            scaling,
            not_open: false,
            scaled_by: None,
        }
    }

    /// Whether the store has been read.
    pub fn has_looked(&self) -> bool {
        self.store != StoreHealth::Unknown
    }

    /// Whether the difference to `other` must be reported at once: one in kind, or, if something
    /// waits for it, that nothing is in the line any more, or something is again.
    pub fn is_urgent(&self, other: &Self, awaits_idle: bool) -> bool {
        let turned = awaits_idle && self.is_idle() != other.is_idle();
        turned || self.differs_in_kind(other)
    }

    /// Whether the last reading found nothing in the line, in progress or reserved.
    fn is_idle(&self) -> bool {
        let undecided = |line: ObservedLine| {
            (line.backlog, line.in_flight, line.holds, line.parked) != (0, 0, 0, 0)
        };
        self.line.is_some_and(|line| !undecided(line))
    }

    /// Whether the difference to `other` must be reported at once. Moving numbers can wait.
    pub fn differs_in_kind(&self, other: &Self) -> bool {
        let line = |o: &Self| (o.line.is_some(), o.not_open, o.scaled_by.clone());
        (&self.store, self.sweeper, self.unschedulable > 0, &self.scaling, line(self))
            != (&other.store, other.sweeper, other.unschedulable > 0, &other.scaling, line(other))
    }
}

/// The state of the gateways of a queue.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct GatewayObservation {
    /// Open connections, rounded, as they were last read from all gateways.
    pub connections: Option<i64>,
    /// Number of gateways that cannot be scheduled.
    pub unschedulable: u32,
    /// The last change of the number of gateways.
    pub scaling: Option<GatewayScalingStatus>,
    /// Another writer of the number of gateways, by its field manager.
    pub scaled_by: Option<String>,
}

impl GatewayObservation {
    /// Before the first reading.
    pub fn starting(scaling: Option<GatewayScalingStatus>) -> Self {
        Self { scaling, ..Self::default() }
    }

    /// Whether the difference to `other` must be reported at once. Moving numbers can wait.
    pub fn differs_in_kind(&self, other: &Self) -> bool {
        let kind = |o: &Self| (o.connections.is_some(), o.unschedulable > 0, o.scaled_by.clone());
        (kind(self), &self.scaling) != (kind(other), &other.scaling)
    }
}

/// The state of a managed Redis of three.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RedisObservation {
    /// How its nodes do.
    pub state: FailoverState,
    /// The last election.
    pub record: Option<PrimaryRecord>,
}

impl RedisObservation {
    /// Term and primary of the last election.
    pub fn election(&self) -> Option<(u64, NodeIndex)> {
        self.record.map(|record| record.election())
    }
}

/// Health of the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreHealth {
    /// It answers reads, and refuses what must be acknowledged by replicas.
    TooFewReplicas(MissingReplicas),
    /// Not read yet.
    Unknown,
    /// It answers.
    Reachable {
        /// Settings that can lose bookings, as sentences.
        warnings: Vec<String>,
    },
    /// It does not answer.
    Unreachable {
        /// The cause, as a sentence.
        why: String,
    },
    /// A topic would break a promise, or may not be made.
    TopicRefused {
        /// The topic and its setting, as a sentence.
        why: String,
    },
    /// The topics are right, and no worker reports what it reads from them.
    NoReadings,
}

/// Health of the sweepers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SweeperHealth {
    /// None has started yet.
    Unknown,
    /// The last one reported to the store.
    Running,
    /// The last one has not reported to the store within [`SWEEP_LIMIT`].
    NotReporting,
}

/// Time in which a sweeper reports to the store.
pub const SWEEP_LIMIT: Duration = Duration::from_secs(120);

/// The line, rounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ObservedLine {
    /// Bookings in the line.
    pub backlog: i64,
    /// Tasks in progress.
    pub in_flight: i64,
    /// Reservations waiting for payment.
    pub holds: i64,
    /// Bookings that wait for an item that is sold out at the moment.
    pub parked: i64,
    /// How long the front has waited; zero for an empty line.
    pub oldest_wait: Duration,
}

impl ObservedLine {
    /// Of a snapshot.
    pub fn of(snapshot: &Snapshot) -> Self {
        let waited = |(_, since): (_, Timestamp)| snapshot.now.since(since);
        Self {
            backlog: round(snapshot.backlog),
            in_flight: round(snapshot.in_flight),
            holds: round(snapshot.holds),
            parked: round(snapshot.parked),
            oldest_wait: step(snapshot.front.map_or(Duration::ZERO, waited)),
        }
    }
}

/// Exact below 100, two significant digits above.
pub(super) fn round(number: u64) -> i64 {
    let scale = 10_u64.pow(number.checked_ilog10().unwrap_or(0).saturating_sub(1));
    i64::try_from(number / scale * scale).unwrap_or(i64::MAX)
}

/// The steps of a wait, in seconds. Coarse, so that a paused line seldom writes its status.
const STEPS: [u64; 18] =
    [0, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 18_000, 43_200, 86_400];

fn step(wait: Duration) -> Duration {
    let below = STEPS.iter().rev().find(|&&step| step <= wait.as_secs());
    Duration::from_secs(below.copied().unwrap_or(0))
}
