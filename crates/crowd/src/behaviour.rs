//! What clients do once they are in line, and when.

use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};

use crate::CrowdConfig;

/// What a client does with one booking.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Behaviour {
    /// Pays in time.
    Pays,
    /// Pays after the deadline.
    PaysLate,
    /// Pays at the deadline, a few milliseconds before or after it.
    PaysAtDeadline,
    /// Pays twice with the same payment id, at once or one after the other.
    PaysTwice,
    /// Pays twice with different payment ids.
    PaysWithTwoCards,
    /// Lets the hold run out.
    NeverPays,
    /// Cancels as soon as it is in line.
    LeavesAtOnce,
    /// Cancels at some moment.
    Leaves,
    /// Cancels when it gets a hold.
    GivesHoldBack,
    /// Pays in time and then cancels.
    LeavesAfterPaying,
    /// Sends the same request again, then another one while the booking is active; pays in time.
    ComesTwice,
}

impl Behaviour {
    /// Whether it pays even when the booking has ended meanwhile: that is when it matters.
    pub(crate) fn insists_on_paying(self) -> bool {
        matches!(self, Self::PaysLate | Self::PaysAtDeadline)
    }
}

/// How common each behaviour is, as weights: only their proportions matter. Everybody pays if all
/// are 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Behaviours(Vec<(Behaviour, u32)>);

impl Default for Behaviours {
    fn default() -> Self {
        use Behaviour::{ComesTwice, Leaves, NeverPays, Pays, PaysLate};
        Self::new([(Pays, 70), (Leaves, 8), (NeverPays, 8), (PaysLate, 6), (ComesTwice, 8)])
    }
}

impl Behaviours {
    /// These weights; behaviours that are absent never occur.
    pub fn new(weights: impl IntoIterator<Item = (Behaviour, u32)>) -> Self {
        Self(weights.into_iter().collect())
    }

    /// Everybody does the same.
    pub fn all(behaviour: Behaviour) -> Self {
        Self::new([(behaviour, 1)])
    }

    /// The weight of one behaviour.
    pub fn weight(&self, of: Behaviour) -> u32 {
        self.0.iter().filter(|(behaviour, _)| *behaviour == of).map(|(_, weight)| weight).sum()
    }

    /// The behaviour of a client that drew `chance`, evenly from `[0, 1)`.
    pub fn draw(&self, chance: f64) -> Behaviour {
        let mut left = chance * self.0.iter().map(|&(_, weight)| f64::from(weight)).sum::<f64>();
        for &(behaviour, weight) in &self.0 {
            left -= f64::from(weight);
            if left < 0.0 {
                return behaviour;
            }
        }
        Behaviour::Pays
    }
}

/// When clients act. Each moment is drawn evenly.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Manners {
    /// Clients that pay in time do so within this part of the remaining time: `(0.2, 0.6)`.
    pub think: (f64, f64),
    /// Clients that leave do so within this time of joining.
    pub leave_within: Duration,
    /// Clients that pay late do so at most this long after the deadline, at least a fifth of it.
    pub late_within: Duration,
}

impl Default for Manners {
    fn default() -> Self {
        Self {
            think: (0.2, 0.6),
            leave_within: Duration::from_secs(20),
            late_within: Duration::from_millis(2500),
        }
    }
}

/// What some clients of every behaviour do as well, as probabilities. Nothing by default.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Habits {
    /// Sends its Enqueue twice at the same time.
    pub twin_request: f64,
    /// Repeats one of its earlier requests, after acting and after the end of a booking.
    pub repeat_request: f64,
    /// Comes again after a booking has ended, up to three bookings.
    pub come_again: f64,
}

/// How arrivals are spread over their time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrivals {
    /// A Poisson process that happens to bring exactly so many.
    Random,
    /// One after the other at an even pace.
    Even,
}

/// How far from the deadline [`Behaviour::PaysAtDeadline`] pays, in milliseconds.
const AT_DEADLINE_MS: f64 = 40.0;

/// What a client will do with one booking: drawn from the seed, so that a run can be repeated.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BehaviourPlan {
    pub(crate) behaviour: Behaviour,
    /// Part of the remaining time before paying.
    think: f64,
    /// After joining.
    pub(crate) leave_after: Duration,
    /// After the deadline.
    late_by: Duration,
    /// After the deadline, or before it.
    deadline_offset_ms: f64,
}

impl BehaviourPlan {
    pub(crate) fn draw(config: &CrowdConfig, chance: &mut SmallRng) -> Self {
        let Manners { think: (from, to), leave_within, late_within } = config.manners;
        Self {
            behaviour: config.behaviours.draw(chance.random()),
            think: from + (to - from) * chance.random::<f64>(),
            leave_after: leave_within.mul_f64(chance.random()),
            late_by: late_within.mul_f64(0.2 + 0.8 * chance.random::<f64>()),
            deadline_offset_ms: AT_DEADLINE_MS * (2.0 * chance.random::<f64>() - 1.0),
        }
    }

    /// How long after it hears of a hold the client pays; `None` if it does not.
    pub(crate) fn pay_after(&self, remaining: Duration) -> Option<Duration> {
        use Behaviour as B;
        match self.behaviour {
            B::PaysLate => Some(remaining + self.late_by),
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
pub(crate) fn chance_of(seed: u64, index: u32) -> SmallRng {
    // The generator stretches its seed, so neighbouring numbers give unrelated clients.
    SmallRng::seed_from_u64(seed.rotate_left(32) ^ u64::from(index))
}

/// When each client arrives after the start, ascending.
pub(crate) fn arrivals(config: &CrowdConfig) -> Vec<Duration> {
    let CrowdConfig { clients, arrive, arrivals, seed, .. } = config;
    if *arrivals == Arrivals::Even {
        let gap = arrive.div_f64(f64::from((*clients).max(1)));
        return (0..*clients).map(|index| gap.mul_f64(f64::from(index))).collect();
    }
    let mut chance = SmallRng::seed_from_u64(*seed);
    let mut times: Vec<_> = (0..*clients).map(|_| arrive.mul_f64(chance.random())).collect();
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
            let plan = BehaviourPlan::draw(&config, &mut chance_of(7, index));
            late += u32::from(plan.behaviour == Behaviour::PaysLate);
            assert!((0.2..0.6).contains(&plan.think));
            assert!(plan.late_by >= Duration::from_millis(500));
            assert!(plan.deadline_offset_ms.abs() <= AT_DEADLINE_MS);
        }
        assert!((500..700).contains(&late), "6 % of 10,000 pay late: {late}");
    }

    #[test]
    fn a_single_behaviour_is_everybodys() {
        for behaviour in [Behaviour::Pays, Behaviour::Leaves, Behaviour::ComesTwice] {
            for chance in [0.0, 0.5, 0.999] {
                assert_eq!(Behaviours::all(behaviour).draw(chance), behaviour);
            }
        }
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
