//! What clients do, how often, and when: the vocabulary of a crowd's configuration.

use std::time::Duration;

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
    /// Whether it pays even if the booking has ended: late payments are its point.
    pub(crate) fn insists_on_paying(self) -> bool {
        matches!(self, Self::PaysLate | Self::PaysAtDeadline)
    }
}

/// How common each behaviour is, as weights: only their proportions matter. All clients pay if
/// every weight is 0.
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

    /// The same behaviour for all clients.
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

/// When clients act. Each moment is drawn from a uniform distribution.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ActionTiming {
    /// Clients that pay in time do so within this fraction of the remaining time: `(0.2, 0.6)`.
    pub think: (f64, f64),
    /// Clients that leave do so within this time of joining.
    pub leave_within: Duration,
    /// Clients that pay late do so at most this long after the deadline, at least a fifth of it.
    pub late_within: Duration,
}

impl Default for ActionTiming {
    fn default() -> Self {
        Self {
            think: (0.2, 0.6),
            leave_within: Duration::from_secs(20),
            late_within: Duration::from_millis(2500),
        }
    }
}

/// Repetitions that any client may add to its behaviour, as probabilities; none by default.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Repeats {
    /// Sends its Enqueue twice at the same time.
    pub twin_request: f64,
    /// Repeats one of its earlier requests, after acting and after the end of a booking.
    pub repeat_request: f64,
    /// Joins again after a booking has ended, up to three bookings.
    pub join_again: f64,
}

/// How arrivals are spread over their time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrivals {
    /// Uniformly random: a Poisson process with a fixed number of arrivals.
    Random,
    /// At a constant rate.
    Even,
}

/// How clients follow their bookings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Following {
    /// WatchStatus.
    Watch,
    /// GetStatus, repeatedly.
    Poll,
}
