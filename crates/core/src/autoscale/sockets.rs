//! How many gateways the open sockets need: a pure function of measurements, beside the planner of
//! the workers.
//!
//! With `n` open sockets and `c` sockets that one gateway should hold, `n / c` gateways, rounded
//! up, within `[min, max]`.
//!
//! A gateway that leaves moves all its sockets, so this planner is slower to remove than to add: a
//! lower number must hold the sockets with room to spare ([`ROOM`]) for the whole scale-down
//! window, at most a quarter of the gateways leaves at once, and the window begins again after each
//! step. Nothing is removed while any gateway cannot be read, because its sockets are unknown.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Reason, remember};
use crate::time::Timestamp;

/// Share of the sockets of a gateway that a lower number of gateways may fill. Without it, a number
/// of sockets that moves around a multiple of `c` would move sockets for ever.
pub const ROOM: f64 = 0.8;

/// The limits and goals of the scaling of gateways.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SocketPolicy {
    /// Never fewer gateways.
    pub min: u32,
    /// Never more gateways.
    pub max: u32,
    /// `c`: sockets that one gateway should hold; at least 1.
    pub per_replica: u32,
    /// A lower number must be enough for this whole time.
    pub scale_down_window: Duration,
}

impl SocketPolicy {
    /// The defaults of a queue. Two gateways, so that one may fail. An idle socket takes 3.5 KiB
    /// (docs/benchmarks.md); the target leaves room for those of a neighbour.
    pub const DEFAULT: Self =
        Self { min: 2, max: 10, per_replica: 10_000, scale_down_window: Duration::from_secs(600) };
}

impl Default for SocketPolicy {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// Measured sockets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SocketReading {
    /// `n`: open sockets of all gateways that answered, those that shut down included, because
    /// their sockets move to the others.
    pub sockets: u64,
    /// Whether every gateway answered.
    pub complete: bool,
}

/// Everything a decision depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SocketSituation {
    /// Now, by a clock that does not go back.
    pub now: Timestamp,
    /// The sockets; `None` if no gateway answered.
    pub reading: Option<SocketReading>,
    /// Gateways wanted at present (`spec.replicas`).
    pub current: u32,
    /// The number of them that cannot be scheduled.
    pub unschedulable: u32,
}

/// A number of gateways, with everything needed to replay the decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SocketDecision {
    /// Gateways wanted from now on.
    pub replicas: u32,
    /// The result of the formula alone; equals `replicas` without a reading.
    pub wanted: u32,
    /// The reason. [`Reason::NoReading`] while a gateway cannot be read; never [`Reason::Capped`].
    pub reason: Reason,
    /// The input of the decision.
    pub situation: SocketSituation,
}

/// Decides, and remembers the numbers that were needed within the scale-down window.
#[derive(Debug, Clone, Default)]
pub struct SocketPlanner {
    /// A falling staircase: only a value that no later one exceeds can be the highest.
    recent: VecDeque<(Timestamp, u32)>,
}

impl SocketPlanner {
    /// A planner without history: the first call stands for what was needed before.
    pub fn new() -> Self {
        Self::default()
    }

    /// Decides. The same calls in the same order always give the same decisions.
    pub fn decide(&mut self, policy: &SocketPolicy, situation: SocketSituation) -> SocketDecision {
        let SocketSituation { now, reading, current, .. } = situation;
        if self.recent.is_empty() {
            remember(&mut self.recent, policy.scale_down_window, now, current);
        }
        let Some(SocketReading { sockets, complete }) = reading else {
            remember(&mut self.recent, policy.scale_down_window, now, current);
            let kept = within(policy, current);
            return SocketDecision {
                replicas: kept,
                wanted: kept,
                reason: Reason::NoReading,
                situation,
            };
        };
        let wanted = within(policy, for_sockets(sockets, policy.per_replica));
        let roomy = within(policy, for_sockets(sockets, roomy(policy.per_replica)));
        remember(
            &mut self.recent,
            policy.scale_down_window,
            now,
            if complete { roomy } else { roomy.max(current) },
        );
        let (replicas, reason) = if wanted > current && situation.unschedulable > 0 {
            (current, Reason::Unschedulable)
        } else if wanted >= current {
            (wanted, Reason::Demand)
        } else if !complete {
            (current, Reason::NoReading)
        } else {
            self.lower(now, roomy, current)
        };
        SocketDecision { replicas: within(policy, replicas), wanted, reason, situation }
    }

    /// The next lower number, if it was enough for the whole window.
    fn lower(&mut self, now: Timestamp, roomy: u32, current: u32) -> (u32, Reason) {
        let highest = self.recent.front().map_or(current, |&(_, needed)| needed);
        if roomy >= current {
            return (current, Reason::Demand);
        }
        if highest >= current {
            return (current, Reason::HeldByWindow);
        }
        let step = (current / 4).max(1);
        let lower = highest.max(current - step);
        self.recent = [(now, lower)].into();
        (lower, Reason::Demand)
    }
}

fn within(policy: &SocketPolicy, replicas: u32) -> u32 {
    replicas.clamp(policy.min, policy.max.max(policy.min))
}

/// Sockets of a gateway with room to spare.
fn roomy(per_replica: u32) -> u32 {
    (f64::from(per_replica) * ROOM) as u32
}

fn for_sockets(sockets: u64, per_replica: u32) -> u32 {
    u32::try_from(sockets.div_ceil(u64::from(per_replica.max(1)))).unwrap_or(u32::MAX)
}
