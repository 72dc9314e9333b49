//! One step of the scenario: many workers with slow reservations are scaled down at once.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use serde_json::json;

use super::cluster::{QUEUE, get};
use super::simulator::{ledger, set_latency};
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
    // Once the sale is sold out, waiting bookings are reserved again when a ticket comes back.
    if repeats > 0 && ledger()?.of("/sold_out_bookings")? == 0 {
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

/// Reserve calls beyond the first of each booking.
fn repeated() -> Result<u64> {
    let (ledger, mut bookings) = (ledger()?, 0);
    for state in ["held", "confirmed", "released", "sold_out", "rejected"] {
        bookings += ledger.of(&format!("/{state}_bookings"))?;
    }
    Ok(ledger.of("/calls/reserve")?.saturating_sub(bookings))
}
