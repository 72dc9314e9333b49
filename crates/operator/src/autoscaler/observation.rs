//! What a loop tells of its queue, rounded so that a line at rest, or one that moves a little,
//! writes no status.

use std::time::Duration;

use bookingq_api::status::LastScaling;
use bookingq_core::Timestamp;
use bookingq_store::Snapshot;

/// What was seen.
#[derive(Debug, Clone, PartialEq)]
pub struct Observation {
    /// The store.
    pub store: StoreHealth,
    /// The line; what it was when it could be read last.
    pub line: Option<Line>,
    /// The sweeper.
    pub sweeper: SweeperHealth,
    /// Workers that cannot be scheduled.
    pub unschedulable: u32,
    /// The last change of the number of workers.
    pub scaling: Option<LastScaling>,
}

impl Observation {
    /// Nothing seen yet.
    pub fn starting(scaling: Option<LastScaling>) -> Self {
        Self {
            store: StoreHealth::Unknown,
            line: None,
            sweeper: SweeperHealth::Unknown,
            unschedulable: 0,
            scaling,
        }
    }

    /// Whether the store has been asked.
    pub fn has_looked(&self) -> bool {
        self.store != StoreHealth::Unknown
    }

    /// Whether the difference to `other` is worth telling at once; moving numbers can wait.
    pub fn differs_in_kind(&self, other: &Self) -> bool {
        let line = |o: &Self| o.line.is_some();
        (&self.store, self.sweeper, self.unschedulable > 0, &self.scaling, line(self))
            != (&other.store, other.sweeper, other.unschedulable > 0, &other.scaling, line(other))
    }
}

/// How the store is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreHealth {
    /// Not asked yet.
    Unknown,
    /// It answers; with settings that are unsafe for bookings, if any.
    Reachable {
        /// For a person.
        warnings: Vec<String>,
    },
    /// It does not.
    Unreachable {
        /// For a person.
        why: String,
    },
}

/// How the sweeper is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SweeperHealth {
    /// None was due yet.
    Unknown,
    /// It sweeps when it is due.
    Running,
    /// One has been due for [`SWEEP_PATIENCE`] and has not been heard of.
    NotReporting,
}

/// How long a sweeper may take from being due to its first sign of life.
pub const SWEEP_PATIENCE: Duration = Duration::from_secs(120);

/// The line, rounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line {
    /// Bookings in it.
    pub backlog: i64,
    /// Bookings in workers' hands.
    pub in_flight: i64,
    /// Reservations waiting for payment.
    pub holds: i64,
    /// How long its front has waited; zero when it is empty.
    pub oldest_wait: Duration,
}

impl Line {
    /// Of a snapshot.
    pub fn of(snapshot: &Snapshot) -> Self {
        let waited = |(_, since): (_, Timestamp)| snapshot.now.since(since);
        Self {
            backlog: round(snapshot.backlog),
            in_flight: round(snapshot.in_flight),
            holds: round(snapshot.holds),
            oldest_wait: step(snapshot.front.map_or(Duration::ZERO, waited)),
        }
    }
}

/// Exact below 100; above, two significant digits.
fn round(number: u64) -> i64 {
    let scale = 10_u64.pow(number.checked_ilog10().unwrap_or(0).saturating_sub(1));
    i64::try_from(number / scale * scale).unwrap_or(i64::MAX)
}

/// The steps of a wait, in seconds: coarse enough that a paused line seldom writes its status.
const STEPS: [u64; 18] =
    [0, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 18_000, 43_200, 86_400];

fn step(wait: Duration) -> Duration {
    let below = STEPS.iter().rev().find(|&&step| step <= wait.as_secs());
    Duration::from_secs(below.copied().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_two_digits_and_waits_their_step() {
        let rounded = [0, 7, 99, 100, 104, 1299, 123_456].map(round);
        assert_eq!(rounded, [0, 7, 99, 100, 100, 1200, 120_000]);
        let stepped =
            [0, 3, 59, 61, 4000, 1_000_000].map(|s| step(Duration::from_secs(s)).as_secs());
        assert_eq!(stepped, [0, 2, 30, 60, 3600, 86_400]);
    }
}
