//! The number of workers of one queue in `bookingq up`: fixed, or from the scaling driver.

use bookingq_api::plan::ScalingPlan;
use bookingq_core::autoscale::driver::ScalingDriver;
use bookingq_core::autoscale::{Decision, Policy};
use bookingq_core::{Workforce, WorkforceChange};
use bookingq_store::Snapshot;

/// Decides the number of workers of one queue, once a second.
pub struct Scaler {
    /// `None` for a fixed number.
    policy: Option<Policy>,
    driver: ScalingDriver,
    replicas: u32,
    last: Option<WorkforceChange>,
}

impl Scaler {
    /// Starts with the number of the command line, if it has one, or of the manifest.
    pub fn new(scaling: &ScalingPlan, workers: Option<u32>) -> Self {
        let (policy, replicas) = match (workers, *scaling) {
            (Some(replicas), _) | (None, ScalingPlan::Fixed(replicas)) => (None, replicas),
            (None, ScalingPlan::Automatic(policy)) => (Some(policy), policy.min),
        };
        Self { policy, driver: ScalingDriver::new(), replicas, last: None }
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
        if changed {
            self.last = Some((&decision).into());
        }
        changed.then_some(decision)
    }

    /// The workers as the store has them, of which this number is ready.
    pub fn workforce(&self, ready: usize) -> Workforce {
        let ready = u32::try_from(ready).unwrap_or(u32::MAX);
        Workforce { wanted: self.replicas, ready, last_scaling: self.last.clone() }.bounded()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_on_the_command_line_wins_over_the_manifest() {
        let automatic = ScalingPlan::Automatic(Policy { min: 2, ..Policy::default() });
        for (scaling, workers, replicas) in
            [(automatic, None, 2), (automatic, Some(3), 3), (ScalingPlan::Fixed(4), None, 4)]
        {
            assert_eq!(Scaler::new(&scaling, workers).replicas(), replicas);
        }
    }

    #[test]
    fn a_fixed_number_never_changes() {
        let mut scaler = Scaler::new(&ScalingPlan::Fixed(3), None);
        assert!(scaler.decide(None).is_none());
        assert_eq!(scaler.replicas(), 3);
    }
}
