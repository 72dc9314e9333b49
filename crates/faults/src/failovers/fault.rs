//! What happens to the primary in one run.

use std::time::Duration;

use clap::ValueEnum;
use rand::Rng as _;
use rand::rngs::SmallRng;
use serde::Serialize;

/// Longest time to freeze a primary, in milliseconds.
const FROZEN_MS: std::ops::Range<u64> = 500..8000;
/// For how long a primary is killed or cut off: some outlive a failover, others do not.
const AWAY_MS: std::ops::Range<u64> = 500..12_000;
/// The same while no operator is there at first.
const LONG_AWAY_MS: std::ops::Range<u64> = 15_000..30_000;

/// What happens to the primary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum PrimaryFault {
    /// SIGKILL
    Kill,
    /// SIGSTOP, and SIGCONT
    Freeze,
    /// The connections of the other servers and of the operator are reset; clients stay
    Cut,
    /// What the other servers and the operator send and receive is lost; clients stay
    HalfOpen,
    /// SIGKILL, and the operator ends too: the next one begins when its lease has ended
    KillWithOperator,
    /// SIGSTOP, and SIGCONT at the worst moment: when the successor is recorded, and nothing is
    /// promoted yet. The operator needs a second for each step
    FreezeUntilRecorded,
    /// The same moment, of a primary that is cut off
    CutUntilRecorded,
}

impl PrimaryFault {
    /// The fault of a run: each in turn.
    pub(super) fn of(run: u32) -> Self {
        let all = Self::value_variants();
        all[run as usize % all.len()]
    }

    /// For how long, unless something else ends it.
    pub(super) fn draw_time(self, random: &mut SmallRng) -> Option<Duration> {
        let range = match self {
            Self::Freeze => FROZEN_MS,
            Self::Kill | Self::Cut | Self::HalfOpen => AWAY_MS,
            Self::KillWithOperator => LONG_AWAY_MS,
            Self::FreezeUntilRecorded | Self::CutUntilRecorded => return None,
        };
        Some(Duration::from_millis(random.random_range(range)))
    }
}
