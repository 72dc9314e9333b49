//! Everything of a queue but the bookings themselves: the line, the leases, the holds, the counters
//! and the outbox.
//!
//! Kept apart from the bookings so that one booking and all of this can be changed together.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bookingq_core::line::Line;
use bookingq_core::{Admission, BookingState, ClientId, Event, EventSeq, Place, Timestamp};

use super::outbox::Outbox;
use super::record::{Record, Slot};
use crate::view::Totals;

/// The sets, the counters and the outbox.
#[derive(Debug)]
pub(super) struct Registers {
    /// Ranks of the waiting places.
    pub(super) line: Line,
    /// Whose places they are.
    pub(super) places: BTreeMap<Place, ClientId>,
    pub(super) leases: BTreeSet<(Timestamp, ClientId)>,
    pub(super) holds: BTreeSet<(Timestamp, ClientId)>,
    pub(super) finals: BTreeSet<(Timestamp, ClientId)>,
    pub(super) totals: Totals,
    pub(super) outbox: Outbox,
    pub(super) admission: Admission,
    pub(super) swept_at: Option<Timestamp>,
    retention: Duration,
}

impl Registers {
    /// Of an empty queue.
    pub(super) fn new(retention: Duration, outbox_events: usize) -> Self {
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

    /// Files a booking that has no place yet.
    pub(super) fn file(&mut self, client: &ClientId, record: &Record) {
        match record.slot {
            Slot::Line => {
                self.line.join(record.place);
                self.places.insert(record.place, client.clone());
            }
            Slot::Leased(end) => {
                self.leases.insert((end, client.clone()));
            }
            Slot::Held(deadline) => {
                self.holds.insert((deadline, client.clone()));
            }
            Slot::Final(forget) => {
                self.finals.insert((forget, client.clone()));
            }
        }
    }

    /// Takes a booking out of its place.
    pub(super) fn unfile(&mut self, client: &ClientId, record: &Record) {
        match record.slot {
            Slot::Line => {
                self.line.leave(record.place);
                self.places.remove(&record.place);
            }
            Slot::Leased(end) => {
                self.leases.remove(&(end, client.clone()));
            }
            Slot::Held(deadline) => {
                self.holds.remove(&(deadline, client.clone()));
            }
            Slot::Final(forget) => {
                self.finals.remove(&(forget, client.clone()));
            }
        }
    }

    /// Moves a booking to another place without changing its state.
    pub(super) fn refile(&mut self, client: &ClientId, record: &mut Record, slot: Slot) {
        self.unfile(client, record);
        record.slot = slot;
        self.file(client, record);
    }

    /// A booking changes its state and its place, and the outbox tells of it.
    pub(super) fn transition(
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
        self.refile(client, record, slot);
        self.tell(client, record, Some(from), now);
    }

    /// A booking reaches its end: it is counted, and what only a worker needs is dropped.
    pub(super) fn finish(
        &mut self,
        client: &ClientId,
        record: &mut Record,
        to: BookingState,
        now: Timestamp,
    ) {
        record.details = bookingq_core::Details::default();
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
    pub(super) fn tell(
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
        });
    }

    /// 1 = next; `None` unless it is in the line.
    pub(super) fn position(&self, record: &Record) -> Option<u64> {
        if record.slot == Slot::Line { self.line.position(record.place) } else { None }
    }
}
