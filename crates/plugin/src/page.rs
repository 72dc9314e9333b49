//! `kubectl bookingqueue status`: a page about one queue, from what the cluster knows.

use std::fmt::Write as _;

use bookingq_api::status::BookingQueueStatus;
use bookingq_core::Admission;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt as _;

use crate::facts::{QueueFacts, time_of};
use crate::span::ago;

/// So many events are shown, the newest.
const EVENTS: usize = 8;
/// Conditions that are well when they are False.
const WELL_IF_FALSE: [&str; 6] =
    ["Degraded", "Progressing", "ScaledByOther", "UpdatePending", "Paused", "SchemaBehind"];

/// The page.
pub fn page(facts: &QueueFacts, now: Timestamp) -> String {
    let QueueFacts { queue, pods, .. } = facts;
    let status = queue.status.clone().unwrap_or_default();
    let mut text = String::new();
    headline(&mut text, facts, &status, now);
    line(&mut text, &status);
    workers(&mut text, facts, &status, now);
    if let Some(gateway) = &status.gateway {
        let connections = gateway.connections.map_or("unknown".to_owned(), |n| n.to_string());
        row(&mut text, "Gateways", &format!("{}, {connections} connections", gateway.replicas));
    }
    if let Some(redis) = &status.redis {
        row(&mut text, "Redis", &format!("primary {}, term {}", redis.primary, redis.term));
    }
    if let Some(update) = &status.update {
        let since = ago(now, update.since.0);
        row(&mut text, "Update", &format!("{} waits for {since}: see below", update.pending));
    }
    waits(&mut text, &status.conditions, now);
    not_ready(&mut text, pods);
    events(&mut text, facts, now);
    text
}

fn row(text: &mut String, what: &str, value: &str) {
    _ = writeln!(text, "  {what:<10} {value}");
}

fn headline(text: &mut String, facts: &QueueFacts, status: &BookingQueueStatus, now: Timestamp) {
    let queue = &facts.queue;
    let namespace = queue.namespace().unwrap_or_default();
    let ready = status.condition("Ready");
    let state = ready.map_or("not observed by an operator yet".to_owned(), |ready| {
        let word = if ready.status == "True" { "ready" } else { "NOT READY" };
        let since = ago(now, ready.last_transition_time.0);
        format!("{word} ({}) for {since}", ready.reason)
    });
    _ = writeln!(text, "{} in {namespace}: {state}", queue.name_any());
    // A paused queue keeps the generation that its objects follow.
    let is_paused =
        status.conditions.iter().any(|one| one.type_ == "Paused" && one.status == "True");
    let is_behind =
        queue.metadata.generation.is_some_and(|written| status.observed_generation < Some(written));
    if is_behind && !is_paused {
        row(text, "Spec", "the operator has not read the last change yet");
    }
    let admission = Admission::from(queue.spec.admission);
    if admission != Admission::Open {
        row(text, "Admission", &format!("{}, by spec.admission", admission.as_str()));
    }
}

fn line(text: &mut String, status: &BookingQueueStatus) {
    let number = |number: Option<i64>| number.map_or("?".to_owned(), |number| number.to_string());
    let oldest = status.oldest_wait.as_deref();
    let oldest = oldest.map_or(String::new(), |wait| format!(", the first for {wait}"));
    let parked = status.parked.filter(|&parked| parked > 0);
    let parked = parked.map_or(String::new(), |n| format!(", {n} wait for a sold out item"));
    let value = format!(
        "{} wait{oldest}, {} in progress, {} reserved and unpaid{parked}",
        number(status.backlog),
        number(status.in_flight),
        number(status.holds),
    );
    row(text, "Line", &value);
}

fn workers(text: &mut String, facts: &QueueFacts, status: &BookingQueueStatus, now: Timestamp) {
    let of_workers = facts.pods.iter().filter(|pod| component(pod) == "worker");
    let ready = of_workers.filter(|pod| is_ready(pod)).count();
    let mut value = format!("{ready} of {} ready", status.replicas);
    if let Some(last) = &status.last_scaling {
        let when = ago(now, last.at.0);
        _ = write!(value, "; {} -> {} {when} ago, {}", last.from, last.to, last.reason);
    }
    row(text, "Workers", &value);
}

/// Conditions that are not as they should be, with their reasons.
fn waits(text: &mut String, conditions: &[Condition], now: Timestamp) {
    let bad = |condition: &&Condition| {
        let well = if WELL_IF_FALSE.contains(&condition.type_.as_str()) { "False" } else { "True" };
        condition.status != well
    };
    let bad: Vec<_> = conditions.iter().filter(bad).collect();
    if !bad.is_empty() {
        text.push_str("\nWhat it waits for:\n");
    }
    for Condition { type_, status, reason, message, last_transition_time, .. } in bad {
        let since = ago(now, last_transition_time.0);
        _ = writeln!(text, "  {type_} is {status} for {since}: {reason}: {message}");
    }
}

fn not_ready(text: &mut String, pods: &[Pod]) {
    let waiting: Vec<_> = pods.iter().filter(|pod| !is_ready(pod) && !has_succeeded(pod)).collect();
    if !waiting.is_empty() {
        text.push_str("\nPods that are not ready:\n");
    }
    for pod in waiting {
        _ = writeln!(text, "  {}: {}", pod.name_any(), why(pod));
    }
}

fn component(pod: &Pod) -> &str {
    pod.labels().get("app.kubernetes.io/component").map_or("", String::as_str)
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().any(|one| one.type_ == "Ready" && one.status == "True")
}

fn has_succeeded(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    phase == Some("Succeeded")
}

/// Why a Pod is not ready: what its containers wait for, how they ended, or why it is not
/// scheduled.
fn why(pod: &Pod) -> String {
    let Some(status) = &pod.status else { return "it has no status yet".to_owned() };
    let started = status.init_container_statuses.iter().flatten();
    let containers = started.chain(status.container_statuses.iter().flatten());
    if let Some(why) = containers.into_iter().find_map(container_waits) {
        return why;
    }
    let mut conditions = status.conditions.iter().flatten();
    let scheduled = conditions.find(|one| one.type_ == "PodScheduled" && one.status == "False");
    scheduled.map_or_else(
        || status.phase.clone().unwrap_or_else(|| "its phase is unknown".to_owned()),
        |one| {
            let reason = one.reason.as_deref().unwrap_or("Unschedulable");
            format!("{reason}: {}", one.message.as_deref().unwrap_or_default())
        },
    )
}

fn container_waits(container: &ContainerStatus) -> Option<String> {
    let waiting = container.state.as_ref()?.waiting.as_ref()?;
    let reason = waiting.reason.as_deref().filter(|&reason| reason != "ContainerCreating")?;
    let message = waiting.message.as_deref().unwrap_or_default();
    let last = container.last_state.as_ref().and_then(|last| last.terminated.as_ref());
    let last = last.map_or(String::new(), |last| {
        let reason = last.reason.as_deref().unwrap_or("ended");
        format!("; before: {reason}, exit code {}", last.exit_code)
    });
    Some(format!("{}: {reason}: {message}{last}", container.name))
}

fn events(text: &mut String, facts: &QueueFacts, now: Timestamp) {
    if !facts.events.is_empty() {
        text.push_str("\nLast events:\n");
    }
    for event in facts.events.iter().rev().take(EVENTS).rev() {
        let when = time_of(event).map_or("?".to_owned(), |at| ago(now, at));
        let (reason, message) = (event.reason.as_deref(), event.message.as_deref());
        let (reason, message) = (reason.unwrap_or_default(), message.unwrap_or_default());
        _ = writeln!(text, "  {when:>6} ago  {reason}: {message}");
    }
}
