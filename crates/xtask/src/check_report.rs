//! `cargo xtask check-report FILE`: the report of `bookingq up --report FILE` adds up.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

/// Which report, and the size of the crowd.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What `bookingq up --report FILE` wrote
    file: PathBuf,
    /// Clients of the crowd: each must have received a place
    #[arg(long, value_name = "N")]
    crowd: Option<u64>,
}

/// Prints every sum that does not add up.
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

/// The counts that a report must have. Further ones must be 0 too.
const VIOLATIONS: [&str; 6] =
    ["lost", "duplicated", "dispatch_inversions", "double_reservations", "orphans", "oversold"];

/// Every sum that is wrong. An error means that a number is missing.
pub fn check(report: &Value, crowd: Option<u64>) -> Result<Vec<String>> {
    let wrong = [bookings(report, crowd)?, ledger(report)?, violations(report)?].into_iter();
    Ok(wrong.flatten().filter_map(|(holds, otherwise)| (!holds).then_some(otherwise)).collect())
}

/// A condition, and what to report when it does not hold.
type Condition = (bool, String);

fn number(report: &Value, path: &str) -> Result<u64> {
    let found = report.pointer(path).and_then(Value::as_u64);
    found.with_context(|| format!("{path} is not a whole number"))
}

/// Every booking is waiting, in progress or final.
fn bookings(report: &Value, crowd: Option<u64>) -> Result<Vec<Condition>> {
    let number = |path: &str| number(report, path);
    let enqueued = number("/enqueued")?;
    let (waiting, in_progress) = (number("/waiting")?, number("/in_progress")?);
    let finals = FINALS.iter().map(|state| number(&format!("/final/{state}")));
    let finals: u64 = finals.sum::<Result<_>>()?;
    let sum = waiting + in_progress + finals;
    let crowd = crowd.unwrap_or(0);
    Ok(vec![
        (
            enqueued == sum,
            format!(
                "enqueued is {enqueued}, but waiting {waiting} + in progress {in_progress} + final {finals} = {sum}"
            ),
        ),
        (enqueued >= crowd, format!("{crowd} clients came, but only {enqueued} got a place")),
    ])
}

/// The Booking Service sold what bookingq confirmed, and no more than its stock.
fn ledger(report: &Value) -> Result<Vec<Condition>> {
    let number = |path: &str| number(report, path);
    // In tickets.
    let (stock, available) = (number("/ledger/stock")?, number("/ledger/available")?);
    let (held, sold) = (number("/ledger/held")?, number("/ledger/confirmed")?);
    // In bookings. A booking in progress may be confirmed there and not yet recorded here.
    let (confirmed, in_progress) = (number("/final/confirmed")?, number("/in_progress")?);
    let holds = number("/ledger/held_bookings")?;
    let sold_bookings = number("/ledger/confirmed_bookings")?;
    let ahead = if report["moment"] == "at_rest" { 0 } else { in_progress };
    Ok(vec![
        (
            available + held + sold == stock,
            format!(
                "the ledger has {available} left, {held} held and {sold} sold of a stock of {stock}"
            ),
        ),
        (confirmed > 0, "no booking was confirmed: nothing was tried".to_owned()),
        (
            (confirmed..=confirmed + ahead).contains(&sold_bookings),
            format!(
                "{confirmed} bookings are confirmed and {ahead} may be, but the ledger says {sold_bookings} are sold"
            ),
        ),
        (
            holds <= in_progress,
            format!(
                "the ledger holds {holds} reservations, but only {in_progress} bookings are in progress"
            ),
        ),
    ])
}

/// All violations are counted, and all counts are 0.
fn violations(report: &Value) -> Result<Vec<Condition>> {
    for violation in VIOLATIONS {
        number(report, &format!("/violations/{violation}"))?;
    }
    let gaps = number(report, "/audit_gaps")?;
    let counts = report["violations"].as_object().into_iter().flatten();
    let mut conditions: Vec<_> = counts
        .map(|(name, count)| (*count == 0, format!("violations.{name} is {count}")))
        .collect();
    conditions
        .push((gaps == 0, format!("the audit log has {gaps} gaps: the report is incomplete")));
    let sound = report["sound"] == true;
    conditions.push((sound, "the report itself says that a promise was broken".to_owned()));
    Ok(conditions)
}
