//! How many workers: the planner of the core, asked once a second with what the store says.

use bookingq_api::plan::Scaling;
use bookingq_core::Timestamp;
use bookingq_core::autoscale::{Decision, Planner, Policy, Situation};
use bookingq_store::Snapshot;
use bookingq_store::reading::ReadingFollower;

use crate::config::PoolSize;

/// Decides for one queue.
pub struct Scaler {
    rule: Rule,
    follower: ReadingFollower,
    planner: Planner,
    replicas: u32,
    /// By the store's clock; when the store is silent, what it said last.
    now: Timestamp,
}

enum Rule {
    Fixed,
    Automatic(Policy),
}

impl Scaler {
    /// As the manifest says, or as many as `size`.
    pub fn new(scaling: &Scaling, size: PoolSize) -> Self {
        let (rule, replicas) = match (size, *scaling) {
            (PoolSize::Fixed(replicas), _) | (PoolSize::FromManifest, Scaling::Fixed(replicas)) => {
                (Rule::Fixed, replicas)
            }
            (PoolSize::FromManifest, Scaling::Automatic(policy)) => {
                (Rule::Automatic(policy), policy.min)
            }
        };
        Self {
            rule,
            follower: ReadingFollower::new(),
            planner: Planner::new(),
            replicas,
            now: Timestamp::default(),
        }
    }

    /// Workers wanted.
    pub fn replicas(&self) -> u32 {
        self.replicas
    }

    /// Decides by a fresh snapshot, or by its absence. Answers with a decision that changes the
    /// number.
    pub fn decide(&mut self, snapshot: Option<&Snapshot>) -> Option<Decision> {
        let reading = snapshot.map(|snapshot| {
            self.now = snapshot.now;
            self.follower.observe(snapshot.clone())
        });
        let Rule::Automatic(policy) = &self.rule else { return None };
        let situation =
            Situation { now: self.now, reading, current: self.replicas, unschedulable: 0 };
        let decision = self.planner.decide(policy, situation);
        let changed = decision.replicas != self.replicas;
        self.replicas = decision.replicas;
        changed.then_some(decision)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bookingq_core::Admission;
    use bookingq_store::Totals;

    use super::*;

    fn snapshot(second: u64, backlog: u64) -> Snapshot {
        Snapshot {
            now: Timestamp(second * 1000),
            epoch: String::new(),
            set_back: false,
            admission: Admission::Open,
            backlog,
            in_flight: 0,
            due: 0,
            holds: 0,
            overdue: 0,
            front: None,
            totals: Totals::default(),
            swept_at: None,
            outbox: 0,
        }
    }

    fn automatic() -> Scaling {
        let window = Duration::from_secs(2);
        Scaling::Automatic(Policy { max: 4, scale_down_window: window, ..Policy::default() })
    }

    #[test]
    fn a_line_brings_workers_and_its_end_sends_them_home_after_the_window() {
        let mut scaler = Scaler::new(&automatic(), PoolSize::FromManifest);
        assert_eq!(scaler.replicas(), 1);
        assert!(scaler.decide(Some(&snapshot(1, 100_000))).is_some());
        assert_eq!(scaler.replicas(), 4);
        assert!(scaler.decide(Some(&snapshot(2, 0))).is_none(), "held by the window");
        assert!(scaler.decide(Some(&snapshot(5, 0))).is_some());
        assert_eq!(scaler.replicas(), 1);
    }

    #[test]
    fn a_silent_store_changes_nothing() {
        let mut scaler = Scaler::new(&automatic(), PoolSize::FromManifest);
        scaler.decide(Some(&snapshot(1, 100_000)));
        assert!((0..100).all(|_| scaler.decide(None).is_none()));
        assert_eq!(scaler.replicas(), 4);
    }

    #[test]
    fn a_fixed_number_stays_whatever_the_line_does() {
        for scaling in [automatic(), Scaling::Fixed(3)] {
            let size = if scaling == Scaling::Fixed(3) {
                PoolSize::FromManifest
            } else {
                PoolSize::Fixed(3)
            };
            let mut scaler = Scaler::new(&scaling, size);
            assert!(scaler.decide(Some(&snapshot(1, 100_000))).is_none());
            assert_eq!(scaler.replicas(), 3);
        }
    }
}
