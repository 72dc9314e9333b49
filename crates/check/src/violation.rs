//! The rules, each with its invariant, and the cases that break them.

use std::collections::BTreeMap;

use serde::ser::{Serialize, SerializeStruct as _, Serializer};

/// Examples of each kind.
const EXAMPLES: usize = 20;

/// The invariants of ARCHITECTURE.md, in short.
pub const INVARIANTS: [(u8, &str); 10] = [
    (1, "no acknowledged place is lost, and one request is one booking"),
    (2, "no earlier client that could have been served is passed over; a retry keeps its place"),
    (3, "only the holder of the newest fence settles"),
    (4, "every reservation ends confirmed or released, once"),
    (5, "payment or deadline: one wins, and stays the winner"),
    (6, "never more confirmed than there is stock"),
    (7, "the store's clock is the only clock"),
    (8, "repeated calls are harmless, and sets, counters, log and store agree"),
    (9, "no client is sent away while a reservation of its item may come back"),
    (10, "no client is served before the opening, or faster than the outflow"),
];

/// A rule that was broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Violation {
    /// An acknowledged booking that is in neither log nor store, that the store lost, or that a
    /// later answer denied.
    Lost,
    /// One request with two bookings, or a client with two active bookings at once.
    Duplicated,
    /// A booking that never ended although no work was left.
    Unfinished,
    /// A booking claimed while an earlier place waited that could have been served.
    DispatchInversion,
    /// A new place that is not later than all earlier ones.
    UnorderedPlace,
    /// A booking that changed its place, or a position that grew.
    MovedPlace,
    /// A task settled with a fence that was not the newest, or claimed without a higher one.
    StaleSettle,
    /// Two reservations for one booking, or a client's bookings reserved at the same time.
    DoubleReservation,
    /// A contradiction between the Booking Service and the store.
    Orphan,
    /// A hold paid after its deadline, or expired before it.
    BrokenDeadline,
    /// An acknowledged payment or cancellation without its effect, or a sale without a payment.
    BrokenPayment,
    /// More sold, or sold and held, than the stock.
    Oversold,
    /// A time or a deadline that is not by the store's clock.
    WrongClock,
    /// A transition that the table of transitions does not have.
    IllegalTransition,
    /// A contradiction between store, counters, log and answers.
    Disagreement,
    /// A refusal without a cause.
    UnexpectedRefusal,
    /// A client that was shown less than before, last shown another state than the store's, or
    /// shown it too late.
    StaleView,
    /// A booking that ended as sold out while a reservation of its item could come back, or an item
    /// that a refusal from before a return closed further.
    SentAway,
    /// A booking claimed before the opening, or against the outflow; or claims of a closed item
    /// without a cause.
    UnpacedClaim,
}

/// Each kind with the number of its invariant and its word in reports, in the order of the enum.
const RULES: [(Violation, u8, &str); 19] = [
    (Violation::Lost, 1, "lost"),
    (Violation::Duplicated, 1, "duplicated"),
    (Violation::Unfinished, 1, "unfinished"),
    (Violation::DispatchInversion, 2, "dispatch_inversions"),
    (Violation::UnorderedPlace, 2, "unordered_places"),
    (Violation::MovedPlace, 2, "moved_places"),
    (Violation::StaleSettle, 3, "stale_settles"),
    (Violation::DoubleReservation, 4, "double_reservations"),
    (Violation::Orphan, 4, "orphans"),
    (Violation::BrokenDeadline, 5, "broken_deadlines"),
    (Violation::BrokenPayment, 5, "broken_payments"),
    (Violation::Oversold, 6, "oversold"),
    (Violation::WrongClock, 7, "wrong_clocks"),
    (Violation::IllegalTransition, 8, "illegal_transitions"),
    (Violation::Disagreement, 8, "disagreements"),
    (Violation::UnexpectedRefusal, 8, "unexpected_refusals"),
    (Violation::StaleView, 8, "stale_views"),
    (Violation::SentAway, 9, "sent_away"),
    (Violation::UnpacedClaim, 10, "unpaced_claims"),
];
const _: () = {
    let mut index = 0;
    while index < RULES.len() {
        assert!(RULES[index].0 as usize == index);
        index += 1;
    }
};

impl Violation {
    /// Every kind.
    pub fn all() -> impl Iterator<Item = Self> {
        RULES.into_iter().map(|(kind, ..)| kind)
    }

    /// The invariant of ARCHITECTURE.md that it breaks, by number.
    pub fn invariant(self) -> u8 {
        RULES[self as usize].1
    }

    /// The word used in reports.
    pub fn as_str(self) -> &'static str {
        RULES[self as usize].2
    }
}

/// The result for one invariant.
#[derive(Debug, Clone, serde::Serialize)]
pub struct InvariantResult {
    /// Its number.
    pub number: u8,
    /// The rule.
    pub says: &'static str,
    /// The number of cases.
    pub broken: u64,
    /// The first cases of each rule.
    pub evidence: Vec<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Cases {
    count: u64,
    examples: Vec<String>,
}

/// The cases that break each rule, with up to 20 examples each.
///
/// In JSON: `violations`, with one number for each kind, zeros included, and `violation_examples`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Violations(BTreeMap<Violation, Cases>);

impl Violations {
    /// The number of cases.
    pub fn count(&self, kind: Violation) -> u64 {
        self.0.get(&kind).map_or(0, |cases| cases.count)
    }

    /// The first cases.
    pub fn examples(&self, kind: Violation) -> &[String] {
        self.0.get(&kind).map_or(&[], |cases| &cases.examples)
    }

    /// Whether no rule is broken.
    pub fn is_clean(&self) -> bool {
        self.0.is_empty()
    }

    /// The number of cases of all rules.
    pub fn total(&self) -> u64 {
        self.0.values().map(|cases| cases.count).sum()
    }

    /// The broken rules, each with its count and examples.
    pub fn iter(&self) -> impl Iterator<Item = (Violation, u64, &[String])> {
        self.0.iter().map(|(kind, cases)| (*kind, cases.count, cases.examples.as_slice()))
    }

    /// Every invariant with its broken rules, in order.
    pub fn invariants(&self) -> Vec<InvariantResult> {
        let result = |(number, says)| {
            let broken = || self.iter().filter(move |(kind, ..)| kind.invariant() == number);
            let cases = broken().flat_map(|(kind, _, examples)| {
                examples.iter().map(move |example| format!("{}: {example}", kind.as_str()))
            });
            let evidence = cases.collect();
            let broken = broken().map(|(_, count, _)| count).sum();
            InvariantResult { number, says, broken, evidence }
        };
        INVARIANTS.into_iter().map(result).collect()
    }

    /// Counts one case.
    pub fn record(&mut self, kind: Violation, case: String) {
        let cases = self.0.entry(kind).or_default();
        cases.count += 1;
        if cases.examples.len() < EXAMPLES {
            cases.examples.push(case);
        }
    }

    /// Drops the cases of a rule that could not be checked.
    pub fn forget(&mut self, kind: Violation) {
        self.0.remove(&kind);
    }

    /// Adds the cases of another.
    pub fn add(&mut self, other: &Self) {
        for (kind, added) in &other.0 {
            let cases = self.0.entry(*kind).or_default();
            cases.count += added.count;
            let room = EXAMPLES.saturating_sub(cases.examples.len());
            cases.examples.extend(added.examples.iter().take(room).cloned());
        }
    }
}

impl Serialize for Violations {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let counts: BTreeMap<_, _> =
            Violation::all().map(|kind| (kind.as_str(), self.count(kind))).collect();
        let examples: BTreeMap<_, _> =
            self.iter().map(|(kind, _, examples)| (kind.as_str(), examples)).collect();
        let mut both = serializer.serialize_struct("Violations", 2)?;
        both.serialize_field("violations", &counts)?;
        both.serialize_field("violation_examples", &examples)?;
        both.end()
    }
}
