//! One step of the story: many workers, each with reservations that take long, become few at once.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::json;

use super::cluster::{get, kubectl, replace_raw};
use super::workers::{FEWEST, MOST, patch, wait_for_workers, worker_pods};
use super::{NAMESPACE, QUEUE};
use crate::within::{Look, until};

/// Workers before.
const MANY: u64 = 20;
/// Workers afterwards.
const FEW: u64 = 2;
/// How long a reservation takes meanwhile.
const LONG: Duration = Duration::from_secs(5);
/// Reservations that are under way before workers are taken away: more than the few could have.
const UNDER_WAY: u64 = 150;

/// Makes the workers many and their reservations long, takes all but a few away, and counts: no
/// reservation was asked for twice. That none was lost is seen when the crowd is added up.
pub fn retreat() -> Result<String> {
    patch(&json!({ "spec": {
        "booking": { "timeout": "10s" },
        "worker": { "grace": "20s" },
        "autoscaling": { "min": MANY, "max": MANY },
    }}))?;
    wait_for_workers(MANY, Duration::from_secs(180))?;
    set_latency(LONG)?;
    let busy = until("long reservations to be under way", Duration::from_secs(60), || {
        let queue = get(&["--namespace", NAMESPACE, &format!("bookingqueue/{QUEUE}")])?;
        let busy = queue["status"]["inFlight"].as_u64().unwrap_or(0);
        let line = queue["status"]["backlog"].as_u64().unwrap_or(0);
        Ok(if busy >= UNDER_WAY {
            Look::Done(busy)
        } else {
            Look::NotYet(format!("{busy}, {line} in line"))
        })
    })?;
    let before = repeated()?;
    patch(&json!({ "spec": { "autoscaling": { "min": FEW, "max": FEW } } }))?;
    let start = Instant::now();
    wait_for_workers(FEW, Duration::from_secs(60))?;
    // A Pod that leaves is there until its last reservation is done.
    until(format!("all but {FEW} Pods to be gone"), Duration::from_secs(60), || {
        let pods = worker_pods()?.len() as u64;
        Ok(if pods == FEW { Look::Done(()) } else { Look::NotYet(format!("{pods} Pods")) })
    })?;
    let took = start.elapsed().as_secs_f64();
    let repeats = repeated()? - before;
    if repeats > 0 {
        bail!("{repeats} reservations were asked for again when {} workers left", MANY - FEW);
    }
    set_latency(Duration::from_millis(80))?;
    patch(&json!({ "spec": { "autoscaling": { "min": FEWEST, "max": MOST } } }))?;
    Ok(format!(
        "{MANY} workers with {busy} reservations of {} s under way became {FEW} in {took:.1} s, none asked for again",
        LONG.as_secs()
    ))
}

/// A page of the simulator's HTTP port, through the API server.
fn simulator(page: &str) -> String {
    format!("/api/v1/namespaces/{NAMESPACE}/services/booking-service:http/proxy/{page}")
}

fn set_latency(latency: Duration) -> Result<()> {
    let faults = json!({ "latency": format!("{}ms", latency.as_millis()), "jitter": "0ms" });
    replace_raw(&simulator("faults"), &faults.to_string())
}

/// Reserve calls beyond the first of each booking.
fn repeated() -> Result<u64> {
    let text = kubectl(&["get", "--raw", &simulator("ledger")])?;
    let ledger: serde_json::Value =
        serde_json::from_str(&text).context("the ledger is not JSON")?;
    let number = |pointer: &str| {
        ledger
            .pointer(pointer)
            .and_then(serde_json::Value::as_u64)
            .with_context(|| format!("no {pointer} in {ledger}"))
    };
    let mut bookings = 0;
    for standing in ["held", "confirmed", "released", "sold_out", "rejected"] {
        bookings += number(&format!("/{standing}_bookings"))?;
    }
    Ok(number("/calls/reserve")?.saturating_sub(bookings))
}
