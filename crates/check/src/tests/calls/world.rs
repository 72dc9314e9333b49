//! What a run leaves behind, made by hand: a clean one, to be broken by the tests.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use bookingq_core::{
    Admission, Booking, BookingId, BookingState as S, ClientId, Event, EventSeq, Fence,
    Outcome as Follows, PaymentId, Place, RequestId, Timestamp,
};
use bookingq_crowd::call::{BookingSnapshot, CallAnswer, CallKind, RecordedCall};
use bookingq_sim::ledger::{
    LedgerCalls, LedgerCopy, LedgerEntry, LedgerState, LedgerTotals as Tickets,
};
use bookingq_store::{Snapshot, Totals};

use crate::{Answers, AuditLog, Evidence, Moment, Violations};

pub(super) const EPOCH: u64 = 1_000_000;
pub(super) const HOLD: u64 = 3_000;

/// All that a run leaves behind. Booking, client and place share their number; each has one
/// request, `r`.
pub(super) struct World {
    pub(super) calls: Vec<RecordedCall>,
    pub(super) events: Vec<Event>,
    pub(super) bookings: Vec<Booking>,
    pub(super) ledger: LedgerCopy,
    pub(super) totals: Totals,
}

pub(super) fn id(number: u64) -> BookingId {
    BookingId::from_u128(u128::from(number))
}

pub(super) fn client(number: u64) -> ClientId {
    ClientId::new(&format!("c{number}")).unwrap()
}

pub(super) fn request() -> RequestId {
    RequestId::new("r").unwrap()
}

pub(super) fn shown(number: u64, state: S) -> BookingSnapshot {
    BookingSnapshot {
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

pub(super) fn pay(number: u64, card: &str) -> CallKind {
    CallKind::Pay { of: id(number), payment: PaymentId::new(card).unwrap() }
}

impl World {
    /// Client 1 pays and gets its tickets, 2 forgets to pay, 3 leaves the line.
    pub(super) fn clean() -> Self {
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
        let hold =
            BookingSnapshot { deadline_ms: Some(EPOCH + 200 + HOLD), ..shown(1, S::Reserved) };
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
        world.entry(1, LedgerState::Confirmed);
        world.entry(2, LedgerState::Released);
        world.ledger.totals =
            Tickets { stock: 9, available: 8, confirmed: 1, ..Tickets::default() };
        world.stored(1, S::Confirmed).payment = Some(PaymentId::new("card").unwrap());
        world.stored(2, S::Expired);
        world.stored(3, S::Cancelled);
        world
    }

    /// A call that takes 1 ms and ends at `end`, in µs.
    pub(super) fn call(&mut self, number: u64, end: u64, kind: CallKind, answer: CallAnswer) {
        self.calls.push(RecordedCall {
            client: client(number),
            kind,
            start: end - 1000,
            end,
            answer,
        });
    }

    pub(super) fn event(
        &mut self,
        number: u64,
        at: u64,
        from: Option<S>,
        to: S,
        fence: u64,
    ) -> &mut Event {
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

    pub(super) fn stored(&mut self, number: u64, state: S) -> &mut Booking {
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

    pub(super) fn entry(&mut self, number: u64, state: LedgerState) {
        self.ledger.entries.push(LedgerEntry {
            booking_id: id(number).to_string().into(),
            queue: "faults".into(),
            client_id: client(number).as_str().into(),
            quantity: 1,
            state,
            reservation_id: Some("name".into()),
            reservations: 1,
            calls: LedgerCalls {
                reserve: 1,
                confirm: u64::from(state == LedgerState::Confirmed),
                release: 0,
            },
        });
    }

    pub(super) fn of(&mut self, number: u64, to: S) -> &mut Event {
        self.events.iter_mut().find(|event| event.booking == id(number) && event.to == to).unwrap()
    }

    pub(super) fn verify(mut self) -> Violations {
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
    pub(super) fn breaks(self, invariant: u8) {
        let violations = self.verify();
        let found = violations.invariants().iter().any(|result| {
            result.number == invariant && result.broken > 0 && !result.evidence.is_empty()
        });
        assert!(found, "{invariant} should be broken: {violations:?}");
    }
}
