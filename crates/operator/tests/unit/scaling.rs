//! Scaling decisions in the status.

use std::time::Duration;

use bookingq_core::autoscale::driver::{Measurement, ScalingDriver};
use bookingq_core::autoscale::{HoldLimit, Planner, Policy, Reading, Situation};
use bookingq_core::{Admission, Outflow, Timestamp};
use bookingq_operator::autoscaler::scaling::{OnceChange, asleep, decided, fixed_once};

#[test]
fn the_status_replays_to_the_same_decision() {
    let policy = Policy { max: 100, ..Policy::default() };
    for (backlog, joined, micros) in [(0, 33, 1), (12_345, 1, 250_999), (7, 9_999, 30)] {
        let mut driver = ScalingDriver::new();
        let measured = |second: u64, enqueued, dispatched, busy_us| Measurement {
            at: Timestamp(second * 1000),
            admission: Admission::Open,
            opens_at: None,
            outflow: Outflow { per_minute: Some(900), burst: None, max_holds: Some(500) },
            claimable: backlog,
            parked: 0,
            in_flight: 3,
            holds: 7,
            enqueued,
            dispatched,
            busy_us,
        };
        driver.observe(Some(measured(1, 0, 0, 0)), 1, 0);
        let situation = driver.observe(Some(measured(2, joined, 3, 3 * micros + 1)), 1, 0);
        let status = decided(&Planner::new().decide(&policy, situation));
        let replayed = Reading {
            at: situation.now,
            claimable: status.backlog as u64,
            arrivals: status.arrivals_per_minute as f64 / 60.0,
            service_time: status
                .service_time_microseconds
                .map(|us| Duration::from_micros(us as u64)),
            in_flight: status.in_flight as u64,
            cap_per_minute: status.cap_per_minute.map(|cap| cap as u32),
            holds: status.max_holds.map(|max| HoldLimit {
                max: max as u32,
                free: status.free_holds.unwrap() as u64,
                dispatched: status.dispatched_per_minute.unwrap() as f64 / 60.0,
            }),
        };
        assert_eq!(Some(replayed), situation.reading);
        let again = Situation { reading: Some(replayed), current: status.from as u32, ..situation };
        assert_eq!(decided(&Planner::new().decide(&policy, again)).to, status.to);
        assert_eq!(status.reason, if backlog > 10_000 { "Capped" } else { "Demand" });
    }
}

#[test]
fn a_fixed_number_is_written_once_and_again_after_a_sleep() {
    let at = |current| ScalingDriver::new().observe(None, current, 0);
    let OnceChange::Write(fixed) = fixed_once(None, 3, &at(1)) else { panic!("not written") };
    assert_eq!(fixed_once(Some(&fixed), 3, &at(3)), OnceChange::Done);
    assert_eq!(fixed_once(Some(&fixed), 3, &at(0)), OnceChange::Done, "a person wants none");

    // Somebody has scaled to zero before the sleep, or the answer to the write came late.
    let OnceChange::Record(slept) = asleep(Some(&fixed), &at(0)) else { panic!("not recorded") };
    assert_eq!((slept.from, slept.to), (0, 0));
    assert_eq!(asleep(Some(&slept), &at(0)), OnceChange::Done);
    let OnceChange::Write(woken) = fixed_once(Some(&slept), 3, &at(0)) else { panic!("asleep") };
    assert_eq!((woken.from, woken.to), (0, 3));
    assert!(matches!(asleep(Some(&woken), &at(3)), OnceChange::Write(change) if change.to == 0));
    assert_eq!(asleep(None, &at(0)), OnceChange::Done, "its number was never written");
}
