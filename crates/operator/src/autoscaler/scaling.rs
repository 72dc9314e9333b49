//! Between the planner and the status: readings in whole numbers, so that what the status says
//! replays to the same answer.

use bookingq_api::status::LastScaling;
use bookingq_core::autoscale::{Decision, Reason, Situation};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// A decision that changes the number of workers, for the status.
pub fn change(decision: &Decision) -> Option<LastScaling> {
    (decision.replicas != decision.situation.current).then(|| decided(decision))
}

/// A decision of the planner, for the status.
pub fn decided(decision: &Decision) -> LastScaling {
    let reason = match decision.reason {
        Reason::Demand => "Demand",
        Reason::HeldByWindow => "HeldByWindow",
        Reason::NoReading => "NoReading",
        Reason::Unschedulable => "Unschedulable",
    };
    record(reason, decision.replicas, decision.wanted, &decision.situation)
}

/// The word of a fixed number.
pub const FIXED: &str = "Fixed";

/// A fixed number that was asked for.
pub fn fixed(replicas: u32, situation: &Situation) -> LastScaling {
    record(FIXED, replicas, replicas, situation)
}

fn record(reason: &str, to: u32, wanted: u32, situation: &Situation) -> LastScaling {
    let reading = situation.reading.as_ref();
    let whole = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    LastScaling {
        at: now(),
        from: situation.current as i32,
        to: to as i32,
        wanted: wanted as i32,
        reason: reason.to_owned(),
        backlog: reading.map_or(0, |reading| whole(reading.backlog)),
        arrivals_per_minute: reading.map_or(0, |reading| (reading.arrivals * 60.0).round() as i64),
        service_time_microseconds: reading
            .and_then(|reading| reading.service_time)
            .map(|time| whole(time.as_micros() as u64)),
        in_flight: reading.map_or(0, |reading| whole(reading.in_flight)),
        unschedulable: situation.unschedulable as i32,
    }
}

/// In words, for an event.
pub fn sentence(scaling: &LastScaling) -> String {
    let LastScaling { from, to, backlog, arrivals_per_minute, in_flight, .. } = scaling;
    let change = format!("workers {from} -> {to}");
    match scaling.reason.as_str() {
        FIXED => format!("{change}: spec.replicas asks for {to}"),
        "NoReading" => format!("{change}: to stay within min and max; the store could not be read"),
        _ => format!(
            "{change}: {backlog} in the line, {arrivals_per_minute} joining each minute, {in_flight} in flight"
        ),
    }
}

/// Now, in the whole seconds of a status.
pub fn now() -> Time {
    let now = Timestamp::now();
    Time(Timestamp::from_second(now.as_second()).unwrap_or(now))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bookingq_core::autoscale::driver::{Measurement, ScalingDriver};
    use bookingq_core::autoscale::{Planner, Policy, Reading};
    use bookingq_core::{Admission, Timestamp as StoreTime};

    use super::*;

    #[test]
    fn the_status_replays_to_the_same_decision() {
        let policy = Policy { max: 100, ..Policy::default() };
        for (backlog, joined, micros) in [(0, 33, 1), (12_345, 1, 250_999), (7, 9_999, 30)] {
            let mut driver = ScalingDriver::new();
            let measured = |second: u64, enqueued, dispatched, busy_us| Measurement {
                at: StoreTime(second * 1000),
                admission: Admission::Open,
                backlog,
                in_flight: 3,
                enqueued,
                dispatched,
                busy_us,
            };
            driver.observe(Some(measured(1, 0, 0, 0)), 1, 0);
            let situation = driver.observe(Some(measured(2, joined, 3, 3 * micros + 1)), 1, 0);
            let status = decided(&Planner::new().decide(&policy, situation));
            let replayed = Reading {
                at: situation.now,
                backlog: status.backlog as u64,
                arrivals: status.arrivals_per_minute as f64 / 60.0,
                service_time: status
                    .service_time_microseconds
                    .map(|us| Duration::from_micros(us as u64)),
                in_flight: status.in_flight as u64,
            };
            assert_eq!(Some(replayed), situation.reading);
            let again =
                Situation { reading: Some(replayed), current: status.from as u32, ..situation };
            assert_eq!(decided(&Planner::new().decide(&policy, again)).to, status.to);
        }
    }
}
