//! Hand-made audit logs: a clean one, and one for each rule that can be broken.

use std::sync::Arc;

use bookingq_check::{AuditLog, Evidence, Moment, Verification, Violation};
use bookingq_core::{BookingState as S, Fence, ItemChange, Outcome, Place};
use bookingq_sim::ledger::{Overlap, Ruling};
use proptest::prelude::*;

use crate::world::{SOLD, World, acknowledged, booking, client};

#[track_caller]
pub fn assert_found(verification: &Verification, kind: Violation) {
    let found: Vec<_> = verification.violations.iter().collect();
    assert_eq!(found.len(), 1, "only {kind:?} should be found: {found:?}");
    assert_eq!(verification.violations.count(kind), 1, "{found:?}");
    assert!(!verification.violations.examples(kind)[0].is_empty());
}

#[test]
fn a_clean_history_is_clean_and_its_numbers_add_up() {
    let verification = World::eventful().verify(Moment::AtRest);
    assert!(verification.violations.is_clean(), "{:?}", verification.violations);
    let tallies = verification.tallies;
    assert_eq!((tallies.enqueued, tallies.waiting, tallies.in_progress), (6, 1, 1));
    assert_eq!(
        (tallies.finals.confirmed, tallies.finals.cancelled, tallies.finals.sold_out),
        (1, 2, 1)
    );
    assert_eq!(verification.ledger.unwrap().confirmed, 1);
    assert_eq!(verification.timings.confirm.count, 1);
    assert!(
        (verification.timings.reserve.p50 - 100.0).abs() < 2.0,
        "{:?}",
        verification.timings.reserve
    );
}

#[test]
fn the_verification_serializes_as_in_the_report() {
    let json = serde_json::to_value(World::eventful().verify(Moment::AtRest)).unwrap();
    assert_eq!(json["final"]["confirmed"], 1);
    assert_eq!(json["waiting"], 1);
    assert_eq!(json["violations"]["dispatch_inversions"], 0);
    assert_eq!(json["violations"].as_object().unwrap().len(), Violation::all().count());
}

#[test]
fn pieces_of_the_log_may_overlap() {
    let world = World::eventful();
    let mut log = AuditLog::default();
    let events = world.outbox();
    for start in 0..events.len() {
        log.observe(&events[start.saturating_sub(3)..=start]);
    }
    let verification = log.verify(&world.answers(), &world.evidence(), Moment::AtRest);
    assert!(verification.violations.is_clean(), "{:?}", verification.violations);
    assert_eq!(verification.timings, world.verify(Moment::AtRest).timings);
}

#[test]
fn an_acknowledged_booking_without_a_trace_is_lost() {
    let mut world = World::eventful();
    world.events.retain(|event| event.booking != booking(6));
    world.states.remove(&6);
    assert_found(&world.verify(Moment::InMotion), Violation::Lost);
}

#[test]
fn a_booking_that_the_store_lost_on_its_way_is_lost() {
    let mut world = World::eventful();
    world.states.remove(&6);
    assert_found(&world.verify(Moment::InMotion), Violation::Lost);
}

#[test]
fn an_older_booking_that_ended_is_not_lost_although_the_store_shows_the_newer() {
    let mut world = World::eventful();
    world.states.remove(&3);
    let again = world.event(7, None, S::Queued);
    again.client = client(3);
    let mut evidence = world.evidence();
    evidence.bookings.iter_mut().filter(|b| b.id == booking(7)).for_each(|b| b.client = client(3));
    let verification = world.verify_with(&evidence, Moment::AtRest);
    assert!(verification.violations.is_clean(), "{:?}", verification.violations);
    assert_eq!((verification.tallies.enqueued, verification.tallies.finals.cancelled), (7, 2));
}

#[test]
fn a_client_with_two_active_bookings_is_duplicated() {
    let mut world = World::eventful();
    world.event(7, None, S::Queued).client = client(6);
    let mut evidence = world.evidence();
    evidence.bookings.iter_mut().filter(|b| b.id == booking(7)).for_each(|b| b.client = client(6));
    assert_found(&world.verify_with(&evidence, Moment::AtRest), Violation::Duplicated);
}

#[test]
fn a_request_acknowledged_as_two_bookings_is_duplicated() {
    let mut world = World::eventful();
    world.calls.push(acknowledged(1, 9));
    let verification = world.verify(Moment::AtRest);
    assert_eq!(verification.violations.count(Violation::Duplicated), 1);
}

#[test]
fn a_place_claimed_before_an_earlier_one_is_an_inversion() {
    let mut world = World::with_line(3);
    world.go(2, &SOLD);
    assert_found(&world.verify(Moment::AtRest), Violation::DispatchInversion);
}

#[test]
fn an_earlier_place_that_left_or_is_being_retried_does_not_stand_in_the_way() {
    let mut world = World::with_line(4);
    world.go(1, &[S::Reserving]);
    world.go(2, &[S::Cancelled]);
    world.go(3, &SOLD);
    world.go(1, &[S::Reserving, S::Reserved]);
    assert!(world.verify(Moment::AtRest).violations.is_clean());
}

#[test]
fn a_client_that_holds_two_reservations_is_a_double_reservation() {
    let world = World::eventful();
    let mut evidence = world.evidence();
    let overlap =
        Overlap { queue: Arc::from("q"), client_id: Arc::from("c1"), booking_id: Arc::from("b") };
    evidence.ledger.as_mut().unwrap().overlaps.push(overlap);
    assert_found(&world.verify_with(&evidence, Moment::AtRest), Violation::DoubleReservation);
}

#[test]
fn a_booking_reserved_twice_is_a_double_reservation() {
    let world = World::eventful();
    let mut evidence = world.evidence();
    evidence.ledger.as_mut().unwrap().entries[0].reservations = 2;
    assert_found(&world.verify_with(&evidence, Moment::AtRest), Violation::DoubleReservation);
}

#[test]
fn tickets_held_for_a_booking_that_ended_are_an_orphan_at_any_moment() {
    for moment in [Moment::AtRest, Moment::InMotion] {
        let mut world = World::eventful();
        world.ledger.reserve(&booking(4).to_string(), "q", "c4", "", 1, Ruling::Allow);
        assert_found(&world.verify(moment), Violation::Orphan);
    }
}

#[test]
fn tickets_held_for_no_booking_are_an_orphan_only_at_rest() {
    let mut world = World::eventful();
    world.ledger.reserve(&booking(99).to_string(), "q", "c99", "", 1, Ruling::Allow);
    assert!(
        world.verify(Moment::InMotion).violations.is_clean(),
        "it may have joined a moment ago"
    );
    assert_found(&world.verify(Moment::AtRest), Violation::Orphan);
}

#[test]
fn a_confirmed_booking_without_tickets_is_an_orphan() {
    let mut world = World::with_line(1);
    world.go(1, &[S::Reserving, S::Reserved, S::Confirming]);
    world.event(1, Some(S::Confirming), S::Confirmed);
    world.ledger.release(&booking(1).to_string(), "q", "c1");
    assert_found(&world.verify(Moment::InMotion), Violation::Orphan);
}

#[test]
fn a_hold_that_the_booking_service_never_made_is_an_orphan_at_any_moment() {
    for moment in [Moment::AtRest, Moment::InMotion] {
        let mut world = World::with_line(1);
        world.event(1, Some(S::Queued), S::Reserving);
        world.event(1, Some(S::Reserving), S::Reserved);
        assert_found(&world.verify(moment), Violation::Orphan);
    }
}

#[test]
fn work_in_progress_is_no_orphan_while_things_move() {
    let mut world = World::with_line(3);
    for number in 1..=3 {
        world.ledger.reserve(
            &booking(number).to_string(),
            "q",
            client(number).as_str(),
            "",
            1,
            Ruling::Allow,
        );
        world.event(number, Some(S::Queued), S::Reserving);
    }
    world.go(1, &[S::Reserved, S::Confirming]);
    world.ledger.confirm(&booking(1).to_string(), Ruling::Allow);
    world.go(2, &[S::Releasing]);
    world.ledger.release(&booking(2).to_string(), "q", "c2");
    let verification = world.verify(Moment::InMotion);
    assert!(verification.violations.is_clean(), "{:?}", verification.violations);
    assert!(!world.verify(Moment::AtRest).violations.is_clean(), "at rest nothing is in progress");
}

#[test]
fn more_sold_than_there_is_is_oversold() {
    let world = World::eventful();
    let mut evidence = world.evidence();
    evidence.ledger.as_mut().unwrap().totals.stock = 1;
    assert_found(&world.verify_with(&evidence, Moment::AtRest), Violation::Oversold);
    let mut evidence = world.evidence();
    evidence.ledger.as_mut().unwrap().items.get_mut("").unwrap().stock = 1;
    assert_found(&world.verify_with(&evidence, Moment::AtRest), Violation::Oversold);
}

#[test]
fn a_state_that_may_not_follow_is_illegal() {
    let mut world = World::with_line(1);
    world.event(1, Some(S::Queued), S::Reserved);
    world.ledger.reserve(&booking(1).to_string(), "q", "c1", "", 1, Ruling::Allow);
    assert_found(&world.verify(Moment::AtRest), Violation::IllegalTransition);
}

#[test]
fn leaving_a_state_it_was_not_in_is_illegal() {
    let mut world = World::with_line(1);
    world.go(1, &[S::Reserving, S::Reserving]);
    world.go(1, &[S::Rejected]);
    world.events.remove(1);
    assert!(world.verify(Moment::AtRest).violations.count(Violation::IllegalTransition) > 0);
}

#[test]
fn a_release_that_ends_otherwise_than_announced_is_illegal() {
    let mut world = World::with_line(1);
    world.go(1, &[S::Reserving, S::Reserved, S::Releasing, S::Releasing, S::Failed]);
    assert_found(&world.verify(Moment::AtRest), Violation::IllegalTransition);
}

#[test]
fn a_task_settled_with_an_old_fence_is_stale() {
    let mut world = World::with_line(1);
    world.go(1, &[S::Reserving, S::Reserving]);
    world.event(1, Some(S::Reserving), S::Releasing).fence = Fence(1);
    assert_found(&world.verify(Moment::InMotion), Violation::StaleSettle);
}

#[test]
fn a_refusal_without_a_release_is_an_orphan_if_a_late_reserve_may_arrive() {
    for end in [S::SoldOut, S::Rejected] {
        let mut world = World::with_line(1);
        world.closes("", 1);
        world.item("", ItemChange::Ended);
        world.go(1, &[S::Reserving, S::Reserving, end]);
        assert_found(&world.verify(Moment::AtRest), Violation::Orphan);
    }
}

#[test]
fn a_task_claimed_again_without_a_higher_fence_is_stale() {
    let mut world = World::with_line(1);
    world.go(1, &[S::Reserving]);
    world.event(1, Some(S::Reserving), S::Reserving).fence = Fence(1);
    assert_found(&world.verify(Moment::InMotion), Violation::StaleSettle);
}

#[test]
fn a_payment_at_the_deadline_or_an_expiry_before_it_breaks_the_deadline() {
    let mut paid_late = World::with_line(1);
    paid_late.go(1, &[S::Reserving, S::Reserved]);
    let deadline = paid_late.events.last().unwrap().deadline.unwrap();
    paid_late.event(1, Some(S::Reserved), S::Confirming).at = deadline;
    assert_found(&paid_late.verify(Moment::InMotion), Violation::BrokenDeadline);

    let mut expired_early = World::with_line(1);
    expired_early.go(1, &[S::Reserving, S::Reserved]);
    expired_early.event(1, Some(S::Reserved), S::Releasing).outcome = Some(Outcome::Expired);
    assert_found(&expired_early.verify(Moment::InMotion), Violation::BrokenDeadline);
}

#[test]
fn a_new_place_before_an_older_one_is_unordered() {
    let mut world = World::with_line(2);
    world.event(3, None, S::Queued).place = Place::numbered(1);
    let mut evidence = world.evidence();
    evidence
        .bookings
        .iter_mut()
        .filter(|b| b.id == booking(3))
        .for_each(|b| b.place = Place::numbered(1));
    assert_found(&world.verify_with(&evidence, Moment::AtRest), Violation::UnorderedPlace);
}

#[test]
fn a_store_that_contradicts_its_log_disagrees() {
    let mut world = World::eventful();
    world.states.insert(6, S::Cancelled);
    assert_found(&world.verify(Moment::InMotion), Violation::Disagreement);
    world.states.insert(6, S::Reserving);
    assert!(world.verify(Moment::InMotion).violations.is_clean());
    assert_found(&world.verify(Moment::AtRest), Violation::Disagreement);
}

#[test]
fn a_gap_hides_violations_and_the_verification_counts_it() {
    let world = World::eventful();
    let mut log = AuditLog::default();
    let events = world.outbox();
    log.observe(&events[..2]);
    log.record_gap();
    log.observe(&events[9..]);
    let verification = log.verify(&world.answers(), &world.evidence(), Moment::AtRest);
    assert!(verification.violations.is_clean(), "{:?}", verification.violations);
    assert_eq!((verification.gaps, verification.tallies.enqueued), (1, 6));
}

#[test]
fn a_sale_of_which_the_log_has_kept_nothing_is_no_orphan() {
    let mut world = World::new();
    world.ledger.reserve(&booking(9).to_string(), "q", "c9", "", 1, Ruling::Allow);
    assert_eq!(world.verify(Moment::AtRest).violations.count(Violation::Orphan), 1);
    let mut log = world.log();
    log.record_gap();
    let verification = log.verify(&world.answers(), &world.evidence(), Moment::AtRest);
    assert!(verification.violations.is_clean());
}

#[test]
fn without_a_ledger_only_the_rest_is_verified() {
    let mut world = World::eventful();
    world.ledger.reserve("b", "q", "c", "", 200, Ruling::Allow);
    let evidence = Evidence { ledger: None, ..world.evidence() };
    let verification = world.verify_with(&evidence, Moment::AtRest);
    assert!(verification.violations.is_clean());
    assert_eq!(verification.ledger, None);
}

#[test]
fn at_most_twenty_examples_are_kept_of_each_kind() {
    let mut world = World::with_line(60);
    for number in (2..=60).rev() {
        world.go(number, &[S::Reserving]);
    }
    let verification = world.verify(Moment::InMotion);
    assert_eq!(verification.violations.count(Violation::DispatchInversion), 59);
    assert_eq!(verification.violations.examples(Violation::DispatchInversion).len(), 20);
}

proptest! {
    /// Any order of legal steps, with the line served from its front, is clean at every moment.
    #[test]
    fn legal_histories_are_clean(
        choices in prop::collection::vec((1u64..12, any::<prop::sample::Index>()), 0..200),
    ) {
        let mut world = World::with_line(11);
        world.closes("A", 1);
        for (number, choice) in choices {
            let state = world.states[&number];
            let first = (1..12).find(|n| world.states[n] == S::Queued);
            let next: Vec<S> = state
                .successors()
                .iter()
                .copied()
                .filter(|&to| to != S::Reserving || first == Some(number))
                .filter(|&to| state != S::Releasing || to == S::Cancelled)
                .filter(|&to| (state, to) != (S::Reserving, S::Confirming))
                .filter(|&to| {
                    let is_refused = matches!(to, S::SoldOut | S::Rejected);
                    !(is_refused && world.strays.contains(&number))
                })
                .chain(state.is_leased().then_some(state))
                .collect();
            match next.get(choice.index(next.len().max(1))) {
                Some(S::Queued) => world.refused(number, "A", 1),
                Some(&to) => world.go(number, &[to]),
                None => {}
            }
        }
        let verification = world.verify(Moment::InMotion);
        prop_assert!(verification.violations.is_clean(), "{:?}", verification.violations);
        prop_assert_eq!(verification.tallies.enqueued, 11);
    }
}
