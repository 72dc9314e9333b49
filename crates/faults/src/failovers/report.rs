//! What the runs have shown.

use std::time::Duration;

use clap::ValueEnum as _;
use serde::Serialize;
use serde_json::{Value, json};

use super::fault::PrimaryFault;

/// Joins go on within this time after 95 of 100 kills.
const WRITABLE_MS: u64 = 8000;
/// The same if the operator ends too.
const WRITABLE_LATER_MS: u64 = 25_000;
/// A primary that was replaced while it was away says so within this time.
const DEMOTED_MS: u64 = 3000;

/// One run.
#[derive(Debug, Clone, Serialize)]
pub struct FailoverRun {
    /// What happened to the primary.
    pub fault: PrimaryFault,
    /// How long, in milliseconds.
    pub lasted_ms: u64,
    /// Whether another primary was elected.
    pub elected: bool,
    /// Places that were acknowledged, at the old primary too.
    pub places: usize,
    /// Those of them that the servers do not have in the end.
    pub missing: usize,
    /// The longest time without a place, in milliseconds.
    pub paused_ms: u64,
    /// How long the old primary said that it was one after it was back, in milliseconds; `None` if
    /// it was not replaced while it was away, or was killed.
    pub demoted_after_ms: Option<u64>,
    /// Places that the old primary acknowledged although another one was recorded.
    pub acknowledged_by_old: usize,
}

impl FailoverRun {
    pub(super) fn line(&self, number: u32) -> String {
        let Self { fault, places, missing, acknowledged_by_old, .. } = self;
        let (lasted, paused) = (seconds(self.lasted_ms), seconds(self.paused_ms));
        let elected = if self.elected { "another primary" } else { "the same primary" };
        let old = match self.demoted_after_ms {
            Some(after) => format!(
                "; the old one was demoted after {}, and acknowledged {acknowledged_by_old}",
                seconds(after)
            ),
            None => String::new(),
        };
        format!(
            "{number:>4}  {:<22} {lasted:>6}  {places:>6} places, {missing} missing, \
             paused for {paused}, {elected}{old}",
            name(*fault)
        )
    }
}

/// The runs with each fault, and all together.
pub(super) fn lines(runs: &[FailoverRun]) -> Vec<String> {
    let mut lines = vec![row(&[
        "fault",
        "runs",
        "elections",
        "places",
        "missing",
        "paused p50/p95/max",
        "old demoted after",
        "old acknowledged",
    ])];
    for fault in PrimaryFault::value_variants() {
        let of: Vec<_> = runs.iter().filter(|run| run.fault == *fault).collect();
        if !of.is_empty() {
            lines.push(line(&name(*fault), &of));
        }
    }
    lines.push(line("all", &runs.iter().collect::<Vec<_>>()));
    lines.push(format!(
        "promised: no place is missing, and no old primary acknowledges one; aims: a p95 of {} \
         after kill, of {} after kill-with-operator, and an old primary that is demoted within {}, \
         where the operator is not slow",
        seconds(WRITABLE_MS),
        seconds(WRITABLE_LATER_MS),
        seconds(DEMOTED_MS)
    ));
    lines
}

fn line(name: &str, runs: &[&FailoverRun]) -> String {
    let sum =
        |of: fn(&FailoverRun) -> usize| runs.iter().map(|run| of(run)).sum::<usize>().to_string();
    let demoted: Vec<_> = runs.iter().filter_map(|run| run.demoted_after_ms).collect();
    let times = demoted.len();
    row(&[
        name,
        &runs.len().to_string(),
        &sum(|run| usize::from(run.elected)),
        &sum(|run| run.places),
        &sum(|run| run.missing),
        &ranks(runs.iter().map(|run| run.paused_ms).collect()),
        &format!("{} ({times})", ranks(demoted)),
        &sum(|run| run.acknowledged_by_old),
    ])
}

fn row(cells: &[&str; 8]) -> String {
    let [fault, runs, elections, places, missing, paused, demoted, acknowledged] = cells;
    format!(
        "{fault:<21} {runs:>4} {elections:>9} {places:>8} {missing:>7}  {paused:<20} \
         {demoted:<22} {acknowledged}"
    )
}

/// Median, 95th percentile and maximum, each a value that occurred.
fn ranks(mut values: Vec<u64>) -> String {
    values.sort_unstable();
    let at = |percent: usize| (values.len() * percent).div_ceil(100).saturating_sub(1);
    let rank = |percent| values.get(at(percent)).map_or("-".to_owned(), |value| seconds(*value));
    [50, 95, 100].map(rank).join(" / ")
}

fn seconds(milliseconds: u64) -> String {
    format!("{:.1} s", Duration::from_millis(milliseconds).as_secs_f64())
}

fn name(fault: PrimaryFault) -> String {
    let value = serde_json::to_value(fault).unwrap_or_default();
    value.as_str().unwrap_or_default().to_owned()
}

/// Whether every promise was kept.
pub(super) fn is_clean(runs: &[FailoverRun]) -> bool {
    runs.iter().all(|run| run.missing == 0 && run.acknowledged_by_old == 0)
}

/// For programs; `invariants` as in the report of a fault run.
pub(super) fn json(seed: u64, ok: bool, runs: &[FailoverRun]) -> Value {
    let missing = runs.iter().map(|run| run.missing).sum::<usize>();
    let says = "an acknowledged place is kept";
    json!({
        "seed": seed,
        "ok": ok,
        "runs": runs,
        "invariants": [{ "number": 1, "says": says, "broken": missing }],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_values_that_occurred() {
        assert_eq!(ranks(Vec::new()), "- / - / -");
        assert_eq!(ranks(vec![700]), "0.7 s / 0.7 s / 0.7 s");
        assert_eq!(ranks((1..=20).rev().map(|n| n * 1000).collect()), "10.0 s / 19.0 s / 20.0 s");
    }
}
