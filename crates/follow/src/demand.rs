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
    /// The last reading.
    state: Option<ItemState>,
}

/// The bookings before one that waits.
#[derive(Debug, Clone, Copy)]
struct BookingsAhead {
    /// In the line, of any item.
    in_line: u64,
    /// Parked for the item.
    parked: u64,
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
                item.state = Some(read);
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
        let before = standing.position() - 1;
        let ahead = match standing {
            Standing::Parked(_) => BookingsAhead { in_line: 0, parked: before },
            // It will be parked behind all that are.
            Standing::InLine(_) => {
                BookingsAhead { in_line: before, parked: demand.parked_before(quantity) }
            }
        };
        state.chance(demand, quantity, ahead)
    }

    /// For each item, ascending, the chance of a booking of one that joins behind `in_line`
    /// bookings, where it is known. At most 128.
    pub fn chances_at_end(&self, in_line: u64) -> Vec<(Arc<str>, Chance)> {
        let state = self.state.lock();
        let chance = |(item, demand): (&Arc<str>, &ItemDemand)| {
            let parked = demand.parked_before(Quantity::ONE);
            let ahead = BookingsAhead { in_line, parked };
            Some((Arc::clone(item), state.chance(demand, Quantity::ONE, ahead)?))
        };
        let mut chances: Vec<_> = state.items.iter().filter_map(chance).collect();
        chances.sort_by(|(a, _), (b, _)| a.cmp(b));
        chances
    }
}

impl DemandState {
    fn chance(
        &self,
        demand: &ItemDemand,
        quantity: Quantity,
        ahead: BookingsAhead,
    ) -> Option<Chance> {
        // Of the line a share wants the item; all that are parked for it do.
        let sample = if ahead.parked > 0 { demand.bookings } else { self.bookings };
        let read = demand.state.as_ref()?;
        if sample < SAMPLE {
            return None;
        }
        let each = demand.quantity as f64 / demand.bookings as f64;
        let share = demand.bookings as f64 / self.bookings as f64;
        let wanting = ahead.in_line as f64 * share + ahead.parked as f64;
        Demand {
            ahead: (wanting * each).round() as u64,
            unsettled: (read.unsettled as f64 * each).round() as u64,
            left: read.left,
            quantity: u64::from(quantity.get()),
            confirmed: self.confirmed,
            decided: self.decided,
        }
        .chance()
    }
}

impl ItemDemand {
    /// Parked bookings that come before one of this quantity that joins now.
    fn parked_before(&self, quantity: Quantity) -> u64 {
        let closed = self.state.as_ref().filter(|state| state.refuses(quantity));
        closed.map_or(0, |state| state.waiting)
    }
}
