//! The bookings that wait for an item, by item.

use std::collections::HashMap;
use std::sync::Arc;

use bookingq_core::Place;
use bookingq_core::line::PlaceSet;

/// The parked places of every item, with ranks.
///
/// An event says absolutely where a place is from then on, so a replay from any earlier moment
/// leads to the same sets, although a place may be parked again.
#[derive(Debug, Default)]
pub struct ParkedView {
    by_item: HashMap<Arc<str>, PlaceSet>,
    /// The item that each place waits for: the events of bookings do not say it.
    items: HashMap<Place, Arc<str>>,
}

impl ParkedView {
    /// Adds places that wait for an item.
    pub fn join(&mut self, item: &Arc<str>, places: impl IntoIterator<Item = Place>) {
        // One text for all places of an item.
        let item = match self.by_item.get_key_value(item) {
            Some((known, _)) => Arc::clone(known),
            None => Arc::clone(item),
        };
        for place in places {
            self.leave(place);
            self.by_item.entry(Arc::clone(&item)).or_default().join(place);
            self.items.insert(place, Arc::clone(&item));
        }
    }

    /// Removes a place, if it is parked.
    pub(crate) fn leave(&mut self, place: Place) {
        let Some(item) = self.items.remove(&place) else { return };
        if let Some(places) = self.by_item.get_mut(&item) {
            places.leave(place);
            if places.is_empty() {
                self.by_item.remove(&item);
            }
        }
    }

    /// 1 = first of those that wait for the item; `None` when the place is not parked.
    pub(crate) fn position(&self, place: Place) -> Option<u64> {
        self.by_item.get(self.items.get(&place)?)?.position(place)
    }

    /// The number of parked places.
    pub(crate) fn len(&self) -> u64 {
        self.items.len() as u64
    }
}
