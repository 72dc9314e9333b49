//! A small world to make histories in by hand.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use bookingq_check::{Answers, AuditLog, AuditTerms, Evidence, Moment, Verification};
use bookingq_core::{
    Admission, Booking, BookingId, BookingState as S, ClientId, Event, EventSeq, Fence, ItemChange,
    ItemEvent, OutboxEvent, Outcome, Parked, PaymentId, Place, Quantity, RequestId, SaleRules,
    Timestamp,
};
use bookingq_crowd::call::{BookingSnapshot, CallAnswer, CallKind, RecordedCall};
use bookingq_sim::ledger::{Ledger, Ruling};
use bookingq_store::{Snapshot, Totals};

/// Milliseconds since 1970 at which a history begins.
pub const EPOCH: u64 = 1_000_000;
/// Milliseconds of a hold.
pub const HOLD: u64 = 10_000;

/// A history with its evidence. Booking, client, place and request share their number.
pub struct World {
    pub calls: Vec<RecordedCall>,
    pub events: Vec<Event>,
    /// Changes of items, each before the event with its index.
    pub items: Vec<(usize, ItemEvent)>,
    pub rules: Option<SaleRules>,
    /// The bookings of the store.
    pub states: BTreeMap<u64, S>,
    pub ledger: Ledger,
    /// Time of the next event, in milliseconds after the epoch.
    pub now: u64,
    /// Bookings of which a late Reserve may arrive.
    pub strays: BTreeSet<u64>,
    /// When the last fault ended, in µs after the epoch.
    pub healed: Option<u64>,
    fences: HashMap<u64, u64>,
    claims: u64,
}

pub fn client(number: u64) -> ClientId {
    ClientId::new(&format!("c{number}")).unwrap()
}

pub fn booking(number: u64) -> BookingId {
    BookingId::from_u128(u128::from(number))
}

pub fn request(number: u64) -> RequestId {
    RequestId::new(&format!("r{number}")).unwrap()
}

pub fn payment(card: &str) -> PaymentId {
    PaymentId::new(card).unwrap()
}

pub fn snapshot(number: u64, state: S) -> BookingSnapshot {
    BookingSnapshot {
        booking: booking(number),
        request: request(number),
        place: Place::numbered(number),
        state,
        follows: None,
        deadline_ms: None,
        parked: false,
        position: None,
        existing: false,
        version: None,
    }
}

pub fn join(number: u64) -> CallKind {
    CallKind::Enqueue { request: request(number) }
}

pub fn pay(number: u64, card: &str) -> CallKind {
    CallKind::Pay { of: booking(number), payment: payment(card), reacquire: false }
}

/// The Enqueue of a client, acknowledged with a booking.
pub fn acknowledged(number: u64, got: u64) -> RecordedCall {
    let booking = BookingSnapshot { request: request(number), ..snapshot(got, S::Queued) };
    let (client, kind, answer) = (client(number), join(number), CallAnswer::Ok(booking));
    RecordedCall { client, kind, start: 10 * got, end: 10 * got + 1, answer }
}

pub const SOLD: [S; 4] = [S::Reserving, S::Reserved, S::Confirming, S::Confirmed];

impl World {
    pub fn new() -> Self {
        Self {
            calls: Vec::new(),
            events: Vec::new(),
            items: Vec::new(),
            rules: None,
            states: BTreeMap::new(),
            ledger: Ledger::new(100),
            now: 0,
            strays: BTreeSet::new(),
            healed: None,
            fences: HashMap::new(),
            claims: 0,
        }
    }

    /// Bookings 1 to `count` join, each acknowledged.
    pub fn with_line(count: u64) -> Self {
        let mut world = Self::new();
        for number in 1..=count {
            world.event(number, None, S::Queued);
            world.calls.push(acknowledged(number, number));
        }
        world
    }

    /// Six clients with all kinds of outcomes.
    pub fn eventful() -> Self {
        let mut world = Self::with_line(6);
        world.closes("", 2);
        world.item("", ItemChange::Ended);
        world.go(1, &SOLD);
        world.go(2, &[S::Reserving, S::Reserved, S::Releasing, S::Releasing, S::Cancelled]);
        world.go(3, &[S::Cancelled]);
        world.go(4, &[S::Reserving, S::Reserving]);
        world.event(4, Some(S::Reserving), S::Releasing).outcome = Some(Outcome::SoldOut);
        world.go(4, &[S::Releasing, S::SoldOut]);
        world.events.iter_mut().rev().nth(1).unwrap().outcome = Some(Outcome::SoldOut);
        world.go(5, &[S::Reserving, S::Reserved]);
        world
    }

    /// A whole run: client 1 pays and gets its tickets, 2 never pays, 3 leaves the line.
    pub fn whole_run() -> Self {
        let mut world = Self::with_line(3);
        for (number, state) in [(1, S::Reserving), (2, S::Reserving), (1, S::Reserved)] {
            world.go(number, &[state]);
        }
        let deadline_ms = world.events.last().unwrap().deadline.map(|deadline| deadline.0);
        world.go(2, &[S::Reserved]);
        let held = BookingSnapshot { deadline_ms, ..snapshot(1, S::Reserved) };
        world.call(1, 650_000, CallKind::Status, CallAnswer::Ok(held));
        world.go(1, &[S::Confirming, S::Confirmed]);
        world.call(1, 850_000, pay(1, "card"), CallAnswer::Ok(snapshot(1, S::Confirmed)));
        world.go(3, &[S::Cancelled]);
        let left = CallAnswer::Ok(snapshot(3, S::Cancelled));
        world.call(3, 950_000, CallKind::Cancel { of: booking(3) }, left);
        world.now = 1000 + HOLD;
        for state in [S::Releasing, S::Releasing, S::Expired] {
            world.go(2, &[state]);
            if state == S::Releasing {
                world.events.last_mut().unwrap().outcome = Some(Outcome::Expired);
            }
        }
        world
    }

    /// A call that takes 1 ms and ends at `end`, in µs after the epoch.
    pub fn call(&mut self, number: u64, end: u64, kind: CallKind, answer: CallAnswer) {
        self.calls.push(RecordedCall {
            client: client(number),
            kind,
            start: end - 1000,
            end,
            answer,
        });
    }

    /// Appends one event; 100 ms pass after it.
    pub fn event(&mut self, number: u64, from: Option<S>, to: S) -> &mut Event {
        let at = Timestamp(EPOCH + self.now);
        self.now += 100;
        let claimed = to == S::Reserving || from == Some(S::Reserved) && to == S::Confirming;
        if from == Some(to) || claimed {
            self.claims += 1;
            self.fences.insert(number, self.claims);
        }
        if (from, to) == (Some(S::Reserving), S::Reserving) {
            self.strays.insert(number);
        }
        self.states.insert(number, to);
        self.events.push(Event {
            seq: EventSeq::START,
            at,
            client: client(number),
            booking: booking(number),
            place: Place::numbered(number),
            from,
            to,
            fence: Fence(self.fences.get(&number).copied().unwrap_or(0)),
            deadline: (to == S::Reserved).then_some(Timestamp(at.0 + HOLD)),
            outcome: (to == S::Releasing).then_some(Outcome::Cancelled),
            reason: String::new(),
            parked: None,
        });
        self.events.last_mut().unwrap()
    }

    /// Appends a change of an item.
    pub fn item(&mut self, item: &str, change: ItemChange) {
        let (seq, at) = (EventSeq::START, Timestamp(EPOCH + self.now));
        self.items.push((self.events.len(), ItemEvent { seq, at, item: item.into(), change }));
    }

    /// An item is sold out at the moment for this quantity.
    pub fn closes(&mut self, item: &str, quantity: i32) {
        self.item(item, ItemChange::SoldOut { quantity: Quantity::new(quantity).unwrap() });
    }

    /// A worker asks for a booking, and the Booking Service refuses it at the moment.
    pub fn refused(&mut self, number: u64, item: &str, quantity: i32) {
        if self.states[&number] == S::Queued {
            self.event(number, Some(S::Queued), S::Reserving);
        }
        let parked = Some(Parked { item: item.into(), quantity: Quantity::new(quantity).unwrap() });
        self.event(number, Some(S::Reserving), S::Queued).parked = parked;
    }

    /// The event that took a booking to a state.
    pub fn event_of(&mut self, number: u64, to: S) -> &mut Event {
        let mut events = self.events.iter_mut();
        events.find(|event| event.booking == booking(number) && event.to == to).unwrap()
    }

    /// Takes a booking through states, as workers and the Booking Service would.
    pub fn go(&mut self, number: u64, path: &[S]) {
        for &to in path {
            let from = self.states.get(&number).copied();
            self.event(number, from, to);
            let (id, client) = (booking(number).to_string(), client(number));
            match to {
                S::Reserved => {
                    self.ledger.reserve(&id, "q", client.as_str(), "", 1, Ruling::Allow);
                }
                S::Confirmed => {
                    self.ledger.confirm(&id, Ruling::Allow);
                }
                S::Cancelled | S::Expired | S::Failed => {
                    self.ledger.release(&id, "q", client.as_str());
                }
                _ => {}
            }
        }
    }

    fn stored(&self, number: u64) -> Booking {
        let state = self.states[&number];
        Booking {
            client: client(number),
            id: booking(number),
            request: request(number),
            state,
            place: Place::numbered(number),
            position: None,
            parked: false,
            enqueued_at: Timestamp(0),
            item: "".into(),
            quantity: bookingq_core::Quantity::ONE,
            reservation: None,
            deadline: None,
            payment: (state == S::Confirmed).then(|| payment("card")),
            outcome: None,
            reason: String::new(),
        }
    }

    /// The evidence of a queue that goes on.
    pub fn evidence(&self) -> Evidence {
        Evidence {
            bookings: self.states.keys().map(|&number| self.stored(number)).collect(),
            ledger: Some(self.ledger.copy()),
            whole: None,
        }
    }

    /// The evidence at the end of a whole run.
    pub fn evidence_at_end(&self) -> Evidence {
        let count = |state| self.states.values().filter(|one| **one == state).count() as u64;
        let totals = Totals {
            enqueued: self.states.len() as u64,
            confirmed: count(S::Confirmed),
            expired: count(S::Expired),
            cancelled: count(S::Cancelled),
            ..Totals::default()
        };
        let whole = Snapshot {
            now: Timestamp(EPOCH),
            epoch: String::new(),
            set_back: false,
            admission: Admission::Open,
            rules: bookingq_core::SaleRules::default(),
            rules_set: false,
            backlog: 0,
            parked: 0,
            claimable: 0,
            in_flight: 0,
            due: 0,
            holds: 0,
            overdue: 0,
            front: None,
            totals,
            swept_at: None,
            workforce: None,
            outbox: 0,
        };
        Evidence { whole: Some(whole), ..self.evidence() }
    }

    /// The log in the present order of its events.
    pub fn log(&self) -> AuditLog {
        let rules = self.rules.clone();
        let hold = Some(Duration::from_millis(HOLD));
        let mut log = AuditLog::new(AuditTerms { hold, rules, ..AuditTerms::default() });
        log.observe(&self.outbox());
        log
    }

    /// All events in their present order, each in an entry of its own.
    pub fn outbox(&self) -> Vec<OutboxEvent> {
        let bookings = self.events.iter().cloned().enumerate();
        let mut events: Vec<_> = self
            .items
            .iter()
            .map(|(at, item)| ((*at, 0), OutboxEvent::Item(item.clone())))
            .collect();
        events.extend(bookings.map(|(at, event)| ((at, 1), OutboxEvent::Booking(event))));
        events.sort_by_key(|(at, _)| *at);
        let numbered = (0..).zip(events).map(|(index, (_, mut event))| {
            let seq = EventSeq::new(1, index, 0);
            match &mut event {
                OutboxEvent::Booking(event) => event.seq = seq,
                OutboxEvent::Item(event) => event.seq = seq,
            }
            event
        });
        numbered.collect()
    }

    pub fn answers(&self) -> Answers {
        let mut calls = self.calls.clone();
        calls.sort_by_key(|call| call.end);
        let mut answers = Answers::new(EPOCH, 1);
        for call in &calls {
            answers.observe(call);
        }
        if let Some(moment) = self.healed {
            answers.healed(moment);
        }
        answers
    }

    pub fn verify(&self, moment: Moment) -> Verification {
        self.verify_with(&self.evidence(), moment)
    }

    pub fn verify_at_end(&self) -> Verification {
        self.verify_with(&self.evidence_at_end(), Moment::AtRest)
    }

    pub fn verify_with(&self, evidence: &Evidence, moment: Moment) -> Verification {
        self.log().verify(&self.answers(), evidence, moment)
    }

    /// Asserts that a whole run breaks this invariant.
    #[track_caller]
    pub fn breaks(&self, invariant: u8) {
        self.breaks_with(&self.evidence_at_end(), invariant);
    }

    #[track_caller]
    pub fn breaks_with(&self, evidence: &Evidence, invariant: u8) {
        let violations = self.verify_with(evidence, Moment::AtRest).violations;
        let found = violations.invariants().iter().any(|result| {
            result.number == invariant && result.broken > 0 && !result.evidence.is_empty()
        });
        assert!(found, "{invariant} should be broken: {violations:?}");
    }
}
