//! `kubectl bookingqueue why`: the last scaling with its inputs, decided again by the planner.

use std::fmt::Write as _;
use std::time::Duration;

use bookingq_api::plan::ScalingPlan;
use bookingq_api::status::LastScaling;
use bookingq_core::Timestamp;
use bookingq_core::autoscale::{self, HoldLimit, Planner, Policy, Reading, Situation};
use kube::ResourceExt as _;

use crate::facts::{QueueFacts, time_of};

/// So many scalings are listed.
const SHOWN: usize = 10;

/// Explains the number of workers.
pub fn explain(facts: &QueueFacts) -> String {
    let name = facts.queue.name_any();
    let mut text = String::new();
    let last = facts.queue.status.as_ref().and_then(|status| status.last_scaling.as_ref());
    match last {
        None => _ = writeln!(text, "{name}: the number of workers has not been changed yet"),
        Some(last) => {
            inputs(&mut text, &name, last);
            match facts.queue.spec.resolve(&name).map(|plan| plan.scaling) {
                Err(problems) => _ = writeln!(text, "  The spec is invalid now: {problems}"),
                _ if last.reason == "Hibernated" => {
                    _ = writeln!(text, "  spec.hibernate was true: nothing is computed");
                }
                Ok(ScalingPlan::Fixed(number)) => {
                    _ = writeln!(text, "  spec.replicas is {number}: nothing is computed");
                }
                Ok(ScalingPlan::Automatic(policy)) => replayed(&mut text, last, &policy),
            }
        }
    }
    let scaled = facts.events.iter().filter(|event| event.reason.as_deref() == Some("Scaled"));
    let lines: Vec<_> = scaled
        .map(|event| {
            let at = time_of(event).map_or(String::new(), |at| at.strftime("%F %T").to_string());
            format!("  {at}  {}\n", event.message.as_deref().unwrap_or_default())
        })
        .collect();
    if !lines.is_empty() {
        text.push_str("\nThe last scalings, as their events say (UTC):\n");
        text.extend(lines.iter().rev().take(SHOWN).rev().map(String::as_str));
    }
    text
}

fn inputs(text: &mut String, name: &str, last: &LastScaling) {
    let LastScaling { at, from, to, reason, .. } = last;
    let at = at.0.strftime("%F %T");
    _ = writeln!(text, "{name}: {from} -> {to} workers at {at} UTC, reason {reason}");
    let mut line = |what: &str, value: String| _ = writeln!(text, "  {what:<44} {value}");
    line("bookings that workers may serve", last.backlog.to_string());
    line("bookings joining each minute", last.arrivals_per_minute.to_string());
    let service = last.service_time_microseconds;
    let assumed = autoscale::ASSUMED_SERVICE_TIME.as_micros();
    line(
        "slot time of a booking, in microseconds",
        service.map_or(format!("{assumed} (assumed)"), |time| time.to_string()),
    );
    line("tasks in progress", last.in_flight.to_string());
    line("worker Pods that cannot be scheduled", last.unschedulable.to_string());
    for (what, value) in [
        ("spec.outflow.perMinute", last.cap_per_minute),
        ("spec.outflow.maxHolds", last.max_holds),
        ("of these, free", last.free_holds),
        ("bookings leaving the line each minute", last.dispatched_per_minute),
    ] {
        if let Some(value) = value {
            line(what, value.to_string());
        }
    }
    line("workers that these need", last.wanted.to_string());
}

/// Decides again, by the policy of the present spec.
fn replayed(text: &mut String, last: &LastScaling, policy: &Policy) {
    let Policy { min, max, concurrency, .. } = policy;
    let (busy, drain) = (policy.utilisation * 100.0, policy.drain_target.as_secs());
    _ = writeln!(
        text,
        "  by {min} to {max} workers, {concurrency} tasks each, {busy:.0} % busy, draining in {drain} s"
    );
    let again = replay(last, policy);
    if again == last.wanted {
        _ = writeln!(text, "  Replayed with the present spec: {again}, the same");
    } else {
        _ = writeln!(
            text,
            "  Replayed with the present spec: {again}, not {}; the release or the spec has changed since",
            last.wanted
        );
    }
    if last.to != last.wanted {
        let why = match last.reason.as_str() {
            "HeldByWindow" => "more were needed within spec.autoscaling.scaleDownWindow",
            "Unschedulable" => "present workers cannot be scheduled, so that none is added",
            "NoReading" => "the store could not be read, so that the number stays",
            _ => "of the bounds of the spec",
        };
        _ = writeln!(text, "  It became {} because {why}", last.to);
    }
}

/// What the planner wants with these inputs, without memory of earlier ones.
pub fn replay(last: &LastScaling, policy: &Policy) -> i32 {
    let count = |number: i64| u64::try_from(number).unwrap_or(0);
    let small = |number: i64| u32::try_from(number).unwrap_or(0);
    let now = Timestamp(u64::try_from(last.at.0.as_millisecond()).unwrap_or(0));
    let current = u32::try_from(last.from).unwrap_or(0);
    let reading = Reading {
        at: now,
        claimable: count(last.backlog),
        arrivals: last.arrivals_per_minute as f64 / 60.0,
        service_time: last.service_time_microseconds.map(|us| Duration::from_micros(count(us))),
        in_flight: count(last.in_flight),
        cap_per_minute: last.cap_per_minute.map(small),
        holds: last.max_holds.map(|max| HoldLimit {
            max: small(max),
            free: count(last.free_holds.unwrap_or(0)),
            dispatched: last.dispatched_per_minute.unwrap_or(0) as f64 / 60.0,
        }),
    };
    let reading = (last.reason != "NoReading").then_some(reading);
    let unschedulable = u32::try_from(last.unschedulable).unwrap_or(0);
    let situation = Situation { now, reading, current, unschedulable };
    Planner::new().decide(policy, situation).wanted as i32
}
