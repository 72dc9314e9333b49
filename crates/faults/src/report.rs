//! The report of a run: as lines for a person, and as JSON.

use std::collections::BTreeMap;

use bookingq_check::recorder::CallCounts;
use bookingq_check::{InvariantResult, Tallies, Verification};
use bookingq_store::Totals;
use serde::Serialize;
use serde_json::{Value, json};

use crate::kinds::FaultKind;
use crate::releases::RollOut;

/// All figures of a run.
#[derive(Debug)]
pub struct FaultReport {
    /// The seed, which replays the schedule.
    pub seed: u64,
    /// Duration of the whole run.
    pub seconds: f64,
    /// Clients that arrived; each may make several bookings.
    pub arrived: u64,
    /// How those clients came that still waited for the end of a booking when the queue was at
    /// rest.
    pub unserved: Vec<&'static str>,
    /// Clients that were planned.
    pub planned: u64,
    /// Clients' calls.
    pub calls: CallCounts,
    /// Faults by kind.
    pub faults: BTreeMap<FaultKind, u64>,
    /// The other release that was rolled out and back, if there was one.
    pub roll_out: RollOut,
    /// Faults of several servers that were left out.
    pub left_out: u64,
    /// The number of starts of each process.
    pub starts: BTreeMap<String, u64>,
    /// Ends of processes that no fault explains, and panics.
    pub own_ends: Vec<String>,
    /// Longest time without a transition, in milliseconds.
    pub longest_stall_ms: u64,
    /// From the end of all faults until no work was left, in milliseconds.
    pub rest_after_ms: u64,
    /// The store's counters.
    pub totals: Totals,
    /// The result of all checks.
    pub verification: Verification,
}

/// Each key as serde writes it, with its count.
fn counts(of: &BTreeMap<impl Serialize, u64>) -> String {
    let word = |key| serde_json::to_value(key).ok().and_then(|key| Some(key.as_str()?.to_owned()));
    let counts = of.iter().map(|(key, count)| format!("{} {count}", word(key).unwrap_or_default()));
    counts.collect::<Vec<_>>().join(", ")
}

impl FaultReport {
    /// Whether every check passed.
    pub fn is_clean(&self) -> bool {
        self.verification.violations.is_clean()
            && self.verification.gaps == 0
            && self.own_ends.is_empty()
            && self.unserved.is_empty()
            && self.roll_out.failure.is_none()
    }

    /// The report for programs.
    pub fn json(&self) -> Value {
        json!({
            "seed": self.seed,
            "ok": self.is_clean(),
            "seconds": self.seconds,
            "arrived": self.arrived,
            "planned": self.planned,
            "unserved": self.unserved,
            "bookings": self.verification.tallies,
            "calls": self.calls,
            "faults": self.faults,
            "roll_out": self.roll_out,
            "starts": self.starts,
            "own_ends": self.own_ends,
            "longest_stall_ms": self.longest_stall_ms,
            "rest_after_ms": self.rest_after_ms,
            "reclaimed": self.totals.reclaimed,
            "retried": self.totals.retried,
            "stale": self.totals.stale,
            "ledger": self.verification.ledger,
            "timings_ms": self.verification.timings,
            "invariants": self.verification.violations.invariants(),
        })
    }

    /// The report for a person.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!("seed {}, {:.0} s", self.seed, self.seconds)];
        let faults = self.faults.values().sum::<u64>();
        lines.push(format!("faults    {faults}: {}", counts(&self.faults)));
        if self.left_out > 0 {
            lines.push(format!(
                "          {} of them left out: see `docs/reliability.md`",
                self.left_out
            ));
        }
        lines.push(format!("starts    {}", counts(&self.starts)));
        lines.extend(self.roll_out.lines());
        let tallies = &self.verification.tallies;
        lines.push(format!("clients   {} of {} arrived", self.arrived, self.planned));
        let Tallies { enqueued, waiting, in_progress, finals } = tallies;
        lines.push(format!(
            "bookings  {enqueued}: {finals}, waiting {waiting}, in progress {in_progress}"
        ));
        let CallCounts { ok, refused, unknown, slowest_ms, longest_unknown_ms } = &self.calls;
        lines.push(format!(
            "calls     ok {ok}, unknown {unknown}, for {longest_unknown_ms} ms at most, \
             refused {} ({}), slowest {slowest_ms} ms",
            refused.values().sum::<u64>(),
            counts(refused),
        ));
        let Totals { reclaimed, retried, stale, .. } = &self.totals;
        lines.push(format!(
            "tasks     reclaimed {reclaimed}, retried {retried}, stale settlements {stale}"
        ));
        lines.push(format!(
            "stall     {} ms at most; at rest {} ms after the last fault",
            self.longest_stall_ms, self.rest_after_ms
        ));
        if self.verification.gaps > 0 {
            lines.push(format!("NOT COMPLETE: the audit log has {} gaps", self.verification.gaps));
        }
        lines.extend(self.own_ends.iter().map(|end| format!("ENDED BY ITSELF: {end}")));
        let unserved = self.unserved.iter();
        lines.extend(unserved.map(|route| {
            format!("NOT SERVED: clients of {route} did not see the end of their bookings")
        }));
        lines.extend(self.verification.violations.invariants().iter().flat_map(invariant_lines));
        lines
    }
}

/// The lines of one invariant, for a person.
pub fn invariant_lines(result: &InvariantResult) -> Vec<String> {
    let InvariantResult { number, says, broken, evidence } = result;
    if *broken == 0 {
        return vec![format!("invariant {number}: ok      {says}")];
    }
    let mut lines = vec![format!("invariant {number}: BROKEN  {says}: {broken} cases")];
    lines.extend(evidence.iter().map(|case| format!("    {case}")));
    lines
}
