//! The planner of the gateways against sockets over time: steps, waves, and gateways that cannot be
//! read.

use std::time::Duration;

use bookingq_core::Timestamp;
use bookingq_core::autoscale::Reason;
use bookingq_core::autoscale::sockets::{
    SocketDecision, SocketPlanner, SocketPolicy, SocketReading, SocketSituation,
};
use proptest::prelude::*;

fn policy() -> SocketPolicy {
    SocketPolicy { min: 2, max: 40, per_replica: 1000, scale_down_window: Duration::from_secs(100) }
}

/// A planner with its number of gateways.
struct Gateways {
    planner: SocketPlanner,
    current: u32,
}

impl Gateways {
    fn new(current: u32) -> Self {
        Self { planner: SocketPlanner::new(), current }
    }

    fn decide(&mut self, seconds: u64, reading: Option<SocketReading>) -> SocketDecision {
        let now = Timestamp(seconds * 1000);
        let situation = SocketSituation { now, reading, current: self.current, unschedulable: 0 };
        let decision = self.planner.decide(&policy(), situation);
        self.current = decision.replicas;
        decision
    }

    fn at(&mut self, seconds: u64, sockets: u64) -> u32 {
        self.decide(seconds, Some(SocketReading { sockets, complete: true })).replicas
    }
}

#[test]
fn a_crowd_is_answered_at_once() {
    let mut gateways = Gateways::new(2);
    assert_eq!(gateways.at(0, 0), 2);
    assert_eq!(gateways.at(5, 12_001), 13);
    assert_eq!(gateways.at(10, 1_000_000), 40, "the maximum");
}

#[test]
fn a_lower_number_must_be_enough_for_the_whole_window_and_is_reached_in_steps() {
    let mut gateways = Gateways::new(2);
    gateways.at(0, 16_000);
    assert_eq!(gateways.current, 16);
    let numbers: Vec<u32> = (1..=500).map(|second| gateways.at(second, 800)).collect();
    assert!(numbers[..100].iter().all(|&n| n == 16), "{numbers:?}");
    assert_eq!(numbers[100..201].to_vec(), vec![12; 101], "a quarter, then another window");
    assert_eq!((numbers[201], numbers[302], numbers[403]), (9, 7, 6));
}

#[test]
fn sockets_that_move_around_a_multiple_move_no_gateway() {
    let mut gateways = Gateways::new(2);
    gateways.at(0, 5050);
    let numbers: Vec<u32> = (1..2000).map(|s| gateways.at(s, 4950 + (s % 20) * 10)).collect();
    assert!(numbers.iter().all(|&n| n == 6), "{numbers:?}");
}

#[test]
fn a_gateway_that_cannot_be_read_is_never_taken_for_an_empty_one() {
    let mut gateways = Gateways::new(2);
    gateways.at(0, 8000);
    for second in 1..1000 {
        let partial = Some(SocketReading { sockets: 1000, complete: false });
        let decision = gateways.decide(second, partial.filter(|_| second % 2 == 0));
        assert_eq!((decision.replicas, decision.reason), (8, Reason::NoReading));
    }
    let more = Some(SocketReading { sockets: 9500, complete: false });
    assert_eq!(gateways.decide(1000, more).replicas, 10, "those that answer need more already");
    assert_eq!(gateways.at(1001, 0), 10, "the window begins when every gateway can be read");
    assert_eq!(gateways.at(1099, 0), 10);
    assert!(gateways.at(1102, 0) < 10);
}

#[test]
fn no_gateway_is_added_while_one_cannot_be_scheduled() {
    let situation = SocketSituation {
        now: Timestamp(0),
        reading: Some(SocketReading { sockets: 9000, complete: true }),
        current: 4,
        unschedulable: 1,
    };
    let decision = SocketPlanner::new().decide(&policy(), situation);
    assert_eq!((decision.replicas, decision.reason), (4, Reason::Unschedulable));
}

fn readings() -> impl Strategy<Value = Vec<(u64, Option<SocketReading>)>> {
    let reading = (0_u64..60_000, prop::bool::weighted(0.8))
        .prop_map(|(sockets, complete)| SocketReading { sockets, complete });
    prop::collection::vec((1_u64..60, prop::option::weighted(0.9, reading)), 1..300)
}

proptest! {
    #[test]
    fn every_decision_keeps_the_rules(start in 0_u32..60, readings in readings()) {
        let (mut gateways, policy, mut now) = (Gateways::new(start), policy(), 0);
        let mut past: Vec<(u64, u32)> = Vec::new();
        for (pause, reading) in readings {
            now += pause;
            let before = gateways.current;
            let decision = gateways.decide(now, reading);
            prop_assert!((policy.min..=policy.max).contains(&decision.replicas));
            let Some(SocketReading { sockets, complete }) = reading else {
                prop_assert_eq!(decision.replicas, before.clamp(policy.min, policy.max));
                past.push((now, before));
                continue;
            };
            let enough = sockets.div_ceil(1000).min(40);
            prop_assert!(u64::from(decision.replicas) >= enough, "the sockets fit, or it is max");
            past.push((now, if complete { enough as u32 } else { before }));
            if decision.replicas < before && before <= policy.max {
                prop_assert!(complete, "nothing is removed without a whole reading");
                prop_assert!(before - decision.replicas <= (before / 4).max(1));
                let window = past.iter().filter(|(at, _)| now - at <= 100);
                let needed = window.map(|&(_, needed)| needed).max().unwrap_or(0);
                prop_assert!(decision.replicas >= needed, "needed within the window");
            }
        }
    }

    #[test]
    fn more_sockets_never_ask_for_fewer_gateways(few in 0_u64..100_000, more in 0_u64..100_000) {
        let decide = |sockets| {
            let reading = Some(SocketReading { sockets, complete: true });
            let situation =
                SocketSituation { now: Timestamp(0), reading, current: 3, unschedulable: 0 };
            SocketPlanner::new().decide(&policy(), situation).wanted
        };
        prop_assert!(decide(few) <= decide(few.saturating_add(more)));
    }
}
