//! Hand-made runs: a clean one, and for each invariant ways to break it that must be found under
//! its number.

#![allow(clippy::unwrap_used)]

mod world;

use bookingq_core::{BookingState as S, Fence, RequestId, Timestamp};
use bookingq_crowd::call::{BookingSnapshot, CallAnswer, CallKind, RecordedCall};
use bookingq_sim::ledger::LedgerState;

use self::world::{EPOCH, HOLD, World, id, pay, request, shown};
use crate::Violation;

#[test]
fn a_clean_run_is_clean() {
    let violations = World::clean().verify();
    assert!(violations.is_clean(), "{violations:?}");
}

#[test]
fn invariant_1_an_acknowledged_place_without_a_trace_is_found() {
    let mut world = World::clean();
    let join = CallKind::Enqueue { request: request() };
    world.call(4, 40_000, join, CallAnswer::Ok(shown(4, S::Queued)));
    world.breaks(1);
}

#[test]
fn invariant_1_one_request_with_two_bookings_is_found() {
    let mut world = World::clean();
    let again = BookingSnapshot { booking: id(9), ..shown(3, S::Queued) };
    world.call(3, 700_000, CallKind::Enqueue { request: request() }, CallAnswer::Ok(again));
    world.breaks(1);
}

#[test]
fn invariant_1_a_request_that_is_later_answered_with_another_ones_booking_is_found() {
    let mut world = World::clean();
    let other = RequestId::new("of the next booking").unwrap();
    let next = BookingSnapshot { booking: id(9), request: other, ..shown(3, S::Queued) };
    world.call(3, 700_000, CallKind::Enqueue { request: request() }, CallAnswer::Ok(next));
    world.breaks(1);
}

#[test]
fn invariant_1_a_client_whose_place_is_denied_is_found() {
    let mut world = World::clean();
    let refused = CallAnswer::Refused { reason: "BOOKING_NOT_FOUND".into() };
    world.call(2, 50_000, CallKind::Status, refused);
    world.breaks(1);
}

#[test]
fn invariant_1_a_booking_that_never_ends_is_found() {
    let mut world = World::clean();
    world.events.retain(|event| event.to != S::Cancelled);
    world.bookings[2].state = S::Queued;
    world.calls.pop();
    world.breaks(1);
}

#[test]
fn invariant_2_a_later_request_with_an_earlier_place_is_found() {
    let mut world = World::clean();
    world.calls[0].start = 900_000;
    world.calls[0].end = 901_000;
    world.breaks(2);
}

#[test]
fn invariant_2_a_claim_past_an_earlier_place_is_found() {
    let mut world = World::clean();
    let first = world.events.iter().position(|event| event.to == S::Reserving).unwrap();
    world.events.swap(first, first + 1);
    world.breaks(2);
}

#[test]
fn invariant_3_a_settlement_with_an_old_fence_is_found() {
    let mut world = World::clean();
    world.of(2, S::Expired).fence = Fence(2);
    world.breaks(3);
}

#[test]
fn invariant_4_a_reservation_that_stays_held_is_found() {
    let mut world = World::clean();
    world.ledger.entries[1].state = LedgerState::Held;
    world.breaks(4);
}

#[test]
fn invariant_4_a_call_for_an_unknown_booking_is_found() {
    let mut world = World::clean();
    world.entry(8, LedgerState::Released);
    world.breaks(4);
}

#[test]
fn invariant_4_a_booking_confirmed_here_and_not_there_is_found() {
    let mut world = World::clean();
    world.ledger.entries[0].state = LedgerState::Released;
    world.breaks(4);
}

#[test]
fn invariant_5_a_payment_after_the_deadline_is_found_in_the_log() {
    let mut world = World::clean();
    for to in [S::Confirming, S::Confirmed] {
        world.of(1, to).at = Timestamp(EPOCH + 201 + HOLD);
    }
    world.breaks(5);
}

#[test]
fn invariant_5_a_payment_sent_after_the_deadline_is_found_whatever_the_log_says() {
    let mut world = World::clean();
    let paid =
        world.calls.iter_mut().find(|call| matches!(call.kind, CallKind::Pay { .. })).unwrap();
    (paid.start, paid.end) = ((300 + HOLD) * 1000, (301 + HOLD) * 1000);
    world.breaks(5);
}

#[test]
fn invariant_5_a_payment_in_time_that_was_refused_as_late_is_found() {
    let mut world = World::clean();
    let refused = CallAnswer::Refused { reason: "HOLD_EXPIRED".into() };
    world.call(1, 350_000, pay(1, "card"), refused);
    world.breaks(5);
}

#[test]
fn invariant_5_an_acknowledged_payment_that_expired_is_found() {
    let mut world = World::clean();
    world.call(2, 350_000, pay(2, "card"), CallAnswer::Unknown { error: String::new() });
    world.call(2, 340_000, CallKind::Status, CallAnswer::Ok(shown(2, S::Reserved)));
    world.call(2, 360_000, pay(2, "card"), CallAnswer::Ok(shown(2, S::Confirming)));
    world.breaks(5);
}

#[test]
fn invariant_5_two_acknowledged_payments_for_one_booking_are_found() {
    let mut world = World::clean();
    world.call(1, 510_000, pay(1, "other"), CallAnswer::Ok(shown(1, S::Confirmed)));
    world.breaks(5);
}

#[test]
fn invariant_5_an_acknowledged_cancellation_that_was_sold_is_found() {
    let mut world = World::clean();
    let left = BookingSnapshot { follows: Some(S::Cancelled), ..shown(1, S::Reserving) };
    world.call(1, 150_000, CallKind::Cancel { of: id(1) }, CallAnswer::Ok(left));
    world.breaks(5);
}

#[test]
fn invariant_5_a_confirmation_without_a_payment_is_found() {
    let mut world = World::clean();
    world.calls.retain(|call| !matches!(call.kind, CallKind::Pay { .. }));
    world.breaks(5);
}

#[test]
fn invariant_6_more_sold_than_there_was_is_found() {
    let mut world = World::clean();
    world.ledger.totals.stock = 0;
    world.breaks(6);
}

#[test]
fn invariant_7_a_deadline_by_another_clock_is_found() {
    let mut world = World::clean();
    world.of(2, S::Reserved).deadline = Some(Timestamp(EPOCH + 199 + HOLD));
    world.breaks(7);
}

#[test]
fn invariant_7_a_time_that_goes_back_is_found() {
    let mut world = World::clean();
    world.of(3, S::Cancelled).at = Timestamp(EPOCH + 5);
    world.breaks(7);
}

#[test]
fn invariant_7_a_deadline_that_moved_is_found() {
    let mut world = World::clean();
    let moved = BookingSnapshot { deadline_ms: Some(EPOCH + 300 + HOLD), ..shown(1, S::Reserved) };
    world.call(1, 350_000, CallKind::Status, CallAnswer::Ok(moved));
    world.breaks(7);
}

#[test]
fn invariant_8_a_booking_that_goes_back_in_its_life_is_found() {
    let mut world = World::clean();
    world.call(1, 600_000, CallKind::Status, CallAnswer::Ok(shown(1, S::Reserved)));
    world.breaks(8);
}

#[test]
fn invariant_8_a_call_that_was_counted_twice_is_found() {
    let mut world = World::clean();
    world.totals.confirmed = 2;
    world.breaks(8);
}

#[test]
fn invariant_8_a_store_that_contradicts_its_log_is_found() {
    let mut world = World::clean();
    world.bookings[1].state = S::Cancelled;
    world.breaks(8);
}

#[test]
fn invariant_1_an_older_booking_shown_after_a_newer_was_acknowledged_is_found() {
    let mut world = World::clean();
    let newer = BookingSnapshot { request: RequestId::new("r2").unwrap(), ..shown(9, S::Queued) };
    let join = CallKind::Enqueue { request: newer.request.clone() };
    world.call(3, 700_000, join, CallAnswer::Ok(newer));
    world.call(3, 800_000, CallKind::Watch, CallAnswer::Ok(shown(3, S::Cancelled)));
    world.breaks(1);
}

#[test]
fn invariant_1_a_repeated_request_refused_by_a_closed_queue_is_found() {
    let mut world = World::clean();
    let refused = CallAnswer::Refused { reason: "QUEUE_CLOSED".into() };
    world.call(3, 700_000, CallKind::Enqueue { request: request() }, refused);
    world.breaks(1);
}

#[test]
fn invariant_2_a_position_that_grows_within_a_watch_is_found_and_none_across_watches() {
    for (start, breaks) in [(20_000, true), (25_000, false)] {
        let mut world = World::clean();
        for (start, end, position) in [(20_000, 30_000, 3), (start, 40_000, 5)] {
            let shown = BookingSnapshot { position: Some(position), ..shown(3, S::Queued) };
            world.call(3, end, CallKind::Watch, CallAnswer::Ok(shown));
            world.calls.last_mut().unwrap().start = start;
        }
        assert_eq!(world.verify().count(Violation::MovedPlace) > 0, breaks);
    }
}

#[test]
fn invariant_5_a_hold_that_is_denied_is_found() {
    let mut world = World::clean();
    let refused = CallAnswer::Refused { reason: "NOT_RESERVED".into() };
    world.call(1, 350_000, pay(1, "card"), refused);
    world.breaks(5);
}

#[test]
fn invariant_8_a_refusal_without_a_cause_is_found() {
    for (kind, reason) in [
        (CallKind::Status, "INVALID_ARGUMENT"),
        (CallKind::Cancel { of: id(3) }, "HOLD_EXPIRED"),
        (CallKind::Enqueue { request: RequestId::new("new").unwrap() }, "QUEUE_CLOSED"),
    ] {
        let mut world = World::clean();
        world.call(3, 900_000, kind, CallAnswer::Refused { reason: reason.into() });
        world.breaks(8);
    }
}

#[test]
fn invariant_5_an_early_final_is_found_unless_another_payment_in_flight_explains_it() {
    let refused = || CallAnswer::Refused { reason: "ALREADY_FINAL".into() };
    let mut world = World::clean();
    world.call(1, 450_000, pay(1, "other"), refused());
    assert!(world.verify().is_clean(), "the first card won, although its answer came later");

    let mut world = World::clean();
    let paid = |call: &&mut RecordedCall| matches!(call.kind, CallKind::Pay { .. });
    world.calls.iter_mut().find(paid).unwrap().answer = refused();
    assert!(world.verify().count(Violation::BrokenDeadline) > 0);
}
