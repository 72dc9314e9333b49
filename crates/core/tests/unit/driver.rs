//! The scaling driver over successive measurements of a queue.

use std::time::Duration;

use bookingq_core::autoscale::driver::{Measurement, ScalingDriver};
use bookingq_core::autoscale::{Decision, Policy, Reading, Reason};
use bookingq_core::{Admission, Outflow, Timestamp};

fn measured(second: u64, enqueued: u64, dispatched: u64, busy_us: u64) -> Measurement {
    Measurement {
        at: Timestamp(second * 1000),
        admission: Admission::Open,
        opens_at: None,
        outflow: Outflow::default(),
        claimable: enqueued - dispatched,
        parked: 0,
        in_flight: 0,
        holds: 0,
        enqueued,
        dispatched,
        busy_us,
    }
}

fn policy() -> Policy {
    Policy { max: 4, scale_down_window: Duration::from_secs(2), ..Policy::default() }
}

fn step(driver: &mut ScalingDriver, seen: Option<Measurement>, current: u32) -> Decision {
    let situation = driver.observe(seen, current, 0);
    driver.decide(&policy(), situation)
}

fn observe(driver: &mut ScalingDriver, measurement: Measurement) -> Reading {
    driver.observe(Some(measurement), 1, 0).reading.unwrap()
}

#[test]
fn a_line_adds_workers_and_its_end_removes_them_after_the_window() {
    let mut driver = ScalingDriver::new();
    assert_eq!(step(&mut driver, Some(measured(1, 100_000, 0, 0)), 1).replicas, 4);
    assert_eq!(step(&mut driver, Some(measured(2, 100_000, 100_000, 0)), 4).replicas, 4);
    assert_eq!(step(&mut driver, Some(measured(5, 100_000, 100_000, 0)), 4).replicas, 1);
}

#[test]
fn a_paused_queue_keeps_its_workers_however_many_clients_join() {
    let mut driver = ScalingDriver::new();
    for second in 1..60 {
        let joined = measured(second, second * 10_000, 0, 0);
        let paused = Measurement { admission: Admission::Paused, ..joined };
        assert_eq!(step(&mut driver, Some(paused), 1).replicas, 1);
    }
    let opened = measured(60, 600_000, 0, 0);
    assert_eq!(step(&mut driver, Some(opened), 1).replicas, 4);
}

#[test]
fn the_workers_for_the_line_are_wanted_a_minute_before_the_opening() {
    let mut driver = ScalingDriver::new();
    let opens_at = Some(Timestamp(100_000));
    let joined = |second| Measurement { opens_at, ..measured(second, second * 1000, 0, 0) };
    for second in 1..40 {
        assert_eq!(step(&mut driver, Some(joined(second)), 1).replicas, 1);
    }
    for second in [40, 99, 100] {
        assert_eq!(step(&mut driver, Some(joined(second)), 1).replicas, 4);
    }
}

#[test]
fn clients_who_join_for_a_sold_out_item_ask_for_no_workers() {
    let mut driver = ScalingDriver::new();
    let mut reading = observe(&mut driver, measured(0, 0, 0, 0));
    for second in 1..60 {
        let (joined, parked) = (second * 1000, second * 900);
        let seen = Measurement { claimable: 0, parked, ..measured(second, joined, 0, 0) };
        reading = observe(&mut driver, seen);
    }
    assert!((reading.arrivals - 100.0).abs() < 0.01, "{reading:?}");
    // All come back to the line at once; no client joins.
    let back = Measurement { claimable: 53_100, ..measured(60, 59_000, 0, 0) };
    let reading = observe(&mut driver, back);
    assert!((reading.arrivals, reading.claimable) < (100.0, 53_101), "{reading:?}");
}

#[test]
fn the_outflow_of_the_queue_caps_the_workers() {
    let outflow = Outflow { per_minute: Some(60), max_holds: Some(5), ..Outflow::default() };
    let capped = Measurement { outflow, ..measured(1, 1_000_000, 0, 0) };
    let decision = step(&mut ScalingDriver::new(), Some(capped), 4);
    let reading = decision.situation.reading.unwrap();
    assert_eq!(
        (decision.wanted, reading.cap_per_minute, reading.holds.map(|holds| holds.free)),
        (1, Some(60), Some(5))
    );
}

/// A million wait, 3,000 may be held, each for 50 s in the mean: 60 come free each second, which at
/// 0.1 s a booking need 6 slots.
#[test]
fn a_limit_of_holds_is_used_up_by_no_more_workers_than_its_turnover_needs() {
    let policy = Policy { max: 100, concurrency: 2, ..Policy::default() };
    let outflow = Outflow { max_holds: Some(3000), ..Outflow::default() };
    let (mut driver, mut workers, mut dispatched) = (ScalingDriver::new(), 1, 0);
    let mut holds = 0;
    for second in 0..300 {
        holds -= holds / 50;
        let claims = (u64::from(workers) * 20).min(3000 - holds);
        holds += claims;
        dispatched += claims;
        let seen = measured(second, 1_000_000 + dispatched, dispatched, dispatched * 100_000);
        let seen = Measurement { outflow, holds, ..seen };
        let situation = driver.observe(Some(seen), workers, 0);
        workers = driver.decide(&policy, situation).replicas;
        if second > 200 {
            assert!(holds > 2940, "{holds} held in second {second}");
            assert!(workers <= 4, "{workers} workers in second {second}");
        }
    }
}

#[test]
fn a_store_that_cannot_be_read_changes_nothing() {
    let mut driver = ScalingDriver::new();
    assert_eq!(step(&mut driver, None, 3).replicas, 3);
    step(&mut driver, Some(measured(1, 100_000, 0, 0)), 1);
    for _ in 0..100 {
        let decision = step(&mut driver, None, 4);
        assert_eq!((decision.replicas, decision.reason), (4, Reason::NoReading));
    }
}

#[test]
fn a_driver_that_takes_over_keeps_the_workers_for_the_window() {
    let mut driver = ScalingDriver::new();
    let decision = step(&mut driver, Some(measured(1, 0, 0, 0)), 4);
    assert_eq!((decision.replicas, decision.reason), (4, Reason::HeldByWindow));
    assert_eq!(step(&mut driver, Some(measured(4, 0, 0, 0)), 4).replicas, 1);
}

#[test]
fn a_steady_queue_gives_its_rate_and_its_service_time() {
    let mut driver = ScalingDriver::new();
    let mut reading = observe(&mut driver, measured(0, 0, 0, 0));
    assert_eq!(reading.service_time, None);
    for second in 1..60 {
        let total = second * 100;
        reading = observe(&mut driver, measured(second, total, total, total * 20_000));
    }
    assert!((reading.arrivals - 100.0).abs() < 0.01, "{reading:?}");
    assert_eq!(reading.service_time, Some(Duration::from_millis(20)));
}

#[test]
fn two_readings_show_most_of_a_step() {
    let mut driver = ScalingDriver::new();
    observe(&mut driver, measured(0, 0, 0, 0));
    observe(&mut driver, measured(1, 1000, 0, 0));
    let reading = observe(&mut driver, measured(2, 2000, 0, 0));
    assert!(reading.arrivals > 800.0, "{reading:?}");
}

#[test]
fn a_store_that_lost_its_counters_starts_again() {
    let mut driver = ScalingDriver::new();
    observe(&mut driver, measured(0, 1000, 1000, 0));
    let reading = observe(&mut driver, measured(1, 5, 0, 0));
    assert_eq!((reading.arrivals, reading.claimable), (0.0, 5));
}
