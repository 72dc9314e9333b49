//! A whole run: a clean one, and for each invariant ways to break it that must be found under its
//! number.

use bookingq_check::Violation;
use bookingq_core::{BookingState as S, Fence, RequestId, Timestamp};
use bookingq_crowd::call::{BookingSnapshot, CallAnswer, CallKind, RecordedCall};
use bookingq_sim::ledger::LedgerState;

use crate::world::{EPOCH, HOLD, World, booking, join, pay, request, snapshot};

#[test]
fn a_clean_run_is_clean() {
    let violations = World::whole_run().verify_at_end().violations;
    assert!(violations.is_clean(), "{violations:?}");
}

#[test]
fn invariant_1_an_acknowledged_place_without_a_trace_is_found() {
    let mut world = World::whole_run();
    world.call(4, 40_000, join(4), CallAnswer::Ok(snapshot(4, S::Queued)));
    world.breaks(1);
}

#[test]
fn invariant_1_one_request_with_two_bookings_is_found() {
    let mut world = World::whole_run();
    let again = BookingSnapshot { booking: booking(9), ..snapshot(3, S::Queued) };
    world.call(3, 1_000_000, join(3), CallAnswer::Ok(again));
    world.breaks(1);
}

#[test]
fn invariant_1_a_request_that_is_later_answered_with_another_ones_booking_is_found() {
    let mut world = World::whole_run();
    let other = RequestId::new("of the next booking").unwrap();
    let next = BookingSnapshot { booking: booking(9), request: other, ..snapshot(3, S::Queued) };
    world.call(3, 1_000_000, join(3), CallAnswer::Ok(next));
    world.breaks(1);
}

#[test]
fn invariant_1_a_client_whose_place_is_denied_is_found() {
    let mut world = World::whole_run();
    let refused = CallAnswer::Refused { reason: "BOOKING_NOT_FOUND".into() };
    world.call(2, 50_000, CallKind::Status, refused);
    world.breaks(1);
}

#[test]
fn invariant_1_a_booking_that_never_ends_is_found() {
    let mut world = World::whole_run();
    world.events.retain(|event| event.to != S::Cancelled);
    world.states.insert(3, S::Queued);
    world.calls.pop();
    world.breaks(1);
}

#[test]
fn invariant_2_a_later_request_with_an_earlier_place_is_found() {
    let mut world = World::whole_run();
    world.calls[0].start = 900_000;
    world.calls[0].end = 901_000;
    world.breaks(2);
}

#[test]
fn invariant_2_a_claim_past_an_earlier_place_is_found() {
    let mut world = World::whole_run();
    let first = world.events.iter().position(|event| event.to == S::Reserving).unwrap();
    world.events.swap(first, first + 1);
    world.breaks(2);
}

#[test]
fn invariant_3_a_settlement_with_an_old_fence_is_found() {
    let mut world = World::whole_run();
    world.event_of(2, S::Expired).fence = Fence(2);
    world.breaks(3);
}

#[test]
fn invariant_4_a_reservation_that_stays_held_is_found() {
    let world = World::whole_run();
    let mut evidence = world.evidence_at_end();
    evidence.ledger.as_mut().unwrap().entries[1].state = LedgerState::Held;
    world.breaks_with(&evidence, 4);
}

#[test]
fn invariant_4_a_call_for_an_unknown_booking_is_found() {
    let mut world = World::whole_run();
    world.ledger.release(&booking(8).to_string(), "q", "c8");
    world.breaks(4);
}

#[test]
fn invariant_4_a_booking_confirmed_here_and_not_there_is_found() {
    let world = World::whole_run();
    let mut evidence = world.evidence_at_end();
    evidence.ledger.as_mut().unwrap().entries[0].state = LedgerState::Released;
    world.breaks_with(&evidence, 4);
}

#[test]
fn invariant_5_a_payment_after_the_deadline_is_found_in_the_log() {
    let mut world = World::whole_run();
    for to in [S::Confirming, S::Confirmed] {
        world.event_of(1, to).at = Timestamp(EPOCH + 501 + HOLD);
    }
    world.breaks(5);
}

#[test]
fn invariant_5_a_payment_sent_after_the_deadline_is_found_whatever_the_log_says() {
    let mut world = World::whole_run();
    let paid =
        world.calls.iter_mut().find(|call| matches!(call.kind, CallKind::Pay { .. })).unwrap();
    (paid.start, paid.end) = ((600 + HOLD) * 1000, (601 + HOLD) * 1000);
    world.breaks(5);
}

#[test]
fn invariant_5_a_payment_in_time_that_was_refused_as_late_is_found() {
    let mut world = World::whole_run();
    let refused = CallAnswer::Refused { reason: "HOLD_EXPIRED".into() };
    world.call(1, 700_000, pay(1, "card"), refused);
    world.breaks(5);
}

#[test]
fn invariant_5_an_acknowledged_payment_that_expired_is_found() {
    let mut world = World::whole_run();
    world.call(2, 655_000, pay(2, "card"), CallAnswer::Unknown { error: String::new() });
    world.call(2, 645_000, CallKind::Status, CallAnswer::Ok(snapshot(2, S::Reserved)));
    world.call(2, 665_000, pay(2, "card"), CallAnswer::Ok(snapshot(2, S::Confirming)));
    world.breaks(5);
}

#[test]
fn invariant_5_two_acknowledged_payments_for_one_booking_are_found() {
    let mut world = World::whole_run();
    world.call(1, 860_000, pay(1, "other"), CallAnswer::Ok(snapshot(1, S::Confirmed)));
    world.breaks(5);
}

#[test]
fn invariant_5_an_acknowledged_cancellation_that_was_sold_is_found() {
    let mut world = World::whole_run();
    let left = BookingSnapshot { follows: Some(S::Cancelled), ..snapshot(1, S::Reserving) };
    world.call(1, 350_000, CallKind::Cancel { of: booking(1) }, CallAnswer::Ok(left));
    world.breaks(5);
}

#[test]
fn invariant_5_a_confirmation_without_a_payment_is_found() {
    let mut world = World::whole_run();
    world.calls.retain(|call| !matches!(call.kind, CallKind::Pay { .. }));
    world.breaks(5);
}

#[test]
fn invariant_6_more_sold_than_there_was_is_found() {
    let world = World::whole_run();
    let mut evidence = world.evidence_at_end();
    evidence.ledger.as_mut().unwrap().totals.stock = 0;
    world.breaks_with(&evidence, 6);
}

#[test]
fn invariant_7_a_deadline_by_another_clock_is_found() {
    let mut world = World::whole_run();
    world.event_of(2, S::Reserved).deadline = Some(Timestamp(EPOCH + 599 + HOLD));
    world.breaks(7);
}

#[test]
fn invariant_7_a_time_that_goes_back_is_found() {
    let mut world = World::whole_run();
    world.event_of(3, S::Cancelled).at = Timestamp(EPOCH + 5);
    world.breaks(7);
}

#[test]
fn invariant_7_a_deadline_that_moved_is_found() {
    let mut world = World::whole_run();
    let moved =
        BookingSnapshot { deadline_ms: Some(EPOCH + 600 + HOLD), ..snapshot(1, S::Reserved) };
    world.call(1, 700_000, CallKind::Status, CallAnswer::Ok(moved));
    world.breaks(7);
}

#[test]
fn invariant_8_a_booking_that_goes_back_in_its_life_is_found() {
    let mut world = World::whole_run();
    world.call(1, 950_000, CallKind::Status, CallAnswer::Ok(snapshot(1, S::Reserved)));
    world.breaks(8);
}

#[test]
fn invariant_8_a_call_that_was_counted_twice_is_found() {
    let world = World::whole_run();
    let mut evidence = world.evidence_at_end();
    evidence.whole.as_mut().unwrap().totals.confirmed = 2;
    world.breaks_with(&evidence, 8);
}

#[test]
fn invariant_8_a_store_that_contradicts_its_log_is_found() {
    let mut world = World::whole_run();
    world.states.insert(2, S::Cancelled);
    world.breaks(8);
}

#[test]
fn invariant_1_an_older_booking_shown_after_a_newer_was_acknowledged_is_found() {
    let mut world = World::whole_run();
    let newer = BookingSnapshot { request: request(9), ..snapshot(9, S::Queued) };
    let another = CallKind::Enqueue { request: newer.request.clone() };
    world.call(3, 1_000_000, another, CallAnswer::Ok(newer));
    world.call(3, 1_100_000, CallKind::Watch, CallAnswer::Ok(snapshot(3, S::Cancelled)));
    world.breaks(1);
}

#[test]
fn invariant_1_a_repeated_request_refused_by_a_closed_queue_is_found() {
    let mut world = World::whole_run();
    let refused = CallAnswer::Refused { reason: "QUEUE_CLOSED".into() };
    world.call(3, 1_000_000, join(3), refused);
    world.breaks(1);
}

#[test]
fn invariant_2_a_position_that_grows_within_a_watch_is_found_and_none_across_watches() {
    for (start, breaks) in [(20_000, true), (25_000, false)] {
        let mut world = World::whole_run();
        for (start, end, position) in [(20_000, 30_000, 3), (start, 40_000, 5)] {
            let shown = BookingSnapshot { position: Some(position), ..snapshot(3, S::Queued) };
            world.call(3, end, CallKind::Watch, CallAnswer::Ok(shown));
            world.calls.last_mut().unwrap().start = start;
        }
        assert_eq!(world.verify_at_end().violations.count(Violation::MovedPlace) > 0, breaks);
    }
}

#[test]
fn invariant_5_a_hold_that_is_denied_is_found() {
    let mut world = World::whole_run();
    let refused = CallAnswer::Refused { reason: "NOT_RESERVED".into() };
    world.call(1, 700_000, pay(1, "card"), refused);
    world.breaks(5);
}

#[test]
fn invariant_8_a_refusal_without_a_cause_is_found() {
    for (kind, reason) in [
        (CallKind::Status, "INVALID_ARGUMENT"),
        (CallKind::Cancel { of: booking(3) }, "HOLD_EXPIRED"),
        (CallKind::Enqueue { request: RequestId::new("new").unwrap() }, "QUEUE_CLOSED"),
    ] {
        let mut world = World::whole_run();
        world.call(3, 1_000_000, kind, CallAnswer::Refused { reason: reason.into() });
        world.breaks(8);
    }
}

#[test]
fn invariant_5_an_early_final_is_found_unless_another_payment_in_flight_explains_it() {
    let refused = || CallAnswer::Refused { reason: "ALREADY_FINAL".into() };
    let mut world = World::whole_run();
    world.call(1, 800_000, pay(1, "other"), refused());
    assert!(
        world.verify_at_end().violations.is_clean(),
        "the first card won, although its answer came later"
    );

    let mut world = World::whole_run();
    let paid = |call: &&mut RecordedCall| matches!(call.kind, CallKind::Pay { .. });
    world.calls.iter_mut().find(paid).unwrap().answer = refused();
    assert!(world.verify_at_end().violations.count(Violation::BrokenDeadline) > 0);
}
