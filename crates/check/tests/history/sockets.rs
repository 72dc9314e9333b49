//! What WebSockets showed: a clean history, and ways to break it that must be found.

use bookingq_check::{Moment, Violation, Violations};
use bookingq_core::{BookingState as S, EventSeq};
use bookingq_crowd::call::{BookingSnapshot, CallAnswer, CallKind, ShownVersion};

use crate::world::{World, snapshot};

/// When the client of booking 3 opened its socket, and its booking was cancelled.
const OPENED: u64 = 250_000;
const CANCELLED: u64 = 900_000;

/// An update about booking 3.
#[derive(Clone, Copy)]
struct Shown {
    opened: u64,
    at: u64,
    state: S,
    position: Option<u64>,
    parked: bool,
    epoch: &'static str,
    sequence: u64,
}

/// The first update.
const HELLO: Shown = Shown {
    opened: OPENED,
    at: OPENED + 10_000,
    state: S::Queued,
    position: Some(3),
    parked: false,
    epoch: "e1",
    sequence: 4,
};
/// The last update.
const END: Shown =
    Shown { at: CANCELLED + 50_000, state: S::Cancelled, position: None, sequence: 9, ..HELLO };

/// A whole run, in which the client of booking 3 was shown this; faults ended at 100 ms.
fn violations(updates: &[Shown]) -> Violations {
    let mut world = World::whole_run();
    world.healed = Some(100_000);
    for shown in updates {
        let sequence = EventSeq { ms: shown.sequence, number: 0 };
        let update = BookingSnapshot {
            position: shown.position,
            parked: shown.parked,
            version: Some(ShownVersion { epoch: shown.epoch.to_owned(), sequence }),
            ..snapshot(3, shown.state)
        };
        world.call(3, shown.at, CallKind::Watch, CallAnswer::Ok(update));
        world.calls.last_mut().unwrap().start = shown.opened;
    }
    world.verify_at_end().violations
}

#[track_caller]
fn assert_found(updates: &[Shown], kind: Violation, what: &str) {
    let found = violations(updates);
    assert!(found.examples(kind).iter().any(|case| case.contains(what)), "{found:?}");
}

#[test]
fn a_client_that_is_shown_everything_in_time_is_clean() {
    let nearer = Shown { at: 300_000, position: Some(2), ..HELLO };
    let again = Shown { opened: 500_000, at: 510_000, position: Some(1), ..HELLO };
    let found = violations(&[HELLO, nearer, again, Shown { opened: 500_000, ..END }]);
    assert!(found.is_clean(), "{found:?}");
}

#[test]
fn invariant_8_a_client_that_is_last_shown_another_state_than_the_store_has_is_found() {
    assert_found(&[HELLO], Violation::StaleView, "was last shown");
    let confirmed = Shown { state: S::Confirmed, ..END };
    assert_found(&[HELLO, confirmed], Violation::StaleView, "as confirmed");
}

#[test]
fn invariant_8_a_client_that_learns_the_end_late_is_found() {
    let late = Shown { at: CANCELLED + 5_100_000, ..END };
    assert_found(&[HELLO, late], Violation::StaleView, "late");
    // A client that was away learns it when it connects.
    let reopened = Shown { opened: CANCELLED + 5_000_000, ..late };
    assert!(violations(&[HELLO, reopened]).is_clean());
}

#[test]
fn invariant_8_without_an_end_of_the_faults_the_last_update_is_not_compared() {
    let mut world = World::whole_run();
    let version = Some(ShownVersion { epoch: "e1".to_owned(), sequence: EventSeq::START });
    let update = BookingSnapshot { version, ..snapshot(3, S::Queued) };
    world.call(3, 300_000, CallKind::Watch, CallAnswer::Ok(update));
    assert!(world.verify(Moment::InMotion).violations.is_clean());
}

#[test]
fn invariant_8_a_sequence_that_goes_back_on_a_socket_is_found() {
    let back = Shown { at: 300_000, sequence: 3, ..HELLO };
    assert_found(&[HELLO, back, END], Violation::StaleView, "showed c3 the events up to");
    // The gateway of another socket may have read less; its booking is the store's all the same.
    let other = Shown { opened: 290_000, ..back };
    let end = Shown { opened: 290_000, ..END };
    assert!(violations(&[HELLO, other, end]).is_clean());
}

#[test]
fn invariant_8_a_state_that_goes_back_on_a_socket_is_found() {
    let held = Shown { at: 300_000, state: S::Reserved, position: None, ..HELLO };
    let queued = Shown { at: 310_000, position: None, ..HELLO };
    assert_found(&[HELLO, held, queued], Violation::StaleView, "and then as");
}

#[test]
fn invariant_2_a_position_that_grows_is_found_on_one_socket_and_on_the_next() {
    for opened in [OPENED, 290_000] {
        let back = Shown { opened, at: 300_000, position: Some(5), ..HELLO };
        let end = Shown { opened, ..END };
        assert_found(&[HELLO, back, end], Violation::MovedPlace, "from 3 to 5");
        // After parking it is in no line, and other data has another line.
        let parked = Shown { at: 280_000, parked: true, position: None, ..HELLO };
        let found = violations(&[HELLO, parked, back, end]);
        assert_eq!(found.count(Violation::MovedPlace), 0, "{found:?}");
        let other_data = Shown { epoch: "e2", ..back };
        let found = violations(&[HELLO, other_data, Shown { epoch: "e2", ..end }]);
        assert_eq!(found.count(Violation::MovedPlace), 0, "{found:?}");
    }
}
