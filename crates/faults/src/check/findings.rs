//! What was found broken, by the number of the invariant.

use std::collections::BTreeMap;

use serde::Serialize;

/// The invariants of ARCHITECTURE.md, in short.
pub const INVARIANTS: [(u8, &str); 8] = [
    (1, "no acknowledged place is lost, and one request is one booking"),
    (2, "claimed in line order, and a retry keeps its place"),
    (3, "only the holder of the newest fence settles"),
    (4, "every reservation ends confirmed or released, once"),
    (5, "payment or deadline: one wins, and stays the winner"),
    (6, "never more confirmed than there is stock"),
    (7, "Redis's clock is the only clock"),
    (8, "repeated calls are harmless, and sets, counters, log and store agree"),
];

/// Cases kept of each.
const EXAMPLES: usize = 20;

#[derive(Debug, Clone, Default)]
struct Finding {
    count: u64,
    examples: Vec<String>,
}

/// Broken invariants, with how often and the first cases.
#[derive(Debug, Clone, Default)]
pub struct Findings(BTreeMap<u8, Finding>);

/// The verdict on one invariant.
#[derive(Debug, Clone, Serialize)]
pub struct Ruling {
    /// Its number.
    pub number: u8,
    /// What it says.
    pub says: &'static str,
    /// How often it broke.
    pub broken: u64,
    /// The first cases.
    pub evidence: Vec<String>,
}

impl Findings {
    /// One more case.
    pub fn note(&mut self, invariant: u8, case: impl FnOnce() -> String) {
        self.note_many(invariant, 1, std::iter::once_with(case));
    }

    /// `count` more cases, some of which are told.
    pub fn note_many(
        &mut self,
        invariant: u8,
        count: u64,
        cases: impl IntoIterator<Item = String>,
    ) {
        let finding = self.0.entry(invariant).or_default();
        finding.count += count;
        let room = EXAMPLES.saturating_sub(finding.examples.len());
        finding.examples.extend(cases.into_iter().take(room));
    }

    /// All of another's.
    pub fn add(&mut self, other: &Self) {
        for (number, finding) in &other.0 {
            self.note_many(*number, finding.count, finding.examples.iter().cloned());
        }
    }

    /// Whether nothing is broken.
    pub fn is_clean(&self) -> bool {
        self.0.is_empty()
    }

    /// The numbers of those that are broken.
    #[cfg(test)]
    pub fn numbers(&self) -> Vec<u8> {
        self.0.keys().copied().collect()
    }

    /// The verdict on each, in order.
    pub fn rulings(&self) -> Vec<Ruling> {
        let ruling = |(number, says)| {
            let finding = self.0.get(&number).cloned().unwrap_or_default();
            Ruling { number, says, broken: finding.count, evidence: finding.examples }
        };
        INVARIANTS.into_iter().map(ruling).collect()
    }
}
