//! The report of a run in JSON, and its summary for a person. docs/report.md describes every key.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use bookingq_check::{Answers, Moment, Tallies, Verification, Violation};
use bookingq_crowd::latency::LatencySummary;
use bookingq_crowd::{CrowdReport, ProgressView};
use serde::Serialize;

use crate::console::Console;
use crate::error::{RunOutcome, UpError};
use crate::items::{self, ItemReport};
use crate::screen::{bold, green, red};

/// How far the crowd's clock and the store's may be apart before a deadline counts as broken.
pub const CLOCK_MARGIN_MS: u64 = 250;
/// Cases shown of each broken rule.
const SHOWN: usize = 5;

/// The report.
#[derive(Debug, Clone, Serialize)]
#[allow(missing_docs)]
pub struct RunReport {
    pub queue: String,
    pub store: Option<&'static str>,
    pub seconds: f64,
    /// `None` when the queue's data could not be read.
    #[serde(flatten)]
    pub verification: Option<Verification>,
    pub items: Vec<ItemReport>,
    pub latency_ms: RunLatency,
    pub replicas: Vec<Replicas>,
    pub crowd: Option<CheckedCrowd>,
    pub sound: bool,
}

/// What the clients measured, and where the answers to them broke a promise.
#[derive(Debug, Clone, Serialize)]
#[allow(missing_docs)]
pub struct CheckedCrowd {
    #[serde(flatten)]
    pub report: CrowdReport,
    pub promises_broken_total: u64,
    pub promises_broken: Vec<String>,
}

/// How long things took, in milliseconds.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct RunLatency {
    /// The Enqueue call, as the crowd measured it.
    pub enqueue: LatencySummary,
    /// From joining the line to being claimed.
    pub queued: LatencySummary,
    /// From being claimed to the Booking Service's answer, retries included.
    pub reserve: LatencySummary,
    /// From the payment to being confirmed.
    pub confirm: LatencySummary,
    /// From the deadline of an unpaid hold until it was released.
    pub release_lag: LatencySummary,
}

/// Workers from a moment on.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Replicas {
    /// Seconds since the start.
    pub second: f64,
    /// Workers wanted.
    pub wanted: u32,
    /// Workers that are ready.
    pub ready: usize,
}

/// A run apart from its verification.
#[derive(Debug)]
pub struct RunSummary {
    /// The queue's name.
    pub queue: String,
    /// Where its data is, if that is known.
    pub store: Option<&'static str>,
    /// How long it ran.
    pub time: Duration,
    /// Workers over time.
    pub replicas: Vec<Replicas>,
    /// The items, if the Booking Service is simulated and there was a crowd.
    pub items: Vec<ItemReport>,
    /// What the clients measured.
    pub crowd: Option<CrowdReport>,
}

impl RunReport {
    /// Without a verification, only the answers to the clients count.
    pub fn new(summary: RunSummary, answers: &Answers, verification: Option<Verification>) -> Self {
        let RunSummary { queue, store, time, replicas, items, crowd } = summary;
        let broken = answers.violations();
        let timings = verification.as_ref().map(|found| found.timings).unwrap_or_default();
        let clean = verification.as_ref().is_none_or(|found| found.violations.is_clean());
        Self {
            queue,
            store,
            seconds: (time.as_secs_f64() * 10.0).round() / 10.0,
            verification,
            latency_ms: RunLatency {
                enqueue: crowd.as_ref().map(|crowd| crowd.latency_ms.enqueue).unwrap_or_default(),
                queued: timings.queued,
                reserve: timings.reserve,
                confirm: timings.confirm,
                release_lag: timings.release_lag,
            },
            replicas,
            crowd: crowd.map(|report| CheckedCrowd {
                report,
                promises_broken_total: broken.total(),
                promises_broken: broken
                    .iter()
                    .flat_map(|(kind, _, cases)| {
                        cases.iter().map(move |case| format!("{}: {case}", kind.as_str()))
                    })
                    .collect(),
            }),
            sound: clean && broken.is_clean() && items.iter().all(|item| item.passed_by == 0),
            items,
        }
    }

    /// What the exit code says.
    pub fn outcome(&self) -> RunOutcome {
        if self.sound { RunOutcome::Sound } else { RunOutcome::Broken }
    }

    /// Writes it to `file`, if there is one, and shows its summary.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(crate) fn conclude(&self, file: Option<&Path>, console: &Console) -> Result<(), UpError> {
        let mut lines = self.summary();
        if let Some(file) = file {
            let text = serde_json::to_string_pretty(self).map_err(std::io::Error::from);
            let written = text.and_then(|text| std::fs::write(file, text + "\n"));
            written.map_err(|cause| UpError::File { file: file.to_owned(), cause })?;
            lines.push(format!("  report: {}", file.display()));
        }
        console.conclude(&lines);
        Ok(())
    }

    /// As one line of JSON.
    ///
    /// # Errors
    /// Never, in practice: all of it can be shown as JSON.
    pub fn line(&self) -> Result<String, UpError> {
        serde_json::to_string(self).map_err(UpError::Json)
    }

    /// For a person.
    pub fn summary(&self) -> Vec<String> {
        let mut lines =
            vec![String::new(), format!("{} after {:.1} s", bold(&self.queue), self.seconds)];
        if let Some(found) = &self.verification {
            lines.extend(numbers(found));
        }
        if let Some(crowd) = &self.crowd {
            lines.extend(numbers_of_crowd(&crowd.report));
        }
        lines.extend(items::lines(&self.items));
        let latencies = &self.latency_ms;
        for (name, summary) in [
            ("enqueue call", latencies.enqueue),
            ("time in line", latencies.queued),
            ("reserve", latencies.reserve),
            ("confirm", latencies.confirm),
            ("release after deadline", latencies.release_lag),
        ] {
            if summary.count > 0 {
                let LatencySummary { p50, p99, max, .. } = summary;
                lines.push(format!(
                    "  {name:<23} p50 {p50:>9.1} ms   p99 {p99:>9.1} ms   max {max:>9.1} ms"
                ));
            }
        }
        if let Some(most) = self.replicas.iter().map(|replicas| replicas.wanted).max() {
            lines.push(format!("  workers: at most {most}, {} changes", self.replicas.len() - 1));
        }
        lines.extend(self.findings());
        lines
    }

    fn findings(&self) -> Vec<String> {
        let mut lines = self.verification.as_ref().map(violations).unwrap_or_default();
        if let Some(crowd) = self.crowd.as_ref().filter(|crowd| crowd.promises_broken_total > 0) {
            lines.push(red(&format!(
                "  BROKEN promises to clients: {}",
                crowd.promises_broken_total
            )));
            let examples = crowd.promises_broken.iter().take(SHOWN);
            lines.extend(examples.map(|case| format!("    {case}")));
        }
        if self.sound {
            lines.extend(self.verification.as_ref().map_or_else(unverified, kept));
        }
        lines
    }
}

fn numbers_of_crowd(crowd: &CrowdReport) -> Vec<String> {
    let ProgressView {
        arrived,
        acknowledged,
        refused,
        paid,
        paid_late,
        reacquired,
        left,
        finished,
        ..
    } = crowd.progress;
    let list = |counts: &BTreeMap<&'static str, u64>| {
        let counts = counts.iter().filter(|(_, count)| **count > 0);
        counts
            .map(|(what, count)| format!("{} {count}", what.replace('_', " ")))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let mut lines = vec![
        format!("  crowd: {arrived} came, {acknowledged} got a place, {refused} were refused"),
        format!(
            "  they saw: {paid} paid, {paid_late} too late, {reacquired} reserved again, {left} \
             left; {finished} ended: {}",
            list(&crowd.finals)
        ),
    ];
    if !crowd.errors.is_empty() {
        lines.push(format!("  answered with an error: {}", list(&crowd.errors)));
    }
    lines
}

/// Only the answers to the clients were checked.
fn unverified() -> Vec<String> {
    vec![green("  every promise to these clients was kept, as far as they could see")]
}

fn numbers(found: &Verification) -> Vec<String> {
    let Tallies { enqueued, waiting, in_progress, finals } = found.tallies;
    let mut lines = vec![
        format!(
            "  enqueued {enqueued} = waiting {waiting} + in progress {in_progress} + final {}",
            enqueued - waiting - in_progress
        ),
        format!("  final: {finals}"),
    ];
    if let Some(ledger) = &found.ledger {
        lines.push(format!(
            "  Booking Service: confirmed {} + held {} + available {} = stock {}; released {}",
            ledger.confirmed, ledger.held, ledger.available, ledger.stock, ledger.released
        ));
    }
    lines
}

fn violations(found: &Verification) -> Vec<String> {
    let mut lines = Vec::new();
    if found.gaps > 0 {
        lines.push(red(&format!(
            "  the outbox was trimmed {} times before it was read: the check is not complete",
            found.gaps
        )));
    }
    for (kind, count, examples) in found.violations.iter() {
        lines.push(red(&format!("  BROKEN {}: {count}", kind.as_str())));
        lines.extend(examples.iter().take(SHOWN).map(|example| format!("    {example}")));
    }
    lines
}

fn kept(found: &Verification) -> Vec<String> {
    let kinds =
        Violation::all().map(Violation::as_str).collect::<Vec<_>>().join(", ").replace('_', " ");
    let sources = if found.ledger.is_some() { "log, store and ledger" } else { "log and store" };
    let exactness = match found.moment {
        Moment::AtRest => format!("at rest, so {sources} agree exactly"),
        Moment::InMotion => "while some bookings were still in progress".to_owned(),
    };
    vec![
        green(&format!("  every promise was kept ({exactness})")),
        format!("  checked for: {kinds}"),
    ]
}
