//! Metrics of the limits. Names and meaning: docs/operations.md.

use bookingq_serve::MetricsRegistry;
use prometheus::IntCounterVec;

use super::challenge::ChallengeError;
use super::decision::{LimitDecision, LimitedUse};

/// The metrics of the limits, exposed with the prefix `bookingqueue_gateway_`.
#[derive(Debug, Clone)]
pub struct LimitMetrics {
    limited: IntCounterVec,
    challenges: IntCounterVec,
}

impl LimitMetrics {
    /// Registers them.
    ///
    /// # Errors
    /// When another family has one of the names.
    pub fn new(r: &MetricsRegistry) -> prometheus::Result<Self> {
        let limited = r.counters(
            "limited_total",
            "Requests over the limit of their address, by use and decision",
            &["use", "decision"],
        )?;
        let challenges = r.counters(
            "challenges_total",
            "Challenges, by outcome: issued, solved, foreign, expired, unsolved",
            &["outcome"],
        )?;
        for usage in LimitedUse::ALL {
            for decision in ["challenge", "refused"] {
                limited.with_label_values(&[usage.as_str(), decision]);
            }
        }
        Ok(Self { limited, challenges })
    }

    pub(crate) fn decided(&self, usage: LimitedUse, decision: LimitDecision) {
        let decision = match decision {
            LimitDecision::Allowed => return,
            LimitDecision::Challenge => "challenge",
            LimitDecision::Refused { .. } => "refused",
        };
        self.limited.with_label_values(&[usage.as_str(), decision]).inc();
    }

    /// Counts a challenge that was made.
    pub fn issued(&self) {
        self.challenges.with_label_values(&["issued"]).inc();
    }

    /// Counts a solution.
    pub fn checked(&self, outcome: Result<(), ChallengeError>) {
        let outcome = outcome.map_or_else(ChallengeError::as_str, |()| "solved");
        self.challenges.with_label_values(&[outcome]).inc();
    }
}
