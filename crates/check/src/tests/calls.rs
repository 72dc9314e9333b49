//! Hand-made runs: a clean one, and for each invariant ways to break it that must be found under
//! its number.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use bookingq_core::{
    Admission, Booking, BookingId, BookingState as S, ClientId, Event, EventSeq, Fence,
    Outcome as Follows, PaymentId, Place, RequestId, Timestamp,
};
use bookingq_crowd::call::{CallAnswer, CallKind, RecordedCall, Shown};
use bookingq_sim::ledger::{Calls, Entry, LedgerCopy, Standing, Totals as Tickets};
use bookingq_store::{Snapshot, Totals};

use crate::{Answers, AuditLog, Evidence, Moment, Violation, Violations};

const EPOCH: u64 = 1_000_000;
const HOLD: u64 = 3_000;

/// All that a run leaves behind. Booking, client and place share their number; each has one
/// request, `r`.
struct World {
    calls: Vec<RecordedCall>,
    events: Vec<Event>,
    bookings: Vec<Booking>,
    ledger: LedgerCopy,
    totals: Totals,
}

fn id(number: u64) -> BookingId {
    BookingId::from_u128(u128::from(number))
}

fn client(number: u64) -> ClientId {
    ClientId::new(&format!("c{number}")).unwrap()
}

fn request() -> RequestId {
    RequestId::new("r").unwrap()
}

fn shown(number: u64, state: S) -> Shown {
    Shown {
        booking: id(number),
        request: request(),
        place: Place::numbered(number),
        state,
        follows: None,
        deadline_ms: None,
        position: None,
        existing: false,
    }
}

fn pay(number: u64, card: &str) -> CallKind {
    CallKind::Pay { of: id(number), payment: PaymentId::new(card).unwrap() }
}

impl World {
    /// Client 1 pays and gets its tickets, 2 forgets to pay, 3 leaves the line.
    fn clean() -> Self {
        let mut world = Self {
            calls: Vec::new(),
            events: Vec::new(),
            bookings: Vec::new(),
            ledger: LedgerCopy::default(),
            totals: Totals {
                enqueued: 3,
                confirmed: 1,
                expired: 1,
                cancelled: 1,
                ..Totals::default()
            },
        };
        for number in 1..=3 {
            let join = CallKind::Enqueue { request: request() };
            world.call(number, number * 10_000, join, CallAnswer::Ok(shown(number, S::Queued)));
            world.event(number, number * 10, None, S::Queued, 0);
        }
        for number in 1..=2 {
            world.event(number, 100, Some(S::Queued), S::Reserving, number);
        }
        for number in 1..=2 {
            world.event(number, 200, Some(S::Reserving), S::Reserved, number);
        }
        let hold = Shown { deadline_ms: Some(EPOCH + 200 + HOLD), ..shown(1, S::Reserved) };
        world.call(1, 300_000, CallKind::Status, CallAnswer::Ok(hold));
        world.event(1, 400, Some(S::Reserved), S::Confirming, 3);
        world.event(1, 450, Some(S::Confirming), S::Confirmed, 3);
        world.call(1, 500_000, pay(1, "card"), CallAnswer::Ok(shown(1, S::Confirmed)));
        world.event(3, 600, Some(S::Queued), S::Cancelled, 0);
        let left = CallAnswer::Ok(shown(3, S::Cancelled));
        world.call(3, 650_000, CallKind::Cancel { of: id(3) }, left);
        world.event(2, 200 + HOLD, Some(S::Reserved), S::Releasing, 2).outcome =
            Some(Follows::Expired);
        world.event(2, 210 + HOLD, Some(S::Releasing), S::Releasing, 4).outcome =
            Some(Follows::Expired);
        world.event(2, 220 + HOLD, Some(S::Releasing), S::Expired, 4);
        world.entry(1, Standing::Confirmed);
        world.entry(2, Standing::Released);
        world.ledger.totals =
            Tickets { stock: 9, available: 8, confirmed: 1, ..Tickets::default() };
        world.stored(1, S::Confirmed).payment = Some(PaymentId::new("card").unwrap());
        world.stored(2, S::Expired);
        world.stored(3, S::Cancelled);
        world
    }

    /// A call that takes 1 ms and ends at `end`, in µs.
    fn call(&mut self, number: u64, end: u64, kind: CallKind, answer: CallAnswer) {
        self.calls.push(RecordedCall {
            client: client(number),
            kind,
            start: end - 1000,
            end,
            answer,
        });
    }

    fn event(&mut self, number: u64, at: u64, from: Option<S>, to: S, fence: u64) -> &mut Event {
        let at = Timestamp(EPOCH + at);
        self.events.push(Event {
            seq: EventSeq::START,
            at,
            client: client(number),
            booking: id(number),
            place: Place::numbered(number),
            from,
            to,
            fence: Fence(fence),
            deadline: (to == S::Reserved).then_some(Timestamp(at.0 + HOLD)),
            outcome: None,
            reason: String::new(),
        });
        self.events.last_mut().unwrap()
    }

    fn stored(&mut self, number: u64, state: S) -> &mut Booking {
        self.bookings.push(Booking {
            client: client(number),
            id: id(number),
            request: request(),
            state,
            place: Place::numbered(number),
            position: None,
            enqueued_at: Timestamp(0),
            reservation: None,
            deadline: None,
            payment: None,
            outcome: None,
            reason: String::new(),
        });
        self.bookings.last_mut().unwrap()
    }

    fn entry(&mut self, number: u64, standing: Standing) {
        self.ledger.entries.push(Entry {
            booking_id: id(number).to_string().into(),
            queue: "faults".into(),
            client_id: client(number).as_str().into(),
            quantity: 1,
            standing,
            reservation_id: Some("name".into()),
            reservations: 1,
            calls: Calls {
                reserve: 1,
                confirm: u64::from(standing == Standing::Confirmed),
                release: 0,
            },
        });
    }

    fn of(&mut self, number: u64, to: S) -> &mut Event {
        self.events.iter_mut().find(|event| event.booking == id(number) && event.to == to).unwrap()
    }

    fn verify(mut self) -> Violations {
        self.calls.sort_by_key(|call| call.end);
        let mut answers = Answers::new(EPOCH, 1);
        self.calls.iter().for_each(|call| answers.observe(call));
        for (index, event) in self.events.iter_mut().enumerate() {
            event.seq = EventSeq::new(1, index as u64, 0);
        }
        let mut log = AuditLog::new(Some(Duration::from_millis(HOLD)));
        log.observe(&self.events);
        let snapshot = Snapshot {
            now: Timestamp(EPOCH),
            epoch: String::new(),
            set_back: false,
            admission: Admission::Open,
            backlog: 0,
            in_flight: 0,
            due: 0,
            holds: 0,
            overdue: 0,
            front: None,
            totals: self.totals,
            swept_at: None,
            outbox: 0,
        };
        let evidence =
            Evidence { bookings: self.bookings, ledger: Some(self.ledger), whole: Some(snapshot) };
        log.verify(&answers, &evidence, Moment::AtRest).violations
    }

    #[track_caller]
    fn breaks(self, invariant: u8) {
        let violations = self.verify();
        let found = violations.invariants().iter().any(|result| {
            result.number == invariant && result.broken > 0 && !result.evidence.is_empty()
        });
        assert!(found, "{invariant} should be broken: {violations:?}");
    }
}

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
    let again = Shown { booking: id(9), ..shown(3, S::Queued) };
    world.call(3, 700_000, CallKind::Enqueue { request: request() }, CallAnswer::Ok(again));
    world.breaks(1);
}

#[test]
fn invariant_1_a_request_that_is_later_answered_with_another_ones_booking_is_found() {
    let mut world = World::clean();
    let other = RequestId::new("of the next booking").unwrap();
    let next = Shown { booking: id(9), request: other, ..shown(3, S::Queued) };
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
    world.ledger.entries[1].standing = Standing::Held;
    world.breaks(4);
}

#[test]
fn invariant_4_a_call_for_an_unknown_booking_is_found() {
    let mut world = World::clean();
    world.entry(8, Standing::Released);
    world.breaks(4);
}

#[test]
fn invariant_4_a_booking_confirmed_here_and_not_there_is_found() {
    let mut world = World::clean();
    world.ledger.entries[0].standing = Standing::Released;
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
    let left = Shown { follows: Some(S::Cancelled), ..shown(1, S::Reserving) };
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
    let moved = Shown { deadline_ms: Some(EPOCH + 300 + HOLD), ..shown(1, S::Reserved) };
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
    let newer = Shown { request: RequestId::new("r2").unwrap(), ..shown(9, S::Queued) };
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
            let shown = Shown { position: Some(position), ..shown(3, S::Queued) };
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
