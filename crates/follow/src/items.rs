//! The items that are sold out, at the moment or for good, as this process knows them.

use std::collections::HashMap;
use std::sync::Arc;

use bookingq_core::{ItemChange, ItemEvent, ItemState, Quantity};
use parking_lot::Mutex;
use tokio::sync::Notify;

/// Closed items in one reading of the store.
pub const MAX_CLOSED_ITEMS: usize = 1024;

/// Closed items, by name.
pub type ClosedItems = HashMap<Arc<str>, ItemState>;

/// Closed items from the events; how much of them may come back, from readings of the store.
#[derive(Debug, Default)]
pub struct ItemsView {
    /// Replaced at each change, so that readers hold no lock.
    closed: Mutex<Arc<ClosedItems>>,
    changed: Notify,
}

impl ItemsView {
    /// All closed items.
    pub fn closed(&self) -> Arc<ClosedItems> {
        Arc::clone(&self.closed.lock())
    }

    /// The item, if it is closed for this quantity.
    pub fn refusing(&self, item: &str, quantity: Quantity) -> Option<ItemState> {
        self.closed().get(item).filter(|item| item.refuses(quantity)).cloned()
    }

    /// Waits until an item has closed, opened or ended since the last wait: then read the items
    /// again, since events do not say how much of them may come back.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Takes a reading of the store. One of [`MAX_CLOSED_ITEMS`] may be a part: then the others
    /// stay as they are.
    pub(crate) fn replace(&self, items: Vec<ItemState>) {
        let mut closed = self.closed.lock();
        let known =
            if items.len() < MAX_CLOSED_ITEMS { ClosedItems::new() } else { (**closed).clone() };
        let read = items.into_iter().map(|item| (Arc::clone(&item.item), item));
        *closed = Arc::new(known.into_iter().chain(read).collect());
    }

    /// Applies a change.
    pub(crate) fn apply(&self, event: &ItemEvent) {
        if changes_item(event) {
            apply_change(Arc::make_mut(&mut self.closed.lock()), event);
            self.changed.notify_one();
        }
    }
}

/// Whether the item itself changed, not only who waits for it.
pub fn changes_item(event: &ItemEvent) -> bool {
    !matches!(event.change, ItemChange::Parked { .. })
}

/// At most `max` items, those with the most bookings that wait for them first.
pub fn most_awaited(mut items: Vec<ItemState>, max: usize) -> Vec<ItemState> {
    items.sort_by(|a, b| b.waiting.cmp(&a.waiting).then_with(|| a.item.cmp(&b.item)));
    items.truncate(max);
    items
}

/// Applies a change to closed items.
pub fn apply_change(items: &mut ClosedItems, event: &ItemEvent) {
    match &event.change {
        ItemChange::SoldOut { quantity } => {
            let item = entry(items, &event.item);
            (item.refused, item.ended) = (Some(*quantity), false);
        }
        ItemChange::Ended => entry(items, &event.item).ended = true,
        ItemChange::Open => drop(items.remove(&event.item)),
        ItemChange::Parked { .. } => {}
    }
}

fn entry<'a>(items: &'a mut ClosedItems, item: &Arc<str>) -> &'a mut ItemState {
    let closed = || ItemState { refused: Some(Quantity::ONE), ..ItemState::open(Arc::clone(item)) };
    items.entry(Arc::clone(item)).or_insert_with(closed)
}
