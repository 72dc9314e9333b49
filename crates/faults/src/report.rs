//! What a run says at its end: to a person, line by line, and as JSON.

use std::collections::BTreeMap;

use bookingq_sim::Verdict;
use bookingq_store::Totals;
use serde::Serialize;
use serde_json::{Value, json};

use crate::plan::FaultKind;
use crate::recorder::Counts;
use bookingq_faults::check::{Findings, Ruling};

/// All figures of a run.
#[derive(Debug)]
pub struct Report {
    /// What replays the schedule.
    pub seed: u64,
    /// How long the whole run took, in seconds.
    pub seconds: f64,
    /// Bookings that clients began, of those that were wanted; a client may come again.
    pub begun: u64,
    /// See there.
    pub wanted: u64,
    /// Clients' calls.
    pub calls: Counts,
    /// Faults by kind.
    pub faults: BTreeMap<FaultKind, u64>,
    /// Processes, with how often each was started.
    pub starts: BTreeMap<String, u64>,
    /// Processes that ended though nobody had ended them, and how.
    pub own_ends: Vec<String>,
    /// Longest time without a transition, in milliseconds.
    pub longest_stall_ms: u64,
    /// From the end of all faults until nothing was left to do, in milliseconds.
    pub rest_after_ms: u64,
    /// Redis's counters.
    pub totals: Totals,
    /// The verdict of the log's checker.
    pub verdict: Verdict,
    /// What was found.
    pub findings: Findings,
}

/// A word as serde writes it.
pub fn word(value: impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(word)) => word,
        _ => String::new(),
    }
}

impl Report {
    /// Whether nothing is wrong.
    pub fn is_clean(&self) -> bool {
        self.findings.is_clean() && self.own_ends.is_empty()
    }

    /// For programs.
    pub fn json(&self) -> Value {
        json!({
            "seed": self.seed,
            "ok": self.is_clean(),
            "seconds": self.seconds,
            "begun": self.begun,
            "wanted": self.wanted,
            "bookings": self.verdict.tallies,
            "calls": self.calls,
            "faults": self.faults.iter().map(|(kind, count)| (word(kind), *count)).collect::<BTreeMap<_, _>>(),
            "starts": self.starts,
            "own_ends": self.own_ends,
            "longest_stall_ms": self.longest_stall_ms,
            "rest_after_ms": self.rest_after_ms,
            "reclaimed": self.totals.reclaimed,
            "retried": self.totals.retried,
            "stale": self.totals.stale,
            "ledger": self.verdict.ledger,
            "timings_ms": self.verdict.timings,
            "invariants": self.findings.rulings(),
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
        let tallies = &self.verdict.tallies;
        let finals = &tallies.finals;
        lines.push(format!("clients   {} of {} came", self.begun, self.wanted));
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
        lines.extend(self.own_ends.iter().map(|end| format!("ENDED BY ITSELF: {end}")));
        for ruling in self.findings.rulings() {
            lines.extend(told(&ruling));
        }
        lines
    }
}

fn told(ruling: &Ruling) -> Vec<String> {
    let Ruling { number, says, broken, evidence } = ruling;
    if *broken == 0 {
        return vec![format!("invariant {number}: ok      {says}")];
    }
    let mut lines = vec![format!("invariant {number}: BROKEN  {says}: {broken} cases")];
    lines.extend(evidence.iter().map(|case| format!("    {case}")));
    lines
}
