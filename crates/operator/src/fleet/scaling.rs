//! Between the planner and the status: readings in whole numbers, so that what the status says
//! replays to the same answer.

use std::time::Duration;

use bookingq_api::status::Scaling;
use bookingq_core::autoscale::{Decision, Reading, Reason, Situation};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// The reading as the status can hold it: what is decided from and what is told are the same
/// numbers.
pub fn told(reading: Reading) -> Reading {
    Reading {
        arrivals: (reading.arrivals * 60.0).round() / 60.0,
        service_time: reading
            .service_time
            .map(|time| Duration::from_micros(time.as_micros() as u64)),
        ..reading
    }
}

/// The reading of a paused queue: nobody in its line may be served, however many workers there are.
/// Who joins still has to be let in and told a position, so arrivals count as ever.
pub fn paused(reading: Reading) -> Reading {
    Reading { backlog: 0, ..reading }
}

/// A decision of the planner, for the status.
pub fn decided(decision: &Decision) -> Scaling {
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
pub fn fixed(replicas: u32, situation: &Situation) -> Scaling {
    record(FIXED, replicas, replicas, situation)
}

fn record(reason: &str, to: u32, wanted: u32, situation: &Situation) -> Scaling {
    let reading = situation.reading.as_ref();
    let whole = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    Scaling {
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
pub fn sentence(scaling: &Scaling) -> String {
    let Scaling { from, to, backlog, arrivals_per_minute, in_flight, .. } = scaling;
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
    use bookingq_core::Timestamp as StoreTime;
    use bookingq_core::autoscale::{Planner, Policy};

    use super::*;

    #[test]
    fn what_the_status_says_replays_to_the_same_decision() {
        let policy = Policy { max: 100, ..Policy::default() };
        for (backlog, arrivals, micros) in
            [(0, 33.333_333, 1), (12_345, 0.017, 250_999), (7, 9_999.99, 30)]
        {
            let at = StoreTime(5000);
            let service_time = Some(Duration::from_nanos(micros * 1000 + 499));
            let reading = told(Reading { at, backlog, arrivals, service_time, in_flight: 3 });
            let situation =
                Situation { now: at, reading: Some(reading), current: 1, unschedulable: 0 };
            let status = decided(&Planner::new().decide(&policy, situation));
            let again = Reading {
                at,
                backlog: status.backlog as u64,
                arrivals: status.arrivals_per_minute as f64 / 60.0,
                service_time: status
                    .service_time_microseconds
                    .map(|us| Duration::from_micros(us as u64)),
                in_flight: status.in_flight as u64,
            };
            assert_eq!(again, reading);
            let situation =
                Situation { reading: Some(again), current: status.from as u32, ..situation };
            assert_eq!(decided(&Planner::new().decide(&policy, situation)).to, status.to);
        }
    }
}
