//! A booking's place in the order of its queue: the one key by which bookings are compared.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The number a booking gets when it joins a lane: 1, 2, 3, … Exact in a sorted set up to 2^53.
///
/// It has no order of its own, so that numbers of two lanes can't be compared: only a [`Place`]
/// says which booking goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct QueueNumber(u64);

impl QueueNumber {
    /// From the store or the wire.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// For the store, the wire and people; never for comparing.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for QueueNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A line of a queue with numbers of its own. A queue has one today.
///
/// Code that keeps one structure for each lane matches on the only variant, so that the compiler
/// points at it when a second one is added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum Lane {
    /// First come, first served.
    #[default]
    Standard,
}

/// Fixes the order of a queue: the smaller place goes first. A booking keeps its place for life.
///
/// In JSON it is the field `queue_number` of the record that contains it (`#[serde(flatten)]`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Place {
    /// The lane; a lane that compares as smaller goes first.
    #[serde(skip)]
    pub lane: Lane,
    /// Where in the lane.
    #[serde(rename = "queue_number")]
    pub number: QueueNumber,
}

impl Place {
    /// Before every place of every lane.
    pub const START: Self = Self::numbered(0);

    /// The place with this number in the standard lane.
    pub const fn numbered(number: u64) -> Self {
        Self { lane: Lane::Standard, number: QueueNumber::new(number) }
    }
}

impl Ord for Place {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.lane, self.number.0).cmp(&(other.lane, other.number.0))
    }
}

impl PartialOrd for Place {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { lane: Lane::Standard, number } = self;
        number.fmt(f)
    }
}
