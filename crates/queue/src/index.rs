//! Everything of a queue but its bookings: the line, the leases, the holds, the counters and the
//! outbox.
//!
//! Apart from the bookings, so that the borrow checker lets a transition change one booking and all
//! of this together.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bookingq_core::line::Line;
use bookingq_core::{
    Admission, BookingState, ClientId, Details, Event, EventSeq, Outcome, Place, Timestamp,
};

use crate::outbox::Outbox;
use crate::record::{Record, Slot};
use crate::snapshot::Totals;

/// The sets, the counters and the outbox.
#[derive(Debug)]
pub(crate) struct Index {
    /// Ranks of the places in the line.
    pub(crate) line: Line,
    /// The client at each place of the line.
    pub(crate) places: BTreeMap<Place, ClientId>,
    pub(crate) leases: BTreeSet<(Timestamp, ClientId)>,
    pub(crate) holds: BTreeSet<(Timestamp, ClientId)>,
    pub(crate) finals: BTreeSet<(Timestamp, ClientId)>,
    pub(crate) totals: Totals,
    pub(crate) outbox: Outbox,
    pub(crate) admission: Admission,
    pub(crate) swept_at: Option<Timestamp>,
    retention: Duration,
}

impl Index {
    /// Of an empty queue.
    pub(crate) fn new(retention: Duration, outbox_events: usize) -> Self {
        Self {
            line: Line::new(),
            places: BTreeMap::new(),
            leases: BTreeSet::new(),
            holds: BTreeSet::new(),
            finals: BTreeSet::new(),
            totals: Totals::default(),
            outbox: Outbox::new(outbox_events),
            admission: Admission::default(),
            swept_at: None,
            retention,
        }
    }

    /// Puts a booking into the set of its slot.
    pub(crate) fn insert(&mut self, client: &ClientId, record: &Record) {
        match record.slot {
            Slot::Line => {
                self.line.join(record.place);
                self.places.insert(record.place, client.clone());
            }
            Slot::Leased(at) => drop(self.leases.insert((at, client.clone()))),
            Slot::Held(at) => drop(self.holds.insert((at, client.clone()))),
            Slot::Final(at) => drop(self.finals.insert((at, client.clone()))),
        }
    }

    /// Takes a booking out of the set of its slot.
    pub(crate) fn remove(&mut self, client: &ClientId, record: &Record) {
        match record.slot {
            Slot::Line => {
                self.line.leave(record.place);
                self.places.remove(&record.place);
            }
            Slot::Leased(at) => drop(self.leases.remove(&(at, client.clone()))),
            Slot::Held(at) => drop(self.holds.remove(&(at, client.clone()))),
            Slot::Final(at) => drop(self.finals.remove(&(at, client.clone()))),
        }
    }

    /// Moves a booking to another slot. Its state stays.
    pub(crate) fn move_to(&mut self, client: &ClientId, record: &mut Record, slot: Slot) {
        self.remove(client, record);
        record.slot = slot;
        self.insert(client, record);
    }

    /// Changes the state and the slot of a booking, and writes an event.
    pub(crate) fn transition(
        &mut self,
        client: &ClientId,
        record: &mut Record,
        to: BookingState,
        slot: Slot,
        now: Timestamp,
    ) {
        let from = record.state;
        debug_assert!(from.may_become(to), "{from} must never become {to}");
        record.state = to;
        self.move_to(client, record, slot);
        self.emit(client, record, Some(from), now);
    }

    /// Makes a release due now.
    pub(crate) fn release(
        &mut self,
        client: &ClientId,
        record: &mut Record,
        outcome: Outcome,
        now: Timestamp,
    ) {
        record.settled = record.fence;
        record.attempts = 0;
        record.outcome = Some(outcome);
        self.transition(client, record, BookingState::Releasing, Slot::Leased(now), now);
    }

    /// Ends a booking: counts it, and drops what only a worker needs.
    pub(crate) fn finish(
        &mut self,
        client: &ClientId,
        record: &mut Record,
        to: BookingState,
        now: Timestamp,
    ) {
        record.settled = record.fence;
        record.details = Details::default();
        record.trace = None;
        self.transition(client, record, to, Slot::Final(now + self.retention), now);
        let totals = &mut self.totals;
        match to {
            BookingState::Confirmed => totals.confirmed += 1,
            BookingState::Expired => totals.expired += 1,
            BookingState::Cancelled => totals.cancelled += 1,
            BookingState::SoldOut => totals.sold_out += 1,
            BookingState::Rejected => totals.rejected += 1,
            BookingState::Failed => totals.failed += 1,
            _ => debug_assert!(false, "{to} is not final"),
        }
    }

    /// Writes an event: the booking as it is now, and the state it came from.
    pub(crate) fn emit(
        &mut self,
        client: &ClientId,
        record: &Record,
        from: Option<BookingState>,
        now: Timestamp,
    ) {
        let to = record.state;
        self.outbox.push(Event {
            seq: EventSeq::START,
            at: now,
            client: client.clone(),
            booking: record.id,
            place: record.place,
            from,
            to,
            fence: record.fence,
            deadline: record.deadline.filter(|_| to == BookingState::Reserved),
            outcome: record.outcome.filter(|_| to == BookingState::Releasing),
            reason: record.reason.clone(),
            parked: None,
        });
    }

    /// 1 = next; `None` unless the booking is in the line.
    pub(crate) fn position(&self, record: &Record) -> Option<u64> {
        if record.slot == Slot::Line { self.line.position(record.place) } else { None }
    }
}
