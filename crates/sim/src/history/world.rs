//! A small world to make histories in by hand, for the checker's tests.

#![allow(clippy::unwrap_used)]

use std::collections::HashMap;

use bookingq_core::{
    Booking, BookingId, BookingState as S, ClientId, Event, EventSeq, Fence, Outcome, Place,
    RequestId, Timestamp,
};

use super::{Evidence, History, Moment, Verdict};
use crate::crowd::Acknowledged;
use crate::ledger::{Ledger, Ruling};

/// What is true in a small world: the log, and what everybody else says.
pub(super) struct World {
    pub(super) events: Vec<Event>,
    pub(super) states: HashMap<u64, S>,
    fences: HashMap<u64, u64>,
    claims: u64,
    pub(super) ledger: Ledger,
    pub(super) acknowledged: Vec<Acknowledged>,
}

pub(super) fn client(number: u64) -> ClientId {
    ClientId::new(&format!("c{number}")).unwrap()
}

pub(super) fn booking(number: u64) -> BookingId {
    BookingId::from_u128(u128::from(number))
}

impl World {
    pub(super) fn new() -> Self {
        Self {
            events: Vec::new(),
            states: HashMap::new(),
            fences: HashMap::new(),
            claims: 0,
            ledger: Ledger::new(100),
            acknowledged: Vec::new(),
        }
    }

    /// Bookings 1 to `count` join, each acknowledged. Booking, client, place and request share
    /// their number.
    pub(super) fn with_line(count: u64) -> Self {
        let mut world = Self::new();
        for number in 1..=count {
            world.event(number, None, S::Queued);
            world.acknowledged.push(Acknowledged {
                client: client(number),
                request: RequestId::new(&format!("r{number}")).unwrap(),
                booking: booking(number),
                place: Place::numbered(number),
            });
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

    /// Takes a booking through states, as workers and shop would.
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
            acknowledged: self.acknowledged.clone(),
            bookings: self.states.keys().map(|&number| self.stored(number)).collect(),
            ledger: Some(self.ledger.copy()),
        }
    }

    pub(super) fn history(&self) -> History {
        let mut history = History::new();
        history.observe(&self.events);
        history
    }

    pub(super) fn judge(&self, moment: Moment) -> Verdict {
        self.history().judge(&self.evidence(), moment)
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
