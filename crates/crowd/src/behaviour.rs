//! What clients do, how often, and when: the vocabulary of a crowd's configuration.

use std::time::Duration;

use crate::weights::Weights;

/// What a client does with one booking.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Behaviour {
    /// Pays in time.
    Pays,
    /// Pays after the deadline.
    PaysLate,
    /// Pays after the deadline, and asks for another reservation.
    Reacquires,
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
        matches!(self, Self::PaysLate | Self::Reacquires | Self::PaysAtDeadline)
    }
}

/// How common each behaviour is.
pub type Behaviours = Weights<Behaviour>;

impl Default for Behaviours {
    fn default() -> Self {
        use Behaviour::{ComesTwice, Leaves, NeverPays, Pays, PaysLate};
        Self::new([(Pays, 70), (Leaves, 8), (NeverPays, 8), (PaysLate, 6), (ComesTwice, 8)])
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
