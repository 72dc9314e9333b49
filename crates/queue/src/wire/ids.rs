//! Ids, spans of time and other small values.

use std::sync::Arc;
use std::time::Duration;

use bookingq_core::{BookingId, Details, EventSeq, Lane, Place, Quantity};

use super::Unreadable;
use crate::bounds;

/// A booking's id.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct BookingIdWire {
    #[prost(fixed64, tag = "1")]
    high: u64,
    #[prost(fixed64, tag = "2")]
    low: u64,
}

impl From<BookingId> for BookingIdWire {
    fn from(id: BookingId) -> Self {
        let id = id.to_u128();
        Self { high: (id >> 64) as u64, low: id as u64 }
    }
}

impl From<BookingIdWire> for BookingId {
    fn from(id: BookingIdWire) -> Self {
        Self::from_u128((u128::from(id.high) << 64) | u128::from(id.low))
    }
}

/// The id, which must be there.
pub(crate) fn booking_id(id: Option<BookingIdWire>) -> Result<BookingId, Unreadable> {
    id.map(Into::into).ok_or_else(|| Unreadable::missing("the id of the booking"))
}

/// What is booked.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct DetailsWire {
    #[prost(string, tag = "1")]
    item: String,
    #[prost(uint32, tag = "2")]
    quantity: u32,
    #[prost(bytes = "vec", tag = "3")]
    payload: Vec<u8>,
}

impl From<&Details> for DetailsWire {
    fn from(details: &Details) -> Self {
        Self {
            item: details.item.as_ref().to_owned(),
            quantity: details.quantity.get(),
            payload: details.payload.to_vec(),
        }
    }
}

/// The details, which must be there.
pub(crate) fn details(wire: Option<DetailsWire>) -> Result<Details, Unreadable> {
    let wire = wire.ok_or_else(|| Unreadable::missing("what is booked"))?;
    let Details { item, payload, .. } = Details::new(&wire.item, 1, &wire.payload)?;
    Ok(Details { item, payload, quantity: quantity(wire.quantity)? })
}

/// A quantity, which is never 0 here.
pub(crate) fn quantity(quantity: u32) -> Result<Quantity, Unreadable> {
    match i32::try_from(quantity) {
        Ok(quantity) if quantity > 0 => Ok(Quantity::new(quantity)?),
        _ => Err(Unreadable::unknown("quantity", &quantity)),
    }
}

/// The place of an event.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct EventSeqWire {
    #[prost(uint64, tag = "1")]
    ms: u64,
    #[prost(uint64, tag = "2")]
    number: u64,
}

impl From<EventSeq> for EventSeqWire {
    fn from(EventSeq { ms, number }: EventSeq) -> Self {
        Self { ms, number }
    }
}

impl From<EventSeqWire> for EventSeq {
    fn from(EventSeqWire { ms, number }: EventSeqWire) -> Self {
        Self { ms, number }
    }
}

/// The number of a place in its only lane.
pub(crate) fn number(place: Place) -> u64 {
    let Place { lane: Lane::Standard, number } = place;
    number.get()
}

/// A span in milliseconds, which is all that a queue counts of it.
pub(crate) fn millis(span: Duration) -> u64 {
    bounds::millis(span)
}

pub(crate) fn span(millis: u64) -> Duration {
    bounds::span(Duration::from_millis(millis))
}

pub(crate) fn size(size: usize) -> u64 {
    size as u64
}

/// A size; one beyond this machine's memory is all of it.
pub(crate) fn from_size(size: u64) -> usize {
    usize::try_from(size).unwrap_or(usize::MAX)
}

/// The name of an item.
pub(crate) fn item(name: &str) -> Result<Arc<str>, Unreadable> {
    Ok(Details::new(name, 1, &[])?.item)
}
