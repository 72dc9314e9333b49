//! `cargo xtask check-report FILE`: the report of `bookingq up --report FILE` adds up.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

/// Which report, and what is known about the run beforehand.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What `bookingq up --report FILE` wrote
    file: PathBuf,
    /// How many clients came; each of them must have been given a place
    #[arg(long, value_name = "N")]
    crowd: Option<u64>,
}

/// Checks it, and names everything that does not add up.
pub fn run(args: &Args) -> Result<()> {
    let name = args.file.display();
    let text = fs::read_to_string(&args.file).with_context(|| format!("cannot read {name}"))?;
    let report = serde_json::from_str(&text).with_context(|| format!("{name} is not JSON"))?;
    let wrong = check(&report, args.crowd).with_context(|| format!("{name} is not a report"))?;
    if wrong.is_empty() {
        println!("{name} adds up");
        return Ok(());
    }
    for line in &wrong {
        println!("{name}: {line}");
    }
    bail!("{name} does not add up in {} ways, listed above", wrong.len())
}

const FINALS: [&str; 6] = ["confirmed", "expired", "cancelled", "sold_out", "rejected", "failed"];

/// Those that must be counted; what else is counted must be 0 too.
const VIOLATIONS: [&str; 6] =
    ["lost", "duplicated", "dispatch_inversions", "double_reservations", "orphans", "oversold"];

/// Every sum that is not as it must be. An error means that a number is missing.
pub fn check(report: &Value, crowd: Option<u64>) -> Result<Vec<String>> {
    let mut check = Check { report, wrong: Vec::new() };
    check.everybody_is_somewhere(crowd)?;
    check.the_ledger_agrees()?;
    check.no_promise_broke()?;
    Ok(check.wrong)
}

struct Check<'a> {
    report: &'a Value,
    wrong: Vec<String>,
}

impl Check<'_> {
    fn number(&self, path: &str) -> Result<u64> {
        let found = self.report.pointer(path).and_then(Value::as_u64);
        found.with_context(|| format!("{path} is not a whole number"))
    }

    fn must(&mut self, holds: bool, otherwise: String) {
        if !holds {
            self.wrong.push(otherwise);
        }
    }

    /// Every booking is waiting, in progress or final, and none is missing.
    fn everybody_is_somewhere(&mut self, crowd: Option<u64>) -> Result<()> {
        let enqueued = self.number("/enqueued")?;
        let (waiting, in_progress) = (self.number("/waiting")?, self.number("/in_progress")?);
        let mut finals = 0;
        for state in FINALS {
            finals += self.number(&format!("/final/{state}"))?;
        }
        let sum = waiting + in_progress + finals;
        self.must(
            enqueued == sum,
            format!("enqueued is {enqueued}, but waiting {waiting} + in progress {in_progress} + final {finals} = {sum}"),
        );
        if let Some(crowd) = crowd {
            self.must(
                enqueued >= crowd,
                format!("{crowd} clients came, but only {enqueued} got a place"),
            );
        }
        Ok(())
    }

    /// The Booking Service sold what we say it sold, and no more than it had.
    fn the_ledger_agrees(&mut self) -> Result<()> {
        // In tickets.
        let (stock, available) = (self.number("/ledger/stock")?, self.number("/ledger/available")?);
        let (held, sold) = (self.number("/ledger/held")?, self.number("/ledger/confirmed")?);
        self.must(
            available + held + sold == stock,
            format!(
                "the ledger has {available} left, {held} held and {sold} sold of a stock of {stock}"
            ),
        );
        // In bookings. What is in progress may be done at the Booking Service and not yet recorded
        // here.
        let (confirmed, in_progress) =
            (self.number("/final/confirmed")?, self.number("/in_progress")?);
        let (held, sold) =
            (self.number("/ledger/held_bookings")?, self.number("/ledger/confirmed_bookings")?);
        let ahead = if self.report["moment"] == "at_rest" { 0 } else { in_progress };
        self.must(confirmed > 0, "nobody was confirmed: nothing was tried".to_owned());
        self.must(
            (confirmed..=confirmed + ahead).contains(&sold),
            format!(
                "{confirmed} bookings are confirmed and {ahead} may be, but the ledger says {sold} are sold"
            ),
        );
        self.must(
            held <= in_progress,
            format!("the ledger holds {held} reservations, but only {in_progress} bookings are in progress"),
        );
        Ok(())
    }

    /// All that is counted as broken is 0, and nothing that must be counted is left out.
    fn no_promise_broke(&mut self) -> Result<()> {
        for violation in VIOLATIONS {
            self.number(&format!("/violations/{violation}"))?;
        }
        let report = self.report;
        for (violation, count) in report["violations"].as_object().into_iter().flatten() {
            self.must(count == 0, format!("violations.{violation} is {count}"));
        }
        let gaps = self.number("/audit_gaps")?;
        self.must(
            gaps == 0,
            format!("the audit log has {gaps} gaps, so that the report is not complete"),
        );
        self.must(
            self.report["sound"] == true,
            "the report itself says that a promise was broken".to_owned(),
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;

    fn clean() -> Value {
        json!({
            "moment": "in_motion", "sound": true, "audit_gaps": 0,
            "enqueued": 100, "waiting": 10, "in_progress": 5,
            "final": { "confirmed": 60, "expired": 10, "cancelled": 5, "sold_out": 8, "rejected": 1, "failed": 1 },
            "ledger": {
                "stock": 140, "available": 10, "held": 6, "confirmed": 124, "held_bookings": 3,
                "confirmed_bookings": 62,
            },
            "violations": {
                "lost": 0, "duplicated": 0, "dispatch_inversions": 0, "double_reservations": 0, "orphans": 0,
                "oversold": 0, "illegal_transitions": 0,
            },
        })
    }

    #[test]
    fn a_report_that_adds_up_passes() {
        assert_eq!(check(&clean(), Some(100)).unwrap(), [""; 0]);
    }

    #[test]
    fn each_sum_that_is_wrong_is_named() {
        for (path, value, named) in [
            ("/enqueued", 101, "enqueued is 101"),
            ("/final/expired", 9, "enqueued is 100"),
            ("/ledger/stock", 139, "a stock of 139"),
            ("/ledger/confirmed_bookings", 59, "59 are sold"),
            ("/ledger/confirmed_bookings", 66, "66 are sold"),
            ("/ledger/held_bookings", 6, "holds 6"),
            ("/violations/lost", 1, "violations.lost is 1"),
            ("/violations/illegal_transitions", 2, "violations.illegal_transitions is 2"),
            ("/audit_gaps", 1, "1 gaps"),
        ] {
            let mut report = clean();
            *report.pointer_mut(path).unwrap() = value.into();
            let wrong = check(&report, Some(100)).unwrap();
            assert!(wrong.iter().any(|line| line.contains(named)), "{path} = {value}: {wrong:?}");
        }
        assert!(check(&clean(), Some(101)).unwrap()[0].contains("only 100 got a place"));

        let mut unsound = clean();
        unsound["sound"] = false.into();
        assert!(check(&unsound, None).unwrap()[0].contains("a promise was broken"));
    }

    #[test]
    fn at_rest_the_ledger_and_the_store_agree_exactly() {
        let mut report = clean();
        report["moment"] = "at_rest".into();
        assert!(check(&report, None).unwrap()[0].contains("62 are sold"));
        report["ledger"]["confirmed_bookings"] = 60.into();
        assert_eq!(check(&report, None).unwrap(), [""; 0]);
    }

    #[test]
    fn a_report_without_a_number_is_no_report() {
        let mut report = clean();
        report["violations"].as_object_mut().unwrap().remove("orphans");
        assert!(check(&report, None).unwrap_err().to_string().contains("/violations/orphans"));
    }
}
