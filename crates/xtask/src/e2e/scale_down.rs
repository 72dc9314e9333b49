//! One step of the scenario: many workers with slow reservations are scaled down at once.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use super::cluster::{NAMESPACE, QUEUE, get, kubectl, replace_raw};
use super::workers::{MAX, MIN, patch, wait_for_workers, worker_pods};
use crate::within::{Look, until};

/// Number of workers before.
const MANY: u64 = 20;
/// Number of workers after.
const FEW: u64 = 2;
/// Latency of a reservation.
const LONG: Duration = Duration::from_secs(5);
/// Reservations in progress before the scale-down: more than the remaining workers have slots.
const IN_PROGRESS: u64 = 150;

/// Scales down many workers with slow reservations, and checks that none of them is repeated. The
/// report of the crowd shows that none was lost.
pub fn scale_down() -> Result<String> {
    patch(&json!({ "spec": {
        "booking": { "timeout": "10s" },
        "worker": { "grace": "20s" },
        "autoscaling": { "min": MANY, "max": MANY },
    }}))?;
    wait_for_workers(MANY, Duration::from_secs(180))?;
    set_latency(LONG)?;
    let busy = until("slow reservations in progress", Duration::from_secs(60), || {
        let queue = get(&format!("bookingqueue/{QUEUE}"))?;
        let busy = queue["status"]["inFlight"].as_u64().unwrap_or(0);
        let line = queue["status"]["backlog"].as_u64().unwrap_or(0);
        Ok(if busy >= IN_PROGRESS {
            Look::Done(busy)
        } else {
            Look::NotYet(format!("{busy}, {line} in line"))
        })
    })?;
    let before = repeated()?;
    patch(&json!({ "spec": { "autoscaling": { "min": FEW, "max": FEW } } }))?;
    let start = Instant::now();
    wait_for_workers(FEW, Duration::from_secs(60))?;
    // A terminating Pod exists until its last reservation is done.
    until(format!("all but {FEW} Pods to exit"), Duration::from_secs(60), || {
        let pods = worker_pods()?.len() as u64;
        Ok(if pods == FEW { Look::Done(()) } else { Look::NotYet(format!("{pods} Pods")) })
    })?;
    let took = start.elapsed().as_secs_f64();
    let repeats = repeated()? - before;
    if repeats > 0 {
        bail!("{repeats} reservations were repeated when {} workers left", MANY - FEW);
    }
    set_latency(Duration::from_millis(80))?;
    patch(&json!({ "spec": { "autoscaling": { "min": MIN, "max": MAX } } }))?;
    Ok(format!(
        "{MANY} -> {FEW} workers in {took:.1} s with {busy} reservations of {} s in progress, none \
         repeated",
        LONG.as_secs()
    ))
}

/// Path of the simulator's HTTP port, through the API server.
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
    let ledger: Value = serde_json::from_str(&text).context("the ledger is not JSON")?;
    let number = |pointer: &str| {
        ledger
            .pointer(pointer)
            .and_then(Value::as_u64)
            .with_context(|| format!("no {pointer} in {ledger}"))
    };
    let mut bookings = 0;
    for state in ["held", "confirmed", "released", "sold_out", "rejected"] {
        bookings += number(&format!("/{state}_bookings"))?;
    }
    Ok(number("/calls/reserve")?.saturating_sub(bookings))
}
