//! Scaling decisions for the status, in whole numbers, so that they replay to the same result.

use bookingq_api::status::LastScaling;
use bookingq_core::autoscale::{Decision, Reason, Situation};
use bookingq_core::{Timestamp as StoreTime, Workforce, WorkforceChange, workforce};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::cached_object::ObjectStatus;

/// The decision, if it changes the number of workers.
pub fn change(decision: &Decision) -> Option<LastScaling> {
    (decision.replicas != decision.situation.current).then(|| decided(decision))
}

/// A decision of the planner.
pub fn decided(decision: &Decision) -> LastScaling {
    record(decision.reason.as_str(), decision.replicas, decision.wanted, &decision.situation)
}

/// The reason of a fixed number.
pub const FIXED: &str = "Fixed";

/// A fixed number from the spec.
fn fixed(replicas: u32, situation: &Situation) -> LastScaling {
    record(FIXED, replicas, replicas, situation)
}

/// A number that is written once: a later one, of a person or another autoscaler, is left alone.
#[derive(Debug, Clone, PartialEq)]
pub enum OnceChange {
    /// It was written, or recorded, before.
    Done,
    /// It is there already: to be recorded, so that it is not written later either.
    Record(LastScaling),
    /// To be written.
    Write(LastScaling),
}

/// A fixed number, after the last scaling.
pub fn fixed_once(last: Option<&LastScaling>, wanted: u32, situation: &Situation) -> OnceChange {
    let set = |last: &LastScaling| last.reason == FIXED && last.to == wanted as i32;
    if last.is_some_and(set) {
        return OnceChange::Done;
    }
    let change = fixed(wanted, situation);
    if situation.current == wanted { OnceChange::Record(change) } else { OnceChange::Write(change) }
}

/// The number of a queue that hibernates, after the last scaling: no worker. Also recorded where
/// there is none already, or a fixed number would count as written after the sleep.
pub fn asleep(last: Option<&LastScaling>, situation: &Situation) -> OnceChange {
    match (situation.current, last) {
        (1.., _) => OnceChange::Write(hibernated(situation)),
        (0, Some(last)) if last.reason != HIBERNATED => OnceChange::Record(hibernated(situation)),
        (0, _) => OnceChange::Done,
    }
}

/// The reason of a queue without workers because it hibernates.
const HIBERNATED: &str = "Hibernated";

/// No workers, because of spec.hibernate.
fn hibernated(situation: &Situation) -> LastScaling {
    record(HIBERNATED, 0, 0, situation)
}

fn record(reason: &str, to: u32, wanted: u32, situation: &Situation) -> LastScaling {
    let reading = situation.reading.as_ref();
    let holds = reading.and_then(|reading| reading.holds);
    let whole = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let minutely = |rate: f64| (rate * 60.0).round() as i64;
    LastScaling {
        at: now(),
        from: situation.current as i32,
        to: to as i32,
        wanted: wanted as i32,
        reason: reason.to_owned(),
        backlog: reading.map_or(0, |reading| whole(reading.claimable)),
        arrivals_per_minute: reading.map_or(0, |reading| minutely(reading.arrivals)),
        service_time_microseconds: reading
            .and_then(|reading| reading.service_time)
            .map(|time| whole(time.as_micros() as u64)),
        in_flight: reading.map_or(0, |reading| whole(reading.in_flight)),
        unschedulable: situation.unschedulable as i32,
        cap_per_minute: reading.and_then(|reading| reading.cap_per_minute).map(i64::from),
        max_holds: holds.map(|holds| i64::from(holds.max)),
        free_holds: holds.map(|holds| whole(holds.free)),
        dispatched_per_minute: holds.map(|holds| minutely(holds.dispatched)),
    }
}

/// A sentence for an event.
pub fn sentence(scaling: &LastScaling) -> String {
    let LastScaling { from, to, .. } = scaling;
    format!("workers {from} -> {to}: {}", note(scaling))
}

fn note(scaling: &LastScaling) -> String {
    let LastScaling { to, reason, backlog, arrivals_per_minute, in_flight, .. } = scaling;
    let count = |number: i64| u64::try_from(number).unwrap_or(0);
    match reason.as_str() {
        FIXED => format!("spec.replicas is {to}"),
        HIBERNATED => "spec.hibernate is true".to_owned(),
        reason if reason == Reason::NoReading.as_str() => workforce::NO_READING.to_owned(),
        reason => {
            let capped = reason == Reason::Capped.as_str();
            let joining = count(*arrivals_per_minute);
            workforce::note(count(*backlog), joining, count(*in_flight), capped)
        }
    }
}

/// A sentence about another writer of the number of `pods`, and how to choose.
pub fn rivalry(pods: &str, field: &str, rival: &str) -> String {
    let who = match rival {
        "kube-controller-manager" | "horizontal-pod-autoscaler" => {
            format!("{rival}, for a HorizontalPodAutoscaler,")
        }
        _ => rival.to_owned(),
    };
    let how = match pods {
        "workers" => ", by hand or by a HorizontalPodAutoscaler of the BookingQueue itself",
        _ => "",
    };
    format!(
        "{who} writes the number of {pods} to their Deployment. The operator replaces that number \
         once in ten minutes at most. Choose: let the other writer leave the Deployment alone, or \
         set {field}{how}."
    )
}

/// The workers as their queue's store has them, for gateways and `top`.
pub fn workforce(workers: &ObjectStatus, wanted: u32, last: Option<&LastScaling>) -> Workforce {
    let count = |number: i32| u32::try_from(number).unwrap_or(0);
    let change = |last: &LastScaling| WorkforceChange {
        at: StoreTime(u64::try_from(last.at.0.as_millisecond()).unwrap_or(0)),
        from: count(last.from),
        to: count(last.to),
        reason: last.reason.clone(),
        note: note(last),
    };
    let last_scaling = last.map(change);
    Workforce { wanted, ready: count(workers.ready), last_scaling }.bounded()
}

/// The current time in whole seconds, as a status holds it.
pub fn now() -> Time {
    let now = Timestamp::now();
    Time(Timestamp::from_second(now.as_second()).unwrap_or(now))
}
