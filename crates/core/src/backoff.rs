//! The one back-off: how long to wait before trying again.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Exponential back-off with full jitter over its upper half, and a cap.
///
/// The wait before try `n` (1 = the first retry) is drawn evenly from `[d/2, d)`, `d = min(initial
/// · 2^(n-1), max)`: apart enough to spread a herd, never so short that a retry is immediate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backoff {
    /// `d` of the first retry.
    pub initial: Duration,
    /// `d` is never above this.
    pub max: Duration,
}

impl Backoff {
    /// The wait before retry `n` (from 1); `chance` is drawn evenly from `[0, 1)` by the caller.
    pub fn delay(&self, n: u32, chance: f64) -> Duration {
        let doublings = n.saturating_sub(1).min(32);
        let full = self.initial.saturating_mul(2u32.saturating_pow(doublings)).min(self.max);
        full.mul_f64(0.5 + 0.5 * chance.clamp(0.0, 1.0))
    }
}

/// When a task is tried again, and when it is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Failed attempts to reserve after which a booking fails; at least 1.
    pub attempts: u32,
    /// Wait between attempts of all kinds.
    pub backoff: Backoff,
}
