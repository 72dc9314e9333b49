//! Items close, open and end.

use std::sync::Arc;

use bookingq_core::{
    Fence, ItemChange, ItemState, Outflow, Place, Quantity, SaleRules, SoldOutRule, Timestamp,
};

use crate::index::Index;
use crate::item::Refused;
use crate::queue::Queue;
use crate::record::Record;

impl Index {
    /// Records that the Booking Service has refused an item. Returns whether the refused booking
    /// has nothing to wait for.
    pub(crate) fn refused(&mut self, item: &Arc<str>, refused: Refused, now: Timestamp) -> bool {
        let rule = self.sold_out_rule(item);
        let effect = self.items.change(item, |item| item.refuse(refused, rule, now));
        if let Some(quantity) = effect.closed {
            self.emit_item(item, ItemChange::SoldOut { quantity }, now);
        }
        if effect.ended {
            self.emit_item(item, ItemChange::Ended, now);
        }
        effect.is_final
    }

    /// Counts a claim of an available item, or a probe. What it reserves may come back, so an
    /// item that had ended is only sold out at the moment from now on, if clients may wait for it.
    pub(crate) fn claim_item(
        &mut self,
        name: &Arc<str>,
        quantity: Quantity,
        probe: Option<Place>,
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

    /// Records a reservation: that of a probe shows that more may be available.
    pub(crate) fn reserved(&mut self, record: &Record, left: Option<u64>, now: Timestamp) {
        let item = &record.details.item;
        if self.items.change(item, |item| item.reserved(record.place, left)) {
            self.open_item(item, left, now);
        }
    }

    /// Opens an item in full, or for what is left of it.
    fn open_item(&mut self, item: &Arc<str>, left: Option<u64>, now: Timestamp) {
        let newest = Fence(self.totals.claimed);
        if self.items.change(item, |item| item.open(newest, left, now)) {
            self.emit_item(item, ItemChange::Open, now);
        }
    }

    /// Replaces the limits of the outflow.
    fn set_outflow(&mut self, outflow: Outflow, now: Timestamp) {
        let (old, new) = (self.rules.outflow.pace(), outflow.pace());
        if let Some(pace) = new.filter(|_| new != old) {
            self.tat = (pace.taking_over(old, self.tat.0, now), now);
        }
        self.rules.outflow = outflow;
    }

    /// Ends a closed item whose rule is now End, and lets clients wait again for one whose rule is
    /// now Wait.
    fn apply_rule(&mut self, name: &Arc<str>, now: Timestamp) {
        let ends = self.sold_out_rule(name) == SoldOutRule::End;
        let Some(item) = self.items.get(name) else { return };
        if ends && !item.ended {
            self.items.change(name, |item| item.ended = true);
            self.emit_item(name, ItemChange::Ended, now);
        } else if !ends
            && item.ended
            && item.unsettled > 0
            && let Some(quantity) = item.refused
        {
            self.items.change(name, |item| item.resume(now));
            self.emit_item(name, ItemChange::SoldOut { quantity }, now);
        }
    }
}

impl Queue {
    /// Opens an item that is available again; `left` is how many, if known.
    pub fn restocked(&mut self, item: &Arc<str>, left: Option<u64>, now: Timestamp) {
        if self.index.items.get(item).is_some() {
            self.index.items.change(item, |item| item.set_left(left));
            self.index.open_item(item, left, now);
        }
    }

    /// Sets the rules of the sale.
    pub fn set_rules(&mut self, rules: SaleRules, now: Timestamp) {
        self.index.set_outflow(rules.outflow, now);
        let sold_out_changes = rules.sold_out != self.index.rules.sold_out;
        (self.index.rules, self.index.rules_set) = (rules, true);
        if sold_out_changes {
            let closed: Vec<Arc<str>> = self.index.items.closed().cloned().collect();
            for item in closed {
                self.index.apply_rule(&item, now);
            }
        }
    }

    /// Limits the outflow. The other rules stay as they are, written or not.
    pub fn set_outflow(&mut self, outflow: Outflow, now: Timestamp) {
        self.index.set_outflow(outflow, now);
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
