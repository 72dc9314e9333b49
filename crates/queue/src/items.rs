//! All items of a queue that it has to remember, and which of them a claim must look at.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use bookingq_core::{ItemState, Place, Quantity};

use crate::item::{Attention, Item};
use crate::wire::item_hash;

/// The items, and the sets that a claim reads.
#[derive(Debug, Default)]
pub(crate) struct Items {
    by_name: HashMap<Arc<str>, Item>,
    /// The first place of every parked quantity that a claim may take.
    ready: BTreeSet<(Place, Quantity, Arc<str>)>,
    /// The closed items, by when a claim must look at them.
    closed: BTreeSet<(Attention, Arc<str>)>,
    parked: u64,
    /// The sum of the hashes, without items that are touched; `None`: not tracked.
    sum: Option<u128>,
    /// Items that have changed since their hash was in the sum.
    touched: Vec<Arc<str>>,
}

impl Items {
    /// An item, if anything of it is remembered.
    pub(crate) fn get(&self, name: &str) -> Option<&Item> {
        self.by_name.get(name)
    }

    /// Changes an item, and the sets that depend on it.
    pub(crate) fn change<T>(&mut self, name: &Arc<str>, change: impl FnOnce(&mut Item) -> T) -> T {
        let item = match self.by_name.entry(Arc::clone(name)) {
            Entry::Vacant(new) => new.insert(Item::default()),
            Entry::Occupied(known) => {
                let item = known.into_mut();
                if let Some(sum) = self.sum.as_mut().filter(|_| !item.is_touched) {
                    *sum = sum.wrapping_sub(item_hash(name, item));
                }
                item
            }
        };
        if self.sum.is_some() && !item.is_touched {
            item.is_touched = true;
            self.touched.push(Arc::clone(name));
        }
        for (place, quantity) in item.fronts() {
            self.ready.remove(&(place, quantity, Arc::clone(name)));
        }
        if item.refused.is_some() {
            self.closed.remove(&(item.attention(), Arc::clone(name)));
        }
        self.parked -= item.waiting().len() as u64;
        let answer = change(item);
        self.parked += item.waiting().len() as u64;
        for (place, quantity) in item.fronts() {
            self.ready.insert((place, quantity, Arc::clone(name)));
        }
        if item.refused.is_some() {
            self.closed.insert((item.attention(), Arc::clone(name)));
        }
        if item.is_idle() {
            self.by_name.remove(name);
        }
        answer
    }

    /// Puts the hashes of what a command has changed into the sum.
    pub(crate) fn settle(&mut self) {
        let Some(sum) = &mut self.sum else { return };
        for name in self.touched.drain(..) {
            if let Some(item) = self.by_name.get_mut(&name)
                && item.is_touched
            {
                item.is_touched = false;
                *sum = sum.wrapping_add(item_hash(&name, item));
            }
        }
    }

    /// Sums up from now on.
    pub(crate) fn track(&mut self) {
        self.sum = Some(self.summed_up());
    }

    /// The sum of the hashes of all items.
    pub(crate) fn sum(&self) -> u128 {
        self.sum.filter(|_| self.touched.is_empty()).unwrap_or_else(|| self.summed_up())
    }

    fn summed_up(&self) -> u128 {
        let hashes = self.all().map(|(name, item)| item_hash(name, item));
        hashes.fold(0, u128::wrapping_add)
    }

    pub(crate) fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Everything that is remembered, in no particular order.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&Arc<str>, &Item)> {
        self.by_name.iter()
    }

    /// Puts back an item as it was; its parked bookings follow by [`Self::change`].
    pub(crate) fn restore(&mut self, name: Arc<str>, mut item: Item) {
        if let Some(sum) = &mut self.sum {
            item.is_touched = false;
            *sum = sum.wrapping_add(item_hash(&name, &item));
        }
        if item.refused.is_some() {
            self.closed.insert((item.attention(), Arc::clone(&name)));
        }
        self.by_name.insert(name, item);
    }

    /// The first parked booking that a claim may take.
    pub(crate) fn front(&self) -> Option<&(Place, Quantity, Arc<str>)> {
        self.ready.first()
    }

    /// The closed item that needs attention first.
    pub(crate) fn urgent(&self) -> Option<&(Attention, Arc<str>)> {
        self.closed.first()
    }

    /// When the first probe is due.
    pub(crate) fn next_probe(&self) -> Option<bookingq_core::Timestamp> {
        self.closed.iter().find_map(|(attention, _)| match attention {
            Attention::Probe(at) => Some(*at),
            Attention::End | Attention::Never => None,
        })
    }

    /// Every closed item.
    pub(crate) fn closed(&self) -> impl Iterator<Item = &Arc<str>> {
        self.closed.iter().map(|(_, name)| name)
    }

    /// At most `max` closed items, in no particular order.
    pub(crate) fn states(&self, max: usize) -> Vec<ItemState> {
        let closed = self.closed().take(max);
        closed.filter_map(|name| Some(self.get(name)?.state(Arc::clone(name)))).collect()
    }

    /// Number of parked bookings.
    pub(crate) fn parked(&self) -> u64 {
        self.parked
    }

    /// Number of parked bookings that a claim could take now, of the first 64 sets.
    pub(crate) fn claimable(&self) -> u64 {
        let sets = self.ready.iter().take(64);
        sets.filter_map(|(_, quantity, name)| Some(self.get(name)?.claimable(*quantity))).sum()
    }
}
