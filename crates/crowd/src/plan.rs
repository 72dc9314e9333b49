//! What one client does with one booking, and when it arrives: drawn from the crowd's seed.

use std::time::Duration;

use bookingq_core::Quantity;
use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};

use crate::behaviour::{ActionTiming, Arrivals, Behaviour};
use crate::config::CrowdConfig;
use crate::demand::Wanted;

/// How far from the deadline [`Behaviour::PaysAtDeadline`] pays, in milliseconds.
const AT_DEADLINE_MS: f64 = 40.0;

/// What a client will do with one booking: drawn from the seed, so that a run can be repeated.
#[derive(Debug, Clone, Copy)]
pub struct BehaviourPlan {
    pub behaviour: Behaviour,
    /// Fraction of the remaining time to wait before paying.
    think: f64,
    /// After joining.
    pub leave_after: Duration,
    /// After the deadline.
    late_by: Duration,
    /// After the deadline, or before it.
    deadline_offset_ms: f64,
}

impl BehaviourPlan {
    pub fn draw(config: &CrowdConfig, rng: &mut SmallRng) -> Self {
        let ActionTiming { think: (from, to), leave_within, late_within } = config.timing;
        Self {
            behaviour: config.behaviours.draw(rng.random()).unwrap_or(Behaviour::Pays),
            think: from + (to - from) * rng.random::<f64>(),
            leave_after: leave_within.mul_f64(rng.random()),
            late_by: late_within.mul_f64(0.2 + 0.8 * rng.random::<f64>()),
            deadline_offset_ms: AT_DEADLINE_MS * (2.0 * rng.random::<f64>() - 1.0),
        }
    }

    /// The time from seeing a hold to paying; `None` if the client does not pay.
    pub fn pay_after(&self, remaining: Duration) -> Option<Duration> {
        use Behaviour as B;
        match self.behaviour {
            B::PaysLate | B::Reacquires => Some(remaining + self.late_by),
            B::PaysAtDeadline => {
                let wait_ms = remaining.as_secs_f64() * 1000.0 + self.deadline_offset_ms;
                Some(Duration::from_secs_f64(wait_ms.max(0.0) / 1000.0))
            }
            B::Leaves | B::LeavesAtOnce | B::NeverPays | B::GivesHoldBack => None,
            B::Pays | B::PaysTwice | B::PaysWithTwoCards | B::LeavesAfterPaying | B::ComesTwice => {
                Some(remaining.mul_f64(self.think))
            }
        }
    }
}

/// The random numbers of the `index`-th client.
pub fn client_rng(seed: u64, index: u32) -> SmallRng {
    // The generator expands its seed, so neighbouring indexes give unrelated clients.
    SmallRng::seed_from_u64(seed.rotate_left(32) ^ u64::from(index))
}

/// What the `index`-th client wants. Its behaviour comes from other random numbers, which therefore
/// do not depend on the items.
pub fn wanted(config: &CrowdConfig, index: u32) -> Wanted {
    let mut rng = client_rng(!config.seed, index);
    Wanted {
        item: config.items.draw(rng.random()).unwrap_or_default(),
        quantity: config.quantities.draw(rng.random()).unwrap_or(Quantity::ONE),
    }
}

/// When each client arrives after the start, ascending.
pub fn arrivals(config: &CrowdConfig) -> Vec<Duration> {
    let CrowdConfig { clients, arrive, arrivals, seed, .. } = config;
    if *arrivals == Arrivals::Even {
        let gap = arrive.div_f64(f64::from((*clients).max(1)));
        return (0..*clients).map(|index| gap.mul_f64(f64::from(index))).collect();
    }
    let mut rng = SmallRng::seed_from_u64(*seed);
    let mut times: Vec<_> = (0..*clients).map(|_| arrive.mul_f64(rng.random())).collect();
    times.sort_unstable();
    times
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use bookingq_core::QueueName;

    use super::*;

    fn config(arrive: Duration) -> CrowdConfig {
        CrowdConfig { seed: 7, ..CrowdConfig::new(QueueName::new("q").unwrap(), 1000, arrive) }
    }

    #[test]
    fn behaviours_come_in_their_proportions() {
        let config = config(Duration::ZERO);
        let mut late = 0;
        for index in 0..10_000 {
            let plan = BehaviourPlan::draw(&config, &mut client_rng(7, index));
            late += u32::from(plan.behaviour == Behaviour::PaysLate);
            assert!((0.2..0.6).contains(&plan.think));
            assert!(plan.late_by >= Duration::from_millis(500));
            assert!(plan.deadline_offset_ms.abs() <= AT_DEADLINE_MS);
        }
        assert!((500..700).contains(&late), "6 % of 10,000 pay late: {late}");
    }

    #[test]
    fn arrivals_are_ascending_within_their_time_and_the_same_for_the_same_seed() {
        let arrive = Duration::from_secs(20);
        for spread in [Arrivals::Random, Arrivals::Even] {
            let config = CrowdConfig { arrivals: spread, ..config(arrive) };
            let times = arrivals(&config);
            assert!(times.is_sorted());
            assert!(times.iter().all(|time| *time < arrive));
            assert_eq!(times, arrivals(&config));
            let first_half = times.iter().filter(|time| **time < arrive / 2).count();
            assert!((400..600).contains(&first_half), "{first_half}");
        }
    }
}
