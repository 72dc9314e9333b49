//! Items close, open and end.

use std::sync::Arc;

use bookingq_core::{Fence, ItemChange, ItemState, Quantity, SaleRules, SoldOutRule, Timestamp};

use crate::index::Index;
use crate::item::Refused;
use crate::queue::Queue;
use crate::record::Record;

impl Index {
    /// Records that the Booking Service has refused an item. Returns whether the refused booking has
    /// nothing to wait for.
    pub(crate) fn refused(&mut self, item: &Arc<str>, refused: Refused, now: Timestamp) -> bool {
        let rule = self.sold_out_rule(item);
        let verdict = self.items.change(item, |item| item.refuse(refused, rule, now));
        if let Some(quantity) = verdict.closed {
            self.emit_item(item, ItemChange::SoldOut { quantity }, now);
        }
        if verdict.ended {
            self.emit_item(item, ItemChange::Ended, now);
        }
        verdict.is_final
    }

    /// Counts a claim of an item that may be had, or a probe. What it reserves may come back, so an
    /// item that had ended is only sold out at the moment from now on, if people may wait for it.
    pub(crate) fn claim_item(
        &mut self,
        name: &Arc<str>,
        quantity: Quantity,
        probe: Option<Fence>,
        now: Timestamp,
    ) {
        let Some(item) = self.items.get(name) else { return };
        let resumes = item.ended && self.sold_out_rule(name) == SoldOutRule::Wait;
        if let Some(quantity) = item.refused.filter(|_| resumes) {
            self.emit_item(name, ItemChange::SoldOut { quantity }, now);
        }
        self.items.change(name, |item| {
            item.ended &= !resumes;
            item.claim(quantity, probe, now);
        });
    }

    /// Records a reservation: that of a probe opens the item.
    pub(crate) fn reserved(&mut self, record: &Record, left: Option<u64>, now: Timestamp) {
        let item = &record.details.item;
        if self.items.change(item, |item| item.reserved(record.fence, left)) {
            self.open_item(item, now);
        }
    }

    /// Opens an item in full.
    fn open_item(&mut self, item: &Arc<str>, now: Timestamp) {
        let newest = Fence(self.totals.claimed);
        let was_closed = self.items.change(item, |item| {
            let was_closed = item.refused.is_some();
            item.open(newest);
            was_closed
        });
        if was_closed {
            self.emit_item(item, ItemChange::Open, now);
        }
    }
}

impl Queue {
    /// Opens an item that is to be had again; `left` is how many, if known.
    pub fn restocked(&mut self, item: &Arc<str>, left: Option<u64>, now: Timestamp) {
        if self.index.items.get(item).is_some() {
            self.index.items.change(item, |item| item.set_left(left));
            self.index.open_item(item, now);
        }
    }

    /// Sets the rules of the sale. Items whose rule is now End end if they are closed.
    pub fn set_rules(&mut self, rules: SaleRules, now: Timestamp) {
        self.index.rules = Some(rules);
        let closed: Vec<Arc<str>> = self.index.items.closed().cloned().collect();
        for item in closed {
            let ends = self.index.sold_out_rule(&item) == SoldOutRule::End;
            let ended = self.index.items.change(&item, |item| {
                let ended = ends && !item.ended;
                item.ended |= ended;
                ended
            });
            if ended {
                self.index.emit_item(&item, ItemChange::Ended, now);
            }
        }
    }

    /// At most `max` closed items, in no particular order.
    pub fn closed_items(&self, max: usize) -> Vec<ItemState> {
        self.index.items.states(max)
    }

    /// What the queue knows of an item.
    pub fn item(&self, item: &Arc<str>) -> ItemState {
        match self.index.items.get(item) {
            Some(found) => found.state(Arc::clone(item)),
            None => ItemState::open(Arc::clone(item)),
        }
    }
}
