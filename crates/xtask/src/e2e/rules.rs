//! Two steps of the scenario: the queue opens at a time, and serves with a limited outflow.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::cluster::{QUEUE, get};
use super::crowd::SALE;
use super::events::wait_for_event;
use super::images::Images;
use super::objects::run_once;
use super::simulator;
use super::workers::{MAX, patch, wait_for_workers};
use crate::within::{Look, until};

/// Time until the opening.
const OPENING: Duration = Duration::from_secs(25);
/// Time in which a change of the rules must reach the store.
const CHANGE: Duration = Duration::from_secs(2);
/// Bookings that leave the line in the limited queue before the step ends: at one a second they
/// take nearly as many seconds.
const LIMITED: u64 = 10;

/// Opens the queue at a time: no client is served before it, and the workers are ready by then.
pub fn open_at_a_time() -> Result<String> {
    let second = (Timestamp::now() + OPENING).as_second();
    let opens_at = Timestamp::from_second(second)?;
    patch(
        &json!({ "spec": { "admission": "Open", "sale": { "opensAt": opens_at.to_string() } } }),
    )?;
    wait_for_event("RulesChanged", &format!("opens at {opens_at}"), OPENING)?;
    let countdown = opens_in()?;
    wait_for_workers(MAX, OPENING)?;
    let (ready, early) = (Timestamp::now(), SALE.progress()?);
    if ready >= opens_at {
        bail!("the workers were ready at {ready}, after the opening at {opens_at}");
    }
    if early.of("held") > 0 {
        bail!("{} bookings were reserved before the opening", early.of("held"));
    }
    let line = SALE.wait_until("a reservation", OPENING + Duration::from_secs(30), |line| {
        line.of("held") > 0
    })?;
    if Timestamp::now() < opens_at {
        bail!("a client got a reservation before the opening");
    }
    let (held, all) = (line.of("held"), line.of("in_line_or_past"));
    Ok(format!(
        "{countdown:.0} s before it none was served, {MAX} workers were ready in time; {held} of \
         {all} in line are served"
    ))
}

/// The countdown that a client of the queue sees, in seconds.
fn opens_in() -> Result<f64> {
    let arguments = ["queue", "--server=http://concert:50051", "--queue=concert", "--output=json"];
    let answer = run_once("countdown", &Images::bookingq(), &arguments)?;
    let queue: Value = serde_json::from_str(&answer).context("the queue is not JSON")?;
    let seconds =
        queue["opens_in_seconds"].as_f64().with_context(|| format!("not open: {queue}"))?;
    if seconds > OPENING.as_secs_f64() {
        bail!("the queue opens in {seconds} s, but must in less than {OPENING:?}");
    }
    until("the reason of Ready to be NotOpen", OPENING, || {
        let queue = get(&format!("bookingqueue/{QUEUE}"))?;
        let conditions = queue["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let ready = conditions.into_iter().find(|one| one["type"] == "Ready").unwrap_or_default();
        Ok(if ready["reason"] == "NotOpen" {
            Look::Done(())
        } else {
            Look::NotYet(ready.to_string())
        })
    })?;
    Ok(seconds)
}

/// Limits the outflow of the busy queue, and removes the limit.
pub fn limit_outflow() -> Result<String> {
    let start = Timestamp::now();
    patch(&json!({ "spec": { "outflow": { "perMinute": 60 } } }))?;
    let event = wait_for_event("RulesChanged", "at most 60 bookings per minute", 15 * CHANGE)?;
    let written: Timestamp = event["eventTime"].as_str().context("no time")?.parse()?;
    // Negative if the clock of the cluster is behind.
    let took = Duration::try_from(written.duration_since(start)).unwrap_or_default();
    if took > CHANGE {
        bail!("the limit took {took:?} to reach the store");
    }
    let (first, begin) = (simulator::ledger()?.of("/calls/reserve")?, Instant::now());
    let limited = until("bookings to leave the limited line", Duration::from_secs(40), || {
        let reserved = simulator::ledger()?.of("/calls/reserve")? - first;
        Ok(if reserved >= LIMITED {
            Look::Done(reserved)
        } else {
            Look::NotYet(reserved.to_string())
        })
    })?;
    let seconds = begin.elapsed().as_secs_f64();
    if limited as f64 > 2.0 * seconds {
        bail!("{limited} bookings left the line in {seconds:.1} s at 60 a minute");
    }
    let queue = get(&format!("bookingqueue/{QUEUE}"))?;
    patch(&json!({ "spec": { "outflow": null } }))?;
    let line = SALE.progress()?;
    SALE.wait_until("the line to be served without the limit", Duration::from_secs(60), |now| {
        now.of("held") > line.of("held") + 20 * LIMITED
    })?;
    Ok(format!(
        "in the store after {:.1} s; {limited} left the line in {seconds:.1} s; {} in line then",
        took.as_secs_f64(),
        queue["status"]["backlog"]
    ))
}
