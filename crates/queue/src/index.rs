//! Everything of a queue but its bookings: the line, the leases, the holds, the counters and the
//! outbox.
//!
//! Apart from the bookings, so that the borrow checker lets a transition change one booking and all
//! of this together.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bookingq_core::line::Line;
use bookingq_core::{
    Admission, BookingState, ClientId, Details, Event, EventSeq, ItemChange, ItemEvent,
    OutboxEvent, Outcome, Parked, Place, SaleRules, SoldOutRule, Timestamp,
};

use crate::items::Items;
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
    pub(crate) items: Items,
    pub(crate) finals: BTreeSet<(Timestamp, ClientId)>,
    pub(crate) totals: Totals,
    pub(crate) outbox: Outbox,
    pub(crate) admission: Admission,
    pub(crate) rules: SaleRules,
    /// Whether the rules were ever written.
    pub(crate) rules_set: bool,
    /// Of the outflow: the theoretical arrival time of the next booking, in microseconds, and when
    /// that was computed.
    pub(crate) tat: (u64, Timestamp),
    /// When the queue may probe again.
    pub(crate) next_probe: Timestamp,
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
            items: Items::default(),
            finals: BTreeSet::new(),
            totals: Totals::default(),
            outbox: Outbox::new(outbox_events),
            admission: Admission::default(),
            rules: SaleRules::default(),
            rules_set: false,
            tat: (0, Timestamp(0)),
            next_probe: Timestamp(0),
            swept_at: None,
            retention,
        }
    }

    /// Sets how long final bookings and how many events are kept from now on.
    pub(crate) fn limit(&mut self, retention: Duration, outbox_events: usize) {
        self.retention = retention;
        self.outbox.keep(outbox_events);
    }

    /// Puts a booking into the set of its slot.
    pub(crate) fn insert(&mut self, client: &ClientId, record: &Record) {
        match record.slot {
            Slot::Line => {
                self.line.join(record.place);
                self.places.insert(record.place, client.clone());
            }
            Slot::Parked => {
                let Details { item, quantity, .. } = &record.details;
                self.items.change(item, |item| {
                    item.park(*quantity, record.place, client.clone());
                    if record.stray {
                        item.strays.insert(record.place, client.clone());
                    }
                });
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
            Slot::Parked => {
                let Details { item, quantity, .. } = &record.details;
                self.items.change(item, |item| item.unpark(*quantity, record.place));
            }
            Slot::Leased(at) => drop(self.leases.remove(&(at, client.clone()))),
            Slot::Held(at) => drop(self.holds.remove(&(at, client.clone()))),
            Slot::Final(at) => drop(self.finals.remove(&(at, client.clone()))),
        }
    }

    /// Moves a booking to another slot. Its state stays.
    pub(crate) fn move_to(
        &mut self,
        client: &ClientId,
        record: &mut Record,
        slot: Slot,
        now: Timestamp,
    ) {
        // In this order, so that the item is not forgotten in between.
        let (was_unsettled, waits) = (record.slot.is_unsettled(), slot == Slot::Parked);
        if !was_unsettled && slot.is_unsettled() {
            self.items.change(&record.details.item, |item| item.unsettled += 1);
        }
        self.remove(client, record);
        record.slot = slot;
        self.insert(client, record);
        if was_unsettled && !slot.is_unsettled() {
            self.items.change(&record.details.item, |item| item.settle(waits, now));
        }
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
        self.move_to(client, record, slot, now);
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

    /// Ends a refused booking. One whose late Reserve may still arrive is released before, which
    /// makes that Reserve fail.
    pub(crate) fn turn_away(
        &mut self,
        client: &ClientId,
        record: &mut Record,
        outcome: Outcome,
        now: Timestamp,
    ) {
        if record.stray {
            self.release(client, record, outcome, now);
        } else {
            self.finish(client, record, outcome.state(), now);
        }
    }

    /// Ends a booking: counts it and what comes back by it, and drops what only a worker needs.
    pub(crate) fn finish(
        &mut self,
        client: &ClientId,
        record: &mut Record,
        to: BookingState,
        now: Timestamp,
    ) {
        let (item, quantity) = (Arc::clone(&record.details.item), record.details.quantity);
        match (record.state, to) {
            (BookingState::Releasing, BookingState::Confirmed) => {}
            (BookingState::Releasing, _) => {
                self.items.change(&item, |item| item.take_back(quantity, now));
            }
            (_, BookingState::Rejected) => {
                self.items.change(&item, |item| item.give_credit(quantity));
            }
            _ => {}
        }
        record.settled = record.fence;
        self.transition(client, record, to, Slot::Final(now + self.retention), now);
        record.trace = None;
        // An expired booking keeps what was booked: its client may pay late and reacquire it.
        if to != BookingState::Expired {
            record.details = Details::default();
        }
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
        self.outbox.push(OutboxEvent::Booking(Event {
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
            parked: (record.slot == Slot::Parked).then(|| Parked {
                item: Arc::clone(&record.details.item),
                quantity: record.details.quantity,
            }),
        }));
    }

    /// Writes an event of an item.
    pub(crate) fn emit_item(&mut self, item: &Arc<str>, change: ItemChange, now: Timestamp) {
        let item = Arc::clone(item);
        self.outbox.push(OutboxEvent::Item(ItemEvent {
            seq: EventSeq::START,
            at: now,
            item,
            change,
        }));
    }

    /// 1 = next; `None` unless the booking waits.
    pub(crate) fn position(&self, record: &Record) -> Option<u64> {
        match record.slot {
            Slot::Line => self.line.position(record.place),
            Slot::Parked => self.items.get(&record.details.item)?.waiting().position(record.place),
            _ => None,
        }
    }

    /// What it means when this item is sold out.
    pub(crate) fn sold_out_rule(&self, item: &str) -> SoldOutRule {
        self.rules.sold_out.of(item)
    }
}
