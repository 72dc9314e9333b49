//! The number of workers of one queue in `bookingq up`: fixed, or from the scaling driver.

use bookingq_api::plan::ScalingPlan;
use bookingq_core::autoscale::driver::ScalingDriver;
use bookingq_core::autoscale::{Decision, Policy};
use bookingq_store::Snapshot;

use crate::config::PoolSize;

/// Decides the number of workers of one queue, once a second.
pub struct Scaler {
    /// `None` for a fixed number.
    policy: Option<Policy>,
    driver: ScalingDriver,
    replicas: u32,
}

impl Scaler {
    /// Starts with the number that `size` or the manifest asks for.
    pub fn new(scaling: &ScalingPlan, size: PoolSize) -> Self {
        let (policy, replicas) = match (size, *scaling) {
            (PoolSize::Fixed(replicas), _)
            | (PoolSize::FromManifest, ScalingPlan::Fixed(replicas)) => (None, replicas),
            (PoolSize::FromManifest, ScalingPlan::Automatic(policy)) => (Some(policy), policy.min),
        };
        Self { policy, driver: ScalingDriver::new(), replicas }
    }

    /// The number of workers wanted.
    pub fn replicas(&self) -> u32 {
        self.replicas
    }

    /// Decides from a fresh snapshot, or from its absence. Returns a decision that changes the
    /// number.
    pub fn decide(&mut self, snapshot: Option<&Snapshot>) -> Option<Decision> {
        let policy = self.policy.as_ref()?;
        let situation = self.driver.observe(snapshot.map(Into::into), self.replicas, 0);
        let decision = self.driver.decide(policy, situation);
        let changed = decision.replicas != self.replicas;
        self.replicas = decision.replicas;
        changed.then_some(decision)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_on_the_command_line_wins_over_the_manifest() {
        let automatic = ScalingPlan::Automatic(Policy { min: 2, ..Policy::default() });
        for (scaling, size, replicas) in [
            (automatic, PoolSize::FromManifest, 2),
            (automatic, PoolSize::Fixed(3), 3),
            (ScalingPlan::Fixed(4), PoolSize::FromManifest, 4),
        ] {
            assert_eq!(Scaler::new(&scaling, size).replicas(), replicas);
        }
    }

    #[test]
    fn a_fixed_number_never_changes() {
        let mut scaler = Scaler::new(&ScalingPlan::Fixed(3), PoolSize::FromManifest);
        assert!(scaler.decide(None).is_none());
        assert_eq!(scaler.replicas(), 3);
    }
}
