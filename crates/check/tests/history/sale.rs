//! Sold out items and the rules of a sale: who may be served, who may be sent away, and when.

use std::sync::Arc;

use bookingq_check::{Answers, AuditLog, AuditTerms, Moment, Violation};
use bookingq_core::{
    BookingState as S, EventSeq, ItemChange, OutboxEvent, Outcome, Outflow, Place, Quantity,
    RequestId, SaleRules, SoldOutRule, SoldOutRules, Timestamp,
};
use bookingq_crowd::call::{BookingSnapshot, CallAnswer};
use bookingq_sim::ledger::{Ledger, Ruling};

use crate::log::assert_found;
use crate::world::{EPOCH, HOLD, SOLD, World, booking, client, pay, snapshot};

/// Bookings 1 to `count`, of which the first ones were refused: each the quantity of item A.
fn with_parked(count: u64, quantities: &[i32]) -> World {
    let mut world = World::with_line(count);
    world.rules = Some(SaleRules::default());
    world.closes("A", quantities.iter().copied().min().unwrap());
    for (number, quantity) in (1..).zip(quantities) {
        world.refused(number, "A", *quantity);
    }
    world
}

#[track_caller]
fn assert_clean(world: &World) {
    let violations = world.verify(Moment::InMotion).violations;
    assert!(violations.is_clean(), "{violations:?}");
}

#[track_caller]
fn finds(world: &World, kind: Violation) {
    assert_found(&world.verify(Moment::InMotion), kind);
}

#[test]
fn invariant_2_a_parked_booking_is_passed_over_only_while_its_item_is_closed() {
    let mut world = with_parked(3, &[2]);
    world.go(2, &[S::Reserving]);
    assert_clean(&world);
    world.item("A", ItemChange::Open);
    world.go(3, &[S::Reserving]);
    finds(&world, Violation::DispatchInversion);
}

#[test]
fn invariant_2_a_parked_booking_is_served_in_order_when_only_more_than_it_wants_is_refused() {
    let mut world = with_parked(2, &[1]);
    world.item("A", ItemChange::Open);
    world.closes("A", 2);
    world.go(2, &[S::Reserving]);
    finds(&world, Violation::DispatchInversion);
}

#[test]
fn invariant_2_returned_stock_goes_to_the_smallest_place_that_fits() {
    let mut world = with_parked(3, &[2, 1, 1]);
    world.go(2, &[S::Reserving]);
    assert_clean(&world);
    let mut world = with_parked(3, &[2, 1, 1]);
    world.go(3, &[S::Reserving]);
    finds(&world, Violation::DispatchInversion);
}

#[test]
fn invariant_2_the_line_goes_on_past_a_parked_crowd_and_parks_none_whose_item_is_to_be_had() {
    let parked = || {
        let places = (1..=2).map(Place::numbered).collect();
        ItemChange::Parked { quantity: Quantity::ONE, places }
    };
    let mut world = World::with_line(3);
    world.closes("A", 1);
    world.item("A", parked());
    world.go(3, &SOLD);
    assert_clean(&world);
    world.item("A", ItemChange::Open);
    world.go(2, &[S::Reserving]);
    finds(&world, Violation::DispatchInversion);

    let mut world = World::with_line(3);
    world.item("A", parked());
    finds(&world, Violation::DispatchInversion);
}

#[test]
fn invariant_8_a_booking_goes_back_to_waiting_only_for_a_refused_item() {
    let mut world = World::with_line(1);
    world.go(1, &[S::Reserving, S::Queued]);
    finds(&world, Violation::IllegalTransition);
}

#[test]
fn invariant_9_a_client_is_sent_away_only_when_its_item_has_ended() {
    for (end, rule, kept) in [
        (false, SoldOutRule::Wait, false),
        (true, SoldOutRule::Wait, true),
        (false, SoldOutRule::End, true),
    ] {
        let mut world = with_parked(1, &[1]);
        let items = [("A".into(), rule)].into();
        let sold_out = SoldOutRules { items, ..SoldOutRules::default() };
        world.rules = Some(SaleRules { sold_out, ..SaleRules::default() });
        if end {
            world.item("A", ItemChange::Ended);
        }
        world.go(1, &[S::SoldOut]);
        if kept { assert_clean(&world) } else { finds(&world, Violation::SentAway) }
    }
}

#[test]
fn invariant_9_an_item_that_goes_on_sends_away_no_more_clients() {
    let mut world = with_parked(2, &[2, 2]);
    world.item("A", ItemChange::Ended);
    world.go(1, &[S::SoldOut]);
    world.closes("A", 2);
    assert_clean(&world);
    world.go(2, &[S::SoldOut]);
    finds(&world, Violation::SentAway);
}

#[test]
fn invariant_9_a_reservation_that_comes_back_after_a_client_was_sent_away_is_found() {
    for (end, kept) in [(vec![S::Confirming, S::Confirmed], true), (vec![], false)] {
        let mut world = with_parked(2, &[1, 1]);
        world.go(1, &[S::Reserving, S::Reserved]);
        world.item("A", ItemChange::Ended);
        world.go(2, &[S::SoldOut]);
        world.go(1, &end);
        if kept {
            assert_clean(&world);
        } else {
            world.go(1, &[S::Releasing, S::Releasing, S::Cancelled]);
            finds(&world, Violation::SentAway);
        }
    }
}

#[test]
fn invariant_9_stock_that_is_left_for_a_client_that_was_sent_away_is_found_unless_it_was_a_lie() {
    for (ruling, kept) in [(Ruling::Lie, true), (Ruling::Allow, false)] {
        let mut world = with_parked(2, &[1, 1]);
        world.ledger = Ledger::with_items(0, &[(Arc::from("A"), 2)].into());
        world.item("A", ItemChange::Ended);
        world.go(1, &[S::SoldOut]);
        world.ledger.reserve(&booking(2).to_string(), "q", "c2", "A", 1, ruling);
        world.ledger.release(&booking(2).to_string(), "q", "c2");
        if kept { assert_clean(&world) } else { finds(&world, Violation::SentAway) }
    }
}

/// Bookings 1 and 2 wait; a late Reserve of the second one may have arrived.
fn with_stray() -> World {
    let mut world = World::with_line(2);
    world.rules = Some(SaleRules::default());
    world.go(1, &[S::Reserving]);
    world.go(2, &[S::Reserving, S::Reserving]);
    world.closes("A", 1);
    for number in [1, 2] {
        world.refused(number, "A", 1);
    }
    world
}

#[test]
fn invariant_2_only_a_booking_that_may_have_its_tickets_already_is_asked_out_of_order() {
    let mut world = with_stray();
    world.go(2, &[S::Reserving]);
    assert_clean(&world);
    let mut world = with_parked(2, &[1, 1]);
    world.go(2, &[S::Reserving]);
    finds(&world, Violation::DispatchInversion);
}

#[test]
fn invariant_9_a_client_is_released_as_sold_out_while_no_other_reservation_can_come_back() {
    for (other_holds, kept) in [(false, true), (true, false)] {
        let mut world = with_stray();
        if other_holds {
            world.go(1, &[S::Reserving, S::Reserved]);
        }
        world.go(2, &[S::Reserving]);
        world.event(2, Some(S::Reserving), S::Releasing).outcome = Some(Outcome::SoldOut);
        world.event(2, Some(S::Releasing), S::SoldOut);
        if other_holds {
            world.go(1, &[S::Releasing, S::Cancelled]);
        }
        if kept { assert_clean(&world) } else { finds(&world, Violation::SentAway) }
    }
}

#[test]
fn invariant_9_a_refusal_from_before_a_return_closes_no_item_further() {
    for (returned, kept) in [(false, true), (true, false)] {
        let mut world = World::with_line(4);
        world.rules = Some(SaleRules::default());
        world.go(1, &[S::Reserving]);
        world.go(2, &[S::Reserving]);
        world.closes("A", 2);
        world.refused(1, "A", 2);
        if returned {
            world.go(1, &[S::Releasing, S::Cancelled]);
        }
        world.closes("A", 1);
        world.refused(2, "A", 1);
        let mut events = world.outbox();
        // One call of the store writes both.
        for (number, event) in (0..).zip(events.iter_mut().rev().take(2).rev()) {
            match event {
                OutboxEvent::Booking(event) => event.seq = EventSeq::new(2, 0, number),
                OutboxEvent::Item(event) => event.seq = EventSeq::new(2, 0, number),
            }
        }
        let mut log =
            AuditLog::new(AuditTerms { rules: world.rules.clone(), ..AuditTerms::default() });
        log.observe(&events);
        let found = log.verify(&Answers::new(0, 0), &world.evidence(), Moment::InMotion);
        if kept {
            assert!(found.violations.is_clean(), "{:?}", found.violations);
        } else {
            assert_found(&found, Violation::SentAway);
        }
    }
}

#[test]
fn invariant_10_a_claim_before_the_opening_or_against_the_outflow_is_found() {
    let rules = |opens_at, per_minute, max_holds| {
        let outflow = Outflow { per_minute, burst: None, max_holds };
        Some(SaleRules { opens_at, outflow, ..SaleRules::default() })
    };
    // Three clients join by 300 ms; the third is claimed 200 ms after the first.
    for (rules, pause, kept) in [
        (rules(None, Some(2), None), 0, false),
        (rules(None, Some(2), None), 59_900, true),
        (rules(None, None, Some(2)), 0, false),
        (rules(None, None, Some(3)), 0, true),
        (rules(Some(Timestamp(EPOCH + 301)), None, None), 1, true),
        (rules(Some(Timestamp(EPOCH + 301)), None, None), 0, false),
    ] {
        let mut world = World::with_line(3);
        world.rules = rules;
        let opens = world.rules.as_ref().is_some_and(|rules| rules.opens_at.is_some());
        for number in 1..=3 {
            if number == if opens { 1 } else { 3 } {
                world.now += pause;
            }
            world.go(number, &[S::Reserving]);
        }
        if kept { assert_clean(&world) } else { finds(&world, Violation::UnpacedClaim) }
    }
}

#[test]
fn invariant_10_a_closed_item_that_is_claimed_again_and_again_is_found() {
    for (pause, kept) in [(5000, true), (0, false)] {
        let mut world = with_parked(1, &[1]);
        for _ in 0..10 {
            world.now += pause;
            world.refused(1, "A", 1);
        }
        if kept { assert_clean(&world) } else { finds(&world, Violation::UnpacedClaim) }
    }
}

/// Booking 2 is reacquired for booking 1, which expired, and ends so.
fn reacquired(path: &[S]) -> World {
    let mut world = World::with_line(1);
    world.go(1, &[S::Reserving, S::Reserved]);
    world.now += HOLD;
    for from in [S::Reserved, S::Releasing] {
        world.event(1, Some(from), S::Releasing).outcome = Some(Outcome::Expired);
    }
    world.go(1, &[S::Expired]);
    world.go(2, &[S::Reserving]);
    world.ledger.reserve(&booking(2).to_string(), "q", "c1", "", 1, Ruling::Allow);
    world.go(2, path);
    world.events.iter_mut().for_each(|event| event.client = client(1));
    world.states.remove(&1);
    world
}

/// The answer to a payment of booking 1 that reacquired booking 2.
fn answer(world: &mut World, card: &str, state: S) {
    let request = RequestId::new(&format!("reacquire {}", booking(1))).unwrap();
    let shown = BookingSnapshot { request, ..snapshot(2, state) };
    let end = (world.now + 1000) * 1000;
    world.call(1, end, pay(1, card), CallAnswer::Ok(shown));
}

#[track_caller]
fn verify_reacquired(world: &World) -> bookingq_check::Violations {
    let mut evidence = world.evidence();
    evidence.bookings.iter_mut().for_each(|booking| booking.client = client(1));
    world.verify_with(&evidence, Moment::AtRest).violations
}

#[test]
fn invariant_5_a_late_payment_may_reacquire_one_booking_and_no_more() {
    let mut world = reacquired(&[S::Confirming, S::Confirmed]);
    answer(&mut world, "card", S::Confirmed);
    let violations = verify_reacquired(&world);
    assert!(violations.is_clean(), "{violations:?}");

    answer(&mut world, "other", S::Confirmed);
    assert_eq!(verify_reacquired(&world).count(Violation::BrokenPayment), 1);

    let mut world = reacquired(&[S::Confirming, S::Confirmed]);
    answer(&mut world, "card", S::SoldOut);
    assert!(verify_reacquired(&world).count(Violation::Disagreement) > 0, "the card is returned");
}

#[test]
fn invariant_8_only_an_expired_booking_is_reacquired() {
    let mut world = World::with_line(1);
    world.go(1, &[S::Cancelled]);
    world.event(2, None, S::Reserving).client = client(1);
    assert!(verify_reacquired(&world).count(Violation::IllegalTransition) > 0);
}
