//! The promises that can break, and the examples kept of each.

use std::collections::BTreeMap;

use serde::ser::{Serialize, SerializeMap as _, Serializer};

/// Examples kept of each kind.
const EXAMPLES: usize = 20;

/// A promise that broke.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Violation {
    /// An acknowledged Enqueue whose booking neither the log nor the store has, or that the store
    /// lost on its way.
    Lost,
    /// One request with two bookings, or a client with two active bookings at once.
    Duplicated,
    /// A place claimed from the line for the first time while a smaller one waited there.
    DispatchInversion,
    /// Two reservations for one booking, or a client's bookings reserved at the same time.
    DoubleReservation,
    /// The shop and the store disagree on who has what: tickets nobody will give back, or bookings
    /// without tickets.
    Orphan,
    /// More tickets sold, or sold and put aside, than there were.
    Oversold,
    /// A state that may not follow the one before.
    IllegalTransition,
    /// A task settled with a fence that was not the newest, or claimed without a higher one.
    StaleSettle,
    /// A hold paid after its deadline, or expired before it.
    BrokenDeadline,
    /// A new place that is not higher than all before.
    UnorderedPlace,
    /// The store says another state than its own log.
    Disagreement,
}

impl Violation {
    /// Every kind.
    pub const ALL: [Self; 11] = [
        Self::Lost,
        Self::Duplicated,
        Self::DispatchInversion,
        Self::DoubleReservation,
        Self::Orphan,
        Self::Oversold,
        Self::IllegalTransition,
        Self::StaleSettle,
        Self::BrokenDeadline,
        Self::UnorderedPlace,
        Self::Disagreement,
    ];

    /// The invariant of ARCHITECTURE.md that it breaks, by number.
    pub fn invariant(self) -> u8 {
        match self {
            Self::Lost | Self::Duplicated => 1,
            Self::DispatchInversion | Self::UnorderedPlace => 2,
            Self::StaleSettle => 3,
            Self::DoubleReservation | Self::Orphan => 4,
            Self::BrokenDeadline => 5,
            Self::Oversold => 6,
            Self::IllegalTransition | Self::Disagreement => 8,
        }
    }

    /// The word used in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::Duplicated => "duplicated",
            Self::DispatchInversion => "dispatch_inversions",
            Self::DoubleReservation => "double_reservations",
            Self::Orphan => "orphans",
            Self::Oversold => "oversold",
            Self::IllegalTransition => "illegal_transitions",
            Self::StaleSettle => "stale_settles",
            Self::BrokenDeadline => "broken_deadlines",
            Self::UnorderedPlace => "unordered_places",
            Self::Disagreement => "disagreements",
        }
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Finding {
    count: u64,
    examples: Vec<String>,
}

/// How often each promise broke, with up to 20 examples each.
///
/// In JSON: an object with one number for each kind, zeros included. Examples are asked for with
/// [`Self::examples`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Violations(BTreeMap<Violation, Finding>);

impl Violations {
    /// How often it broke.
    pub fn count(&self, kind: Violation) -> u64 {
        self.0.get(&kind).map_or(0, |finding| finding.count)
    }

    /// The first cases, for a person.
    pub fn examples(&self, kind: Violation) -> &[String] {
        self.0.get(&kind).map_or(&[], |finding| &finding.examples)
    }

    /// Whether every promise was kept.
    pub fn is_clean(&self) -> bool {
        self.0.is_empty()
    }

    /// All broken promises.
    pub fn total(&self) -> u64 {
        self.0.values().map(|finding| finding.count).sum()
    }

    /// The kinds that broke, each with its count and examples.
    pub fn iter(&self) -> impl Iterator<Item = (Violation, u64, &[String])> {
        self.0.iter().map(|(kind, finding)| (*kind, finding.count, finding.examples.as_slice()))
    }

    /// Counts one; `example` is asked for only while examples are kept.
    pub(crate) fn note(&mut self, kind: Violation, example: impl FnOnce() -> String) {
        let finding = self.0.entry(kind).or_default();
        finding.count += 1;
        if finding.examples.len() < EXAMPLES {
            finding.examples.push(example());
        }
    }
}

impl Serialize for Violations {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(Violation::ALL.len()))?;
        for kind in Violation::ALL {
            map.serialize_entry(kind.as_str(), &self.count(kind))?;
        }
        map.end()
    }
}
