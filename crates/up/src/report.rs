//! What is left of a run: a report in JSON, and its summary for a person.
//!
//! | key | what |
//! |---|---|
//! | `queue`, `store` | the queue's name; where its data lived: `embedded`, `redis`, or `null` when nobody said |
//! | `seconds` | how long it ran, leaving included |
//! | `moment` | `at_rest` when nothing moved while the evidence was taken, so that everything had to agree exactly; otherwise `in_motion` |
//! | `enqueued` | all bookings: the sum of the next three |
//! | `waiting`, `in_progress` | still in the line; still reserving, reserved, confirming or releasing |
//! | `final` | `confirmed`, `expired`, `cancelled`, `sold_out`, `rejected`, `failed` |
//! | `ledger` | the Booking Service's: `stock`, `held`, `confirmed`, `released` and more, in tickets; `null` when it is not simulated |
//! | `violations` | broken promises by kind, from audit log, ledger and store: `lost`, `duplicated`, `dispatch_inversions`, `double_reservations`, `orphans`, `oversold` and more |
//! | `violation_examples` | the first cases of each kind that broke |
//! | `latency_ms` | `enqueue` (as the crowd saw it), `queued`, `reserve`, `confirm`, `release_lag` (store's clock): `p50`, `p99`, `max` |
//! | `replicas` | workers over time: a line for each change: `second`, `wanted`, `ready` |
//! | `audit_gaps` | above 0, the outbox was trimmed before it was read, and the verdict is not complete |
//! | `crowd` | what the clients saw: `acknowledged`, `paid`, `errors`, `promises_broken` …; `null` without a crowd |
//! | `sound` | whether no promise broke |
//!
//! Without an audit (`bookingq crowd` without `--redis`), what comes from it is absent: `moment` to
//! `violation_examples`, and `audit_gaps`.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use bookingq_sim::crowd::ProgressView;
use bookingq_sim::history::{Tallies, Violations};
use bookingq_sim::latency::Summary;
use bookingq_sim::ledger::Totals;
use bookingq_sim::{CrowdReport, Moment, Verdict, Violation};
use serde::Serialize;

use crate::screen::{bold, green, red};
use crate::{Outcome, UpError};

/// The report; see the module for its keys.
#[derive(Debug, Clone, Serialize)]
#[allow(missing_docs)]
pub struct Report {
    pub queue: String,
    pub store: Option<&'static str>,
    pub seconds: f64,
    #[serde(flatten)]
    pub audited: Option<Audited>,
    pub latency_ms: Latencies,
    pub replicas: Vec<Replicas>,
    pub crowd: Option<CrowdReport>,
    pub sound: bool,
}

/// What the judge says; see the module for its keys.
#[derive(Debug, Clone, Serialize)]
#[allow(missing_docs)]
pub struct Audited {
    pub moment: Moment,
    #[serde(flatten)]
    pub tallies: Tallies,
    pub ledger: Option<Totals>,
    pub violations: Violations,
    pub violation_examples: BTreeMap<&'static str, Vec<String>>,
    pub audit_gaps: u64,
}

/// How long things took, in milliseconds.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Latencies {
    /// The Enqueue call, as the crowd saw it.
    pub enqueue: Summary,
    /// From joining the line to being claimed.
    pub queued: Summary,
    /// From being claimed to the Booking Service's answer, retries included.
    pub reserve: Summary,
    /// From the payment to being confirmed.
    pub confirm: Summary,
    /// From the deadline of an unpaid hold until it was given back.
    pub release_lag: Summary,
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

/// What a run was, besides what the judge says of it.
#[derive(Debug)]
pub struct Course {
    /// The queue's name.
    pub queue: String,
    /// Where its data lived, if that is known.
    pub store: Option<&'static str>,
    /// How long it ran.
    pub time: Duration,
    /// Workers over time.
    pub replicas: Vec<Replicas>,
    /// What the clients saw.
    pub crowd: Option<CrowdReport>,
}

impl Report {
    /// Puts it together. Without a verdict, only the crowd's word counts.
    pub fn new(course: Course, verdict: Option<Verdict>) -> Self {
        let Course { queue, store, time, replicas, crowd } = course;
        let broken = crowd.as_ref().map_or(0, |crowd| crowd.promises_broken_total);
        let timings = verdict.as_ref().map(|verdict| verdict.timings).unwrap_or_default();
        let clean = verdict.as_ref().is_none_or(|verdict| verdict.violations.is_clean());
        Self {
            queue,
            store,
            seconds: (time.as_secs_f64() * 10.0).round() / 10.0,
            audited: verdict.map(Audited::from),
            latency_ms: Latencies {
                enqueue: crowd.as_ref().map(|crowd| crowd.latency_ms.enqueue).unwrap_or_default(),
                queued: timings.queued,
                reserve: timings.reserve,
                confirm: timings.confirm,
                release_lag: timings.release_lag,
            },
            replicas,
            crowd,
            sound: clean && broken == 0,
        }
    }

    /// What the exit code will say.
    pub fn outcome(&self) -> Outcome {
        if self.sound { Outcome::Sound } else { Outcome::Broken }
    }

    /// Writes it.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, file: &Path) -> Result<(), UpError> {
        let text = serde_json::to_string_pretty(self).map_err(std::io::Error::from);
        let written = text.and_then(|text| std::fs::write(file, text + "\n"));
        written.map_err(|cause| UpError::File { file: file.to_owned(), cause })
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
        if let Some(audited) = &self.audited {
            lines.extend(audited.numbers());
        }
        if let Some(crowd) = &self.crowd {
            lines.extend(seen(crowd));
        }
        let latencies = &self.latency_ms;
        for (name, summary) in [
            ("enqueue call", latencies.enqueue),
            ("time in line", latencies.queued),
            ("reserve", latencies.reserve),
            ("confirm", latencies.confirm),
            ("release after deadline", latencies.release_lag),
        ] {
            if summary.count > 0 {
                let Summary { p50, p99, max, .. } = summary;
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
        let mut lines = self.audited.as_ref().map(Audited::findings).unwrap_or_default();
        if let Some(crowd) = self.crowd.as_ref().filter(|crowd| crowd.promises_broken_total > 0) {
            lines.push(red(&format!(
                "  BROKEN promises to clients: {}",
                crowd.promises_broken_total
            )));
            let examples = crowd.promises_broken.iter().take(5);
            lines.extend(
                examples.map(|promise| format!("    {}: {}", promise.client, promise.what)),
            );
        }
        if self.sound {
            lines.extend(self.audited.as_ref().map_or_else(unaudited, Audited::praise));
        }
        lines
    }
}

/// What the clients themselves saw.
fn seen(crowd: &CrowdReport) -> Vec<String> {
    let ProgressView { arrived, acknowledged, refused, paid, paid_late, left, finished, .. } =
        crowd.progress;
    let list = |counts: &BTreeMap<&'static str, u64>| {
        let counts = counts.iter().filter(|(_, count)| **count > 0);
        counts
            .map(|(what, count)| format!("{} {count}", what.replace('_', " ")))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let mut lines = vec![
        format!("  crowd: {arrived} came, {acknowledged} got a place, {refused} were refused one"),
        format!(
            "  they saw: {paid} paid, {paid_late} too late, {left} left; {finished} ended: {}",
            list(&crowd.finals)
        ),
    ];
    if !crowd.errors.is_empty() {
        lines.push(format!("  answered with an error: {}", list(&crowd.errors)));
    }
    lines
}

/// Nobody but the crowd has looked.
fn unaudited() -> Vec<String> {
    vec![green("  every promise to these clients was kept, as far as they could see")]
}

impl From<Verdict> for Audited {
    fn from(verdict: Verdict) -> Self {
        let examples = verdict.violations.iter();
        Self {
            moment: verdict.moment,
            tallies: verdict.tallies,
            ledger: verdict.ledger,
            violation_examples: examples
                .map(|(kind, _, cases)| (kind.as_str(), cases.to_vec()))
                .collect(),
            violations: verdict.violations,
            audit_gaps: verdict.gaps,
        }
    }
}

impl Audited {
    fn numbers(&self) -> Vec<String> {
        let Tallies { enqueued, waiting, in_progress, finals } = self.tallies;
        let mut lines = vec![
            format!(
                "  enqueued {enqueued} = waiting {waiting} + in progress {in_progress} + final {}",
                enqueued - waiting - in_progress
            ),
            format!(
                "  final: confirmed {}, expired {}, cancelled {}, sold out {}, rejected {}, failed {}",
                finals.confirmed,
                finals.expired,
                finals.cancelled,
                finals.sold_out,
                finals.rejected,
                finals.failed
            ),
        ];
        if let Some(ledger) = &self.ledger {
            lines.push(format!(
                "  Booking Service: confirmed {} + held {} + available {} = stock {}; given back {}",
                ledger.confirmed, ledger.held, ledger.available, ledger.stock, ledger.released
            ));
        }
        lines
    }

    fn findings(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if self.audit_gaps > 0 {
            lines.push(red(&format!(
                "  the outbox was trimmed {} times before it was read: the check is not complete",
                self.audit_gaps
            )));
        }
        for (kind, count, examples) in self.violations.iter() {
            lines.push(red(&format!("  BROKEN {}: {count}", kind.as_str())));
            lines.extend(examples.iter().take(5).map(|example| format!("    {example}")));
        }
        lines
    }

    fn praise(&self) -> Vec<String> {
        let kinds = Violation::ALL.map(Violation::as_str).join(", ").replace('_', " ");
        let agreement = if self.ledger.is_some() {
            "log, store and ledger agree"
        } else {
            "log and store agree"
        };
        let exactness = match self.moment {
            Moment::AtRest => format!("at rest, so {agreement} exactly"),
            Moment::InMotion => "while some bookings were still in hand".to_owned(),
        };
        vec![
            green(&format!("  every promise was kept ({exactness})")),
            format!("  looked for: {kinds}"),
        ]
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use bookingq_sim::{Evidence, History};

    use super::*;

    fn course() -> Course {
        Course {
            queue: "concert".into(),
            store: Some("embedded"),
            time: Duration::from_millis(1234),
            replicas: vec![Replicas { second: 0.0, wanted: 2, ready: 0 }],
            crowd: None,
        }
    }

    fn report() -> Report {
        Report::new(course(), Some(History::new().judge(&Evidence::default(), Moment::AtRest)))
    }

    #[test]
    fn without_an_audit_nothing_is_said_that_only_an_audit_can_know() {
        let report = Report::new(course(), None);
        let value = serde_json::to_value(&report).unwrap();
        for key in ["moment", "enqueued", "final", "ledger", "violations", "audit_gaps"] {
            assert!(value.get(key).is_none(), "{key}: {value}");
        }
        assert_eq!(value["sound"], true);
        assert!(report.summary().join("\n").contains("as far as they could see"));
    }

    #[test]
    fn the_report_has_the_keys_that_are_promised() {
        let value = serde_json::to_value(report()).unwrap();
        let promised = [
            "/enqueued",
            "/waiting",
            "/in_progress",
            "/final/confirmed",
            "/final/expired",
            "/final/cancelled",
            "/final/sold_out",
            "/final/rejected",
            "/final/failed",
            "/violations/lost",
            "/violations/duplicated",
            "/violations/dispatch_inversions",
            "/violations/double_reservations",
            "/violations/orphans",
            "/violations/oversold",
            "/latency_ms/enqueue/p50",
            "/latency_ms/queued/p99",
            "/latency_ms/reserve/max",
            "/latency_ms/release_lag/max",
            "/replicas/0/wanted",
        ];
        for pointer in promised {
            assert!(
                value.pointer(pointer).is_some_and(serde_json::Value::is_number),
                "{pointer}: {value}"
            );
        }
        assert_eq!((&value["moment"], &value["sound"]), (&"at_rest".into(), &true.into()));
        assert_eq!(value["seconds"], 1.2);
    }

    #[test]
    fn a_sound_run_says_what_was_looked_for() {
        let text = report().summary().join("\n");
        assert!(text.contains("every promise was kept"), "{text}");
        assert!(
            text.contains("dispatch inversions, double reservations, orphans, oversold"),
            "{text}"
        );
    }
}
