//! The planner against loads over time: steps, ramps, waves, and missing or absurd readings.

use std::time::Duration;

use bookingq_core::Timestamp;
use bookingq_core::autoscale::{HoldLimit, Planner, Policy, Reading, Reason, Situation, wanted};
use proptest::prelude::*;

fn policy() -> Policy {
    Policy { min: 1, max: 50, concurrency: 10, ..Policy::default() }
}

fn reading(at: Timestamp, backlog: u64, arrivals: f64) -> Reading {
    Reading {
        at,
        claimable: backlog,
        arrivals,
        service_time: Some(Duration::from_millis(100)),
        in_flight: 0,
        cap_per_minute: None,
        holds: None,
    }
}

/// Drives a planner for `seconds` with arrivals as a function of time; returns the replicas of
/// each second.
fn drive(seconds: u64, arrivals: impl Fn(f64) -> f64) -> Vec<u32> {
    let (mut planner, mut current) = (Planner::new(), 1);
    (0..seconds)
        .map(|s| {
            let now = Timestamp(s * 1000);
            let reading = Some(reading(now, 0, arrivals(s as f64)));
            current = planner
                .decide(&policy(), Situation { now, reading, current, unschedulable: 0 })
                .replicas;
            current
        })
        .collect()
}

#[test]
fn a_step_is_answered_at_once_and_left_only_after_the_window() {
    let replicas = drive(200, |s| if (10.0..20.0).contains(&s) { 1000.0 } else { 50.0 });
    assert_eq!(replicas[9], 1);
    assert_eq!(replicas[10], 15, "1000/s x 0.1 s / 0.7 / 10 slots");
    assert!(replicas[10..=79].iter().all(|&n| n == 15), "{replicas:?}");
    assert_eq!(replicas[81], 1);
}

#[test]
fn a_planner_that_takes_over_keeps_the_workers_until_the_window_is_over() {
    let start = Timestamp(1000);
    let mut planner = Planner::taking_over(start, 4);
    let mut decide = |seconds: u64| {
        let now = Timestamp(start.0 + seconds * 1000);
        let reading = Some(reading(now, 0, 0.0));
        planner.decide(&policy(), Situation { now, reading, current: 4, unschedulable: 0 })
    };
    assert_eq!((decide(0).replicas, decide(0).reason), (4, Reason::HeldByWindow));
    assert_eq!(decide(60).replicas, 4);
    assert_eq!(decide(61).replicas, 1);
}

#[test]
fn a_ramp_is_followed_upwards_without_a_step_back() {
    let replicas = drive(100, |s| s * 20.0);
    assert!(replicas.is_sorted(), "{replicas:?}");
    assert_eq!(replicas[99], 29);
}

#[test]
fn a_sinusoid_of_ten_percent_does_not_flap() {
    for period in [5.0, 20.0, 50.0] {
        let replicas =
            drive(600, |s| 700.0 * (1.0 + 0.1 * (s / period * std::f64::consts::TAU).sin()));
        let settled = &replicas[60..];
        assert!(settled.iter().all(|&n| n == settled[0]), "period {period}: {settled:?}");
    }
}

#[test]
fn a_backlog_asks_for_what_drains_it_in_time() {
    // 30,000 waiting x 0.1 s / 30 s / 0.7 = 143 slots.
    assert_eq!(wanted(&policy(), &reading(Timestamp(0), 30_000, 0.0), 1), 15);
}

#[test]
fn a_cap_needs_no_more_workers_than_its_rate_uses_even_with_a_million_waiting() {
    let mut planner = Planner::new();
    let line = reading(Timestamp(0), 1_000_000, 300.0);
    let mut decide = |cap_per_minute, holds: Option<(u32, u64, f64)>| {
        let holds = holds.map(|(max, free, dispatched)| HoldLimit { max, free, dispatched });
        let reading = Some(Reading { cap_per_minute, holds, ..line });
        let now = Timestamp(0);
        planner.decide(&policy(), Situation { now, reading, current: 1, unschedulable: 0 })
    };
    // 10 a second x 0.1 s / 0.7 = 1.4 slots of 10.
    let slow = decide(Some(600), None);
    assert_eq!((slow.wanted, slow.reason), (1, Reason::Capped));
    // 200 a second x 0.1 s / 0.7 = 29 slots.
    let faster = decide(Some(12_000), None);
    assert_eq!((faster.replicas, faster.reason), (3, Reason::Capped));
    // 150 a second come free x 0.1 s = 15 slots; 1,500 free ones in 30 s add 7.
    let held = decide(Some(12_000), Some((9000, 0, 150.0)));
    assert_eq!((held.wanted, held.reason), (2, Reason::Capped));
    assert_eq!(decide(None, Some((9000, 1500, 150.0))).wanted, 3);
    assert_eq!(decide(None, Some((9000, 4000, 150.0))).wanted, 4);
    assert_eq!(decide(None, Some((11, 11, 1e9))).wanted, 2, "11 holds need 11 slots at most");
    // A cap above what the maximum of workers serves decides nothing.
    let beyond = decide(Some(1_000_000), Some((10_000_000, 10_000_000, 0.0)));
    assert_eq!((beyond.replicas, beyond.reason), (50, Reason::Demand));
}

#[test]
fn a_cap_corrects_the_assumed_service_time_as_soon_as_one_is_measured() {
    let mut planner = Planner::new();
    let mut decide = |second: u64, current, service_time| {
        let now = Timestamp(second * 1000);
        let line = reading(now, 1_000_000, 0.0);
        let reading = Some(Reading { cap_per_minute: Some(12_000), service_time, ..line });
        planner.decide(&policy(), Situation { now, reading, current, unschedulable: 0 })
    };
    assert_eq!(decide(1, 1, None).replicas, 8, "200 a second x 0.25 s / 0.7 / 10 slots");
    let measured = decide(2, 8, Some(Duration::from_millis(100)));
    assert_eq!((measured.replicas, measured.reason), (3, Reason::Capped));
}

proptest! {
    #[test]
    fn a_cap_bounds_the_workers_and_never_adds_any(
        line in 0u64..2_000_000, arrivals in 0.0f64..10_000.0, service_ms in 1u64..5000,
        cap in prop::option::of(1u32..1_000_000), max in prop::option::of(1u32..100_000),
        free in 0u64..100_000, dispatched in 0.0f64..10_000.0, concurrency in 1u32..200,
        percent in 1u32..=100,
    ) {
        let utilisation = f64::from(percent) / 100.0;
        let policy = Policy { min: 1, max: 1000, concurrency, utilisation, ..Policy::default() };
        let open = Reading {
            service_time: Some(Duration::from_millis(service_ms)),
            ..reading(Timestamp(0), line, arrivals)
        };
        let holds = max.map(|max| HoldLimit { max, free, dispatched });
        let capped = wanted(&policy, &Reading { cap_per_minute: cap, holds, ..open }, 1);
        prop_assert!(capped <= wanted(&policy, &open, 1));
        let slots = |cap: u32| f64::from(cap) / 60.0 * service_ms as f64 / 1000.0 / utilisation;
        for slots in cap.map(slots).into_iter().chain(max.map(f64::from)) {
            let most = (slots / f64::from(concurrency)).ceil() as u32 + 1;
            prop_assert!(capped <= most, "{capped} of {most}");
        }
    }
}

#[test]
fn a_missing_or_stale_reading_changes_nothing() {
    let mut planner = Planner::new();
    let now = Timestamp(100_000);
    for reading in [None, Some(reading(Timestamp(94_000), 0, 0.0))] {
        let decision =
            planner.decide(&policy(), Situation { now, reading, current: 20, unschedulable: 0 });
        assert_eq!((decision.replicas, decision.reason), (20, Reason::NoReading));
    }
}

#[test]
fn one_long_task_keeps_its_worker_but_asks_for_no_more() {
    let mut r = reading(Timestamp(0), 0, 0.0);
    r.in_flight = 11;
    assert_eq!(wanted(&policy(), &r, 3), 2);
    assert_eq!(wanted(&policy(), &r, 1), 1);
}

#[test]
fn workers_with_all_slots_taken_do_not_grow_by_that_alone() {
    let mut r = reading(Timestamp(0), 0, 100.0);
    for current in 1..50 {
        r.in_flight = u64::from(current) * 10;
        assert_eq!(wanted(&policy(), &r, current), current.max(2));
    }
}

#[test]
fn unschedulable_pods_stop_the_growth_but_not_the_shrinking() {
    let mut planner = Planner::new();
    let now = Timestamp(1000);
    let busy =
        Situation { now, reading: Some(reading(now, 0, 1000.0)), current: 5, unschedulable: 2 };
    let decision = planner.decide(&policy(), busy);
    assert_eq!((decision.replicas, decision.wanted), (5, 15));
    assert_eq!(decision.reason, Reason::Unschedulable);

    let later = Timestamp(100_000);
    let idle = Situation { now: later, reading: Some(reading(later, 0, 0.0)), ..busy };
    assert_eq!(planner.decide(&policy(), idle).replicas, 1);
}

#[test]
fn absurd_readings_end_within_the_limits() {
    for arrivals in [f64::INFINITY, f64::NAN, -5.0, 1e300] {
        let n = wanted(&policy(), &reading(Timestamp(0), u64::MAX, arrivals), 3);
        assert!((1..=50).contains(&n));
    }
}
