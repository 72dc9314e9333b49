//! What people do once they are in line, and the plan one of them follows.

use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};

/// What one client does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Behaviour {
    /// Pays in time.
    Pays,
    /// Cancels at some moment.
    Leaves,
    /// Lets the hold run out.
    NeverPays,
    /// Pays after the deadline.
    PaysLate,
    /// Sends the same request again, then another one while the first is active; then pays in time.
    ComesTwice,
}

/// How common each behaviour is, as weights: only their proportions matter. If all are 0, everybody
/// pays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Behaviours {
    /// [`Behaviour::Pays`]
    pub pays: u32,
    /// [`Behaviour::Leaves`]
    pub leaves: u32,
    /// [`Behaviour::NeverPays`]
    pub never_pays: u32,
    /// [`Behaviour::PaysLate`]
    pub pays_late: u32,
    /// [`Behaviour::ComesTwice`]
    pub comes_twice: u32,
}

impl Default for Behaviours {
    fn default() -> Self {
        Self { pays: 70, leaves: 8, never_pays: 8, pays_late: 6, comes_twice: 8 }
    }
}

impl Behaviours {
    /// Everybody does the same.
    pub fn all(behaviour: Behaviour) -> Self {
        let weight = |of| u32::from(of == behaviour);
        Self {
            pays: weight(Behaviour::Pays),
            leaves: weight(Behaviour::Leaves),
            never_pays: weight(Behaviour::NeverPays),
            pays_late: weight(Behaviour::PaysLate),
            comes_twice: weight(Behaviour::ComesTwice),
        }
    }

    /// The behaviour of a client drawn as `chance`, evenly from `[0, 1)`.
    pub fn draw(&self, chance: f64) -> Behaviour {
        let weights = [
            (Behaviour::Pays, self.pays),
            (Behaviour::Leaves, self.leaves),
            (Behaviour::NeverPays, self.never_pays),
            (Behaviour::PaysLate, self.pays_late),
            (Behaviour::ComesTwice, self.comes_twice),
        ];
        let whole: f64 = weights.iter().map(|&(_, weight)| f64::from(weight)).sum();
        let mut left = chance * whole;
        for (behaviour, weight) in weights {
            left -= f64::from(weight);
            if left < 0.0 {
                return behaviour;
            }
        }
        Behaviour::Pays
    }
}

/// When people act.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Manners {
    /// Who pays in time does so within this part of the remaining time, drawn evenly: `(0.2,
    /// 0.6)`.
    pub think: (f64, f64),
    /// Who leaves does so within this time of joining, drawn evenly.
    pub leave_within: Duration,
    /// Who pays late does so at most this long after the deadline, drawn evenly; at least a fifth
    /// of it.
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

/// What one client will do: drawn at the start from the seed, so that a run can be repeated.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) behaviour: Behaviour,
    /// Part of the remaining time before paying.
    pub(super) think: f64,
    /// After joining.
    pub(super) leave_after: Duration,
    /// After the deadline.
    pub(super) late_by: Duration,
    /// For the client's back-off.
    pub(super) chance: SmallRng,
}

impl Plan {
    pub(super) fn draw(seed: u64, index: u32, behaviours: &Behaviours, manners: &Manners) -> Self {
        // The generator stretches its seed, so neighbouring numbers give unrelated clients.
        let mut chance = SmallRng::seed_from_u64(seed.rotate_left(32) ^ u64::from(index));
        let (from, to) = manners.think;
        Self {
            behaviour: behaviours.draw(chance.random()),
            think: from + (to - from) * chance.random::<f64>(),
            leave_after: manners.leave_within.mul_f64(chance.random()),
            late_by: manners.late_within.mul_f64(0.2 + 0.8 * chance.random::<f64>()),
            chance,
        }
    }
}

/// When each of `clients` comes, ascending, within `arrive`: a Poisson process that happens to
/// bring exactly so many.
pub(super) fn arrivals(seed: u64, clients: u32, arrive: Duration) -> Vec<Duration> {
    let mut chance = SmallRng::seed_from_u64(seed);
    let mut times: Vec<Duration> = (0..clients).map(|_| arrive.mul_f64(chance.random())).collect();
    times.sort_unstable();
    times
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn behaviours_come_in_their_proportions() {
        let (behaviours, manners) = (Behaviours::default(), Manners::default());
        let mut late = 0;
        for index in 0..10_000 {
            let plan = Plan::draw(7, index, &behaviours, &manners);
            late += u32::from(plan.behaviour == Behaviour::PaysLate);
            assert!((0.2..0.6).contains(&plan.think));
            assert!(plan.late_by >= Duration::from_millis(500));
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
        let times = arrivals(5, 1000, arrive);
        assert!(times.is_sorted());
        assert!(times.iter().all(|time| *time < arrive));
        assert_eq!(times, arrivals(5, 1000, arrive));
        let first_half = times.iter().filter(|time| **time < arrive / 2).count();
        assert!((400..600).contains(&first_half), "{first_half}");
    }
}
