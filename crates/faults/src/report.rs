//! What a run says at its end: to a person, line by line, and as JSON.

use std::collections::BTreeMap;

use bookingq_check::recorder::CallCounts;
use bookingq_check::{InvariantResult, Verification};
use bookingq_store::Totals;
use serde::Serialize;
use serde_json::{Value, json};

use crate::plan::FaultKind;

/// All figures of a run.
#[derive(Debug)]
pub struct FaultReport {
    /// What replays the schedule.
    pub seed: u64,
    /// How long the whole run took, in seconds.
    pub seconds: f64,
    /// Clients that arrived, of those planned; each may make several bookings.
    pub arrived: u64,
    /// The planned ones.
    pub planned: u64,
    /// Clients' calls.
    pub calls: CallCounts,
    /// Faults by kind.
    pub faults: BTreeMap<FaultKind, u64>,
    /// Processes, with how often each was started.
    pub starts: BTreeMap<String, u64>,
    /// Processes that ended without a fault that ends them, and how.
    pub own_ends: Vec<String>,
    /// Longest time without a transition, in milliseconds.
    pub longest_stall_ms: u64,
    /// From the end of all faults until nothing was left to do, in milliseconds.
    pub rest_after_ms: u64,
    /// Redis's counters.
    pub totals: Totals,
    /// The result of all checks.
    pub verification: Verification,
}

/// A word as serde writes it.
pub fn word(value: impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(word)) => word,
        _ => String::new(),
    }
}

impl FaultReport {
    /// Whether nothing is wrong.
    pub fn is_clean(&self) -> bool {
        self.verification.violations.is_clean()
            && self.verification.gaps == 0
            && self.own_ends.is_empty()
    }

    /// For programs.
    pub fn json(&self) -> Value {
        json!({
            "seed": self.seed,
            "ok": self.is_clean(),
            "seconds": self.seconds,
            "arrived": self.arrived,
            "planned": self.planned,
            "bookings": self.verification.tallies,
            "calls": self.calls,
            "faults": self.faults.iter().map(|(kind, count)| (word(kind), *count)).collect::<BTreeMap<_, _>>(),
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

    /// For a person.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!("seed {}, {:.0} s", self.seed, self.seconds)];
        let faults: Vec<_> =
            self.faults.iter().map(|(kind, count)| format!("{} {count}", word(kind))).collect();
        lines.push(format!(
            "faults    {}: {}",
            self.faults.values().sum::<u64>(),
            faults.join(", ")
        ));
        let starts: Vec<_> =
            self.starts.iter().map(|(name, count)| format!("{name} {count}")).collect();
        lines.push(format!("starts    {}", starts.join(", ")));
        let tallies = &self.verification.tallies;
        let finals = &tallies.finals;
        lines.push(format!("clients   {} of {} arrived", self.arrived, self.planned));
        lines.push(format!(
            "bookings  {}: confirmed {}, expired {}, cancelled {}, sold out {}, rejected {}, failed {}, waiting {}, in progress {}",
            tallies.enqueued, finals.confirmed, finals.expired, finals.cancelled, finals.sold_out, finals.rejected,
            finals.failed, tallies.waiting, tallies.in_progress,
        ));
        let refused: Vec<_> =
            self.calls.refused.iter().map(|(why, count)| format!("{why} {count}")).collect();
        lines.push(format!(
            "calls     ok {}, unknown {}, refused {} ({}), slowest {} ms",
            self.calls.ok,
            self.calls.unknown,
            self.calls.refused.values().sum::<u64>(),
            refused.join(", "),
            self.calls.slowest_ms,
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
        for result in self.verification.violations.invariants() {
            lines.extend(lines_of(&result));
        }
        lines
    }
}

fn lines_of(result: &InvariantResult) -> Vec<String> {
    let InvariantResult { number, says, broken, evidence } = result;
    if *broken == 0 {
        return vec![format!("invariant {number}: ok      {says}")];
    }
    let mut lines = vec![format!("invariant {number}: BROKEN  {says}: {broken} cases")];
    lines.extend(evidence.iter().map(|case| format!("    {case}")));
    lines
}
