//! The demand for each item as this process saw it join, and what is left of it: the chance of a
//! ticket.
//!
//! The line does not say what each booking in it wants. But Enqueue calls are spread over all
//! workers, so what joined through this one is a sample of the whole line.

use std::collections::HashMap;
use std::sync::Arc;

use bookingq_core::eta::{Chance, Demand};
use bookingq_core::{ItemState, Quantity};
use parking_lot::Mutex;

use crate::Standing;

/// Items whose stock is followed; of further ones no chance is known.
const ITEMS: usize = 128;
/// Bookings that must have joined before they are a sample.
const SAMPLE: u64 = 20;

/// Shared by many writers and readers.
#[derive(Debug, Default)]
pub struct DemandView {
    state: Mutex<DemandState>,
}

#[derive(Debug, Default)]
struct DemandState {
    items: HashMap<Arc<str>, ItemDemand>,
    /// Bookings that joined here.
    bookings: u64,
    confirmed: u64,
    decided: u64,
}

/// What is known of one item.
#[derive(Debug, Default)]
struct ItemDemand {
    /// Bookings of it that joined here, and how many of it they want.
    bookings: u64,
    quantity: u64,
    left: Option<u64>,
    unsettled: u64,
}

impl DemandView {
    /// A booking joined the line here.
    pub fn joined(&self, item: &Arc<str>, quantity: Quantity) {
        let mut state = self.state.lock();
        state.bookings += 1;
        if state.items.len() >= ITEMS && !state.items.contains_key(item) {
            return;
        }
        let item = state.items.entry(Arc::clone(item)).or_default();
        item.bookings += 1;
        item.quantity += u64::from(quantity.get());
    }

    /// The items to read from the store.
    pub fn items(&self) -> Vec<Arc<str>> {
        self.state.lock().items.keys().cloned().collect()
    }

    /// Takes a reading of the items.
    pub fn read(&self, items: Vec<ItemState>) {
        let mut state = self.state.lock();
        for read in items {
            if let Some(item) = state.items.get_mut(&read.item) {
                (item.left, item.unsettled) = (read.left, read.unsettled);
            }
        }
    }

    /// Takes how many of the decided reservations were confirmed.
    pub fn observe(&self, confirmed: u64, decided: u64) {
        let mut state = self.state.lock();
        (state.confirmed, state.decided) = (confirmed, decided);
    }

    /// The chance of a booking that waits; `None` if the stock or the demand is unknown.
    pub fn chance(&self, item: &str, quantity: Quantity, standing: Standing) -> Option<Chance> {
        let state = self.state.lock();
        let demand = state.items.get(item)?;
        // Every booking that is parked before it wants the item; of the line, a share does.
        let of = match standing {
            Standing::Parked(_) => demand.bookings,
            Standing::InLine(_) => state.bookings,
        };
        if of < SAMPLE {
            return None;
        }
        let wanted = demand.quantity as f64 / of as f64;
        let ahead = ((standing.position() - 1) as f64 * wanted).round() as u64;
        let (confirmed, decided) = (state.confirmed, state.decided);
        let ItemDemand { left, unsettled, .. } = *demand;
        let quantity = u64::from(quantity.get());
        Demand { ahead, unsettled, left, quantity, confirmed, decided }.chance()
    }
}
