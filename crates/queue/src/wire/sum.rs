//! The hashes of bookings and items, and their sums.

use std::sync::Arc;

use bookingq_core::ClientId;
use prost::Message as _;
use xxhash_rust::xxh3::xxh3_128;

use super::item::ItemWire;
use super::record::from_slot;
use crate::item::Item;
use crate::record::{Record, Slot};

/// A sum of hashes, so that the order of the parts does not matter.
#[derive(Debug, Default)]
pub(crate) struct RecordSum {
    total: u128,
    /// Reused, since this runs with each change of a booking.
    bytes: Vec<u8>,
}

impl RecordSum {
    pub(crate) fn total(&self) -> u128 {
        self.total
    }

    pub(crate) fn add_newest(&mut self, client: &ClientId, record: &Record) {
        self.total = self.total.wrapping_add(self.hash(1, client, record));
    }

    pub(crate) fn remove_newest(&mut self, client: &ClientId, record: &Record) {
        self.total = self.total.wrapping_sub(self.hash(1, client, record));
    }

    pub(crate) fn add_earlier(&mut self, client: &ClientId, record: &Record) {
        self.total = self.total.wrapping_add(self.hash(2, client, record));
    }

    pub(crate) fn remove_earlier(&mut self, client: &ClientId, record: &Record) {
        self.total = self.total.wrapping_sub(self.hash(2, client, record));
    }

    fn hash(&mut self, kind: u8, client: &ClientId, record: &Record) -> u128 {
        self.bytes.clear();
        self.bytes.push(kind);
        let mut fields = HashedFields(&mut self.bytes);
        fields.text(client.as_str());
        fields.record(record);
        xxh3_128(&self.bytes)
    }
}

/// Writes fields so that other values give other bytes. Unlike the wire format it copies nothing
/// else, and is never read.
struct HashedFields<'a>(&'a mut Vec<u8>);

impl HashedFields<'_> {
    fn number(&mut self, number: u64) {
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    fn optional<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) {
        self.0.push(u8::from(value.is_some()));
        if let Some(value) = value {
            write(self, value);
        }
    }

    fn slot(&mut self, slot: Slot) {
        let (kind, end) = from_slot(slot);
        self.number(kind.into());
        self.number(end);
    }

    fn record(&mut self, record: &Record) {
        // Without `..`, so that a new field cannot be forgotten.
        #[rustfmt::skip]
        let Record {
            id, request, state, slot, place, enqueued_at, details, trace, fence, settled, stray,
            attempts, reservation, deadline, payment, outcome, reason, is_touched: _,
        } = record;
        self.0.extend_from_slice(&id.to_u128().to_le_bytes());
        self.text(request.as_str());
        self.text(state.as_str());
        self.slot(*slot);
        self.number(place.number.get());
        self.number(enqueued_at.0);
        self.text(&details.item);
        self.number(details.quantity.get().into());
        self.bytes(&details.payload);
        self.optional(trace.as_deref(), Self::text);
        self.number(fence.0);
        self.number(settled.0);
        self.0.push(u8::from(*stray));
        self.number((*attempts).into());
        self.optional(reservation.as_ref(), |fields, id| fields.text(id.as_str()));
        self.optional(*deadline, |fields, at| fields.number(at.0));
        self.optional(payment.as_ref(), |fields, id| fields.text(id.as_str()));
        self.optional(*outcome, |fields, outcome| fields.text(outcome.as_str()));
        self.text(reason);
    }
}

/// The hash of an item.
pub(crate) fn item_hash(name: &Arc<str>, item: &Item) -> u128 {
    let mut bytes = vec![3];
    bytes.extend_from_slice(&ItemWire::new(name, item).encode_to_vec());
    xxh3_128(&bytes)
}
