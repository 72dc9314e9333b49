//! A small world to make histories in by hand, for the checker's tests.

#![allow(clippy::unwrap_used)]

use std::collections::HashMap;

use bookingq_core::{
    Booking, BookingId, BookingState as S, ClientId, Event, EventSeq, Fence, Outcome, Place,
    RequestId, Timestamp,
};

use bookingq_crowd::call::{BookingSnapshot, CallAnswer, CallKind, RecordedCall};
use bookingq_sim::ledger::{Ledger, Ruling};

use crate::{Answers, AuditLog, Evidence, Moment, Verification};

/// What is true in a small world: the log, and what everybody else says.
pub(super) struct World {
    pub(super) events: Vec<Event>,
    pub(super) states: HashMap<u64, S>,
    fences: HashMap<u64, u64>,
    claims: u64,
    pub(super) ledger: Ledger,
    pub(super) calls: Vec<RecordedCall>,
}

pub(super) fn client(number: u64) -> ClientId {
    ClientId::new(&format!("c{number}")).unwrap()
}

pub(super) fn booking(number: u64) -> BookingId {
    BookingId::from_u128(u128::from(number))
}

/// The Enqueue of a client, acknowledged with a booking.
pub(super) fn acknowledged(number: u64, got: u64) -> RecordedCall {
    let request = RequestId::new(&format!("r{number}")).unwrap();
    let shown = BookingSnapshot {
        booking: booking(got),
        request: request.clone(),
        place: Place::numbered(got),
        state: S::Queued,
        follows: None,
        deadline_ms: None,
        position: None,
        existing: false,
    };
    RecordedCall {
        client: client(number),
        kind: CallKind::Enqueue { request },
        start: 10 * got,
        end: 10 * got + 1,
        answer: CallAnswer::Ok(shown),
    }
}

impl World {
    pub(super) fn new() -> Self {
        Self {
            events: Vec::new(),
            states: HashMap::new(),
            fences: HashMap::new(),
            claims: 0,
            ledger: Ledger::new(100),
            calls: Vec::new(),
        }
    }

    /// Bookings 1 to `count` join, each acknowledged. Booking, client, place and request share
    /// their number.
    pub(super) fn with_line(count: u64) -> Self {
        let mut world = Self::new();
        for number in 1..=count {
            world.event(number, None, S::Queued);
            world.calls.push(acknowledged(number, number));
        }
        world
    }

    /// Appends one event; 100 ms pass before it.
    pub(super) fn event(&mut self, number: u64, from: Option<S>, to: S) -> &mut Event {
        let at = Timestamp(1000 + self.events.len() as u64 * 100);
        if from == Some(to) || matches!(to, S::Reserving | S::Confirming) {
            self.claims += 1;
            self.fences.insert(number, self.claims);
        }
        self.states.insert(number, to);
        self.events.push(Event {
            seq: EventSeq::new(at.0, 0, 0),
            at,
            client: client(number),
            booking: booking(number),
            place: Place::numbered(number),
            from,
            to,
            fence: Fence(self.fences.get(&number).copied().unwrap_or(0)),
            deadline: (to == S::Reserved).then(|| Timestamp(at.0 + 10_000)),
            outcome: (to == S::Releasing).then_some(Outcome::Cancelled),
            reason: String::new(),
        });
        self.events.last_mut().unwrap()
    }

    /// Takes a booking through states, as workers and the Booking Service would.
    pub(super) fn go(&mut self, number: u64, path: &[S]) {
        for &to in path {
            let from = self.states.get(&number).copied();
            self.event(number, from, to);
            let id = booking(number).to_string();
            let who = client(number);
            match to {
                S::Reserved => {
                    self.ledger.reserve(&id, "q", who.as_str(), 1, Ruling::Allow);
                }
                S::Confirmed => {
                    self.ledger.confirm(&id, Ruling::Allow);
                }
                S::Cancelled | S::Expired | S::Failed => {
                    self.ledger.release(&id, "q", who.as_str());
                }
                _ => {}
            }
        }
    }

    pub(super) fn stored(&self, number: u64) -> Booking {
        Booking {
            client: client(number),
            id: booking(number),
            request: RequestId::new(&format!("r{number}")).unwrap(),
            state: self.states[&number],
            place: Place::numbered(number),
            position: None,
            enqueued_at: Timestamp(0),
            reservation: None,
            deadline: None,
            payment: None,
            outcome: None,
            reason: String::new(),
        }
    }

    pub(super) fn evidence(&self) -> Evidence {
        Evidence {
            bookings: self.states.keys().map(|&number| self.stored(number)).collect(),
            ledger: Some(self.ledger.copy()),
            whole: None,
        }
    }

    pub(super) fn log(&self) -> AuditLog {
        let mut log = AuditLog::default();
        log.observe(&self.events);
        log
    }

    pub(super) fn answers(&self) -> Answers {
        let mut answers = Answers::new(0, 0);
        self.calls.iter().for_each(|call| answers.observe(call));
        answers
    }

    pub(super) fn verify(&self, moment: Moment) -> Verification {
        self.verify_with(&self.evidence(), moment)
    }

    pub(super) fn verify_with(&self, evidence: &Evidence, moment: Moment) -> Verification {
        self.log().verify(&self.answers(), evidence, moment)
    }
}

pub(super) const SOLD: [S; 4] = [S::Reserving, S::Reserved, S::Confirming, S::Confirmed];

/// Everything that may happen, to six clients.
pub(super) fn eventful() -> World {
    let mut world = World::with_line(6);
    world.go(1, &SOLD);
    world.go(2, &[S::Reserving, S::Reserved, S::Releasing, S::Releasing, S::Cancelled]);
    world.go(3, &[S::Cancelled]);
    world.go(4, &[S::Reserving, S::Reserving, S::SoldOut]);
    world.go(5, &[S::Reserving, S::Reserved]);
    world
}
