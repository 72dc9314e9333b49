//! The whole state of a queue: chunks of bytes, and the digest.
//!
//! Everything that a later command can depend on is in it. The events themselves are not, only
//! where the newest one stands: a follower of a queue that was decoded gets a gap and resyncs.

use std::time::Duration;

use bookingq_core::ClientId;
use prost::Message;
use xxhash_rust::xxh3::xxh3_128;

use super::head::HeadWire;
use super::item::ItemWire;
use super::record::RecordWire;
use super::{StateDigest, Unreadable, decode_strictly};
use crate::queue::Queue;
use crate::record::{Record, Slot};

/// A piece of a state.
#[derive(Clone, PartialEq, prost::Message)]
struct ChunkWire {
    #[prost(message, repeated, tag = "1")]
    parts: Vec<StatePartWire>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct StatePartWire {
    #[prost(oneof = "PieceWire", tags = "1, 2, 3, 4")]
    piece: Option<PieceWire>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
#[allow(clippy::large_enum_variant, reason = "one at a time")]
enum PieceWire {
    /// The first of all.
    #[prost(message, tag = "1")]
    Head(HeadWire),
    #[prost(message, tag = "2")]
    Item(ItemWire),
    /// The newest booking of a client.
    #[prost(message, tag = "3")]
    Booking(RecordWire),
    /// An ended booking of a client that has a newer one.
    #[prost(message, tag = "4")]
    Earlier(RecordWire),
}

impl Queue {
    /// The state in chunks, the parts of each adding up to at most `max_bytes` where none of them
    /// is larger. Equal states give equal chunks.
    pub fn encode(&self, max_bytes: usize) -> impl Iterator<Item = Vec<u8>> + '_ {
        let mut parts = self.parts().peekable();
        std::iter::from_fn(move || {
            let first = parts.next()?;
            let mut size = first.encoded_len();
            let mut chunk = ChunkWire { parts: vec![first] };
            while let Some(part) = parts.next_if(|part| size + part.encoded_len() <= max_bytes) {
                size += part.encoded_len();
                chunk.parts.push(part);
            }
            Some(chunk.encode_to_vec())
        })
    }

    /// The queue whose state was [encoded](Self::encode) in these chunks, in their order.
    ///
    /// # Errors
    /// [`Unreadable`] if a chunk is missing, doubled, out of order or not of this release.
    pub fn decode<C: AsRef<[u8]>>(chunks: impl IntoIterator<Item = C>) -> Result<Self, Unreadable> {
        let mut queue = Self::new(Duration::ZERO, 1);
        let mut expected = None;
        for chunk in chunks {
            let chunk: ChunkWire = decode_strictly(chunk.as_ref())?;
            for part in chunk.parts {
                let piece = part.piece.ok_or_else(|| Unreadable::missing("a piece of a state"))?;
                match (piece, &expected) {
                    (PieceWire::Head(head), None) => {
                        expected = Some((head.bookings, head.earlier, head.items));
                        head.restore(&mut queue)?;
                    }
                    (PieceWire::Head(_), Some(_)) => {
                        return Err(Unreadable::new("the state begins twice"));
                    }
                    (_, None) => return Err(Unreadable::missing("the first chunk")),
                    (piece, Some(_)) => queue.restore(piece)?,
                }
            }
        }
        let sizes = (queue.bookings.len(), queue.earlier.len(), queue.index.items.all().count());
        let sizes = (sizes.0 as u64, sizes.1 as u64, sizes.2 as u64);
        match expected {
            None => Err(Unreadable::missing("the first chunk")),
            Some(expected) if expected != sizes => Err(Unreadable::new(format!(
                "the state has (bookings, earlier ones, items) {sizes:?} instead of {expected:?}"
            ))),
            Some(_) => Ok(queue),
        }
    }

    /// The digest of the state: takes time in proportion to it.
    pub fn digest(&self) -> StateDigest {
        let mut sum = 0u128;
        let mut bytes = Vec::new();
        let mut add = |piece: PieceWire| {
            bytes.clear();
            piece.encode(&mut bytes);
            // A sum, so that the order of the parts does not matter and needs no sorting.
            sum = sum.wrapping_add(xxh3_128(&bytes));
        };
        add(PieceWire::Head(HeadWire::new(self)));
        for (name, item) in self.index.items.all() {
            add(PieceWire::Item(ItemWire::new(name, item)));
        }
        for (client, record) in &self.bookings {
            add(PieceWire::Booking(RecordWire::new(client, record)));
        }
        for ((client, _), record) in &self.earlier {
            add(PieceWire::Earlier(RecordWire::new(client, record)));
        }
        StateDigest(sum)
    }

    /// The head, the items by name, then the bookings by place: in this order a restored line needs
    /// no sorting.
    fn parts(&self) -> impl Iterator<Item = StatePartWire> + '_ {
        let mut items: Vec<_> = self.index.items.all().collect();
        items.sort_by(|a, b| a.0.cmp(b.0));
        let mut bookings: Vec<(&ClientId, &Record)> = self.bookings.iter().collect();
        bookings.sort_by_key(|(_, record)| record.place);
        let mut earlier: Vec<_> = self.earlier.iter().collect();
        earlier.sort_by_key(|(_, record)| record.place);
        let items =
            items.into_iter().map(|(name, item)| PieceWire::Item(ItemWire::new(name, item)));
        let bookings = bookings
            .into_iter()
            .map(|(client, record)| PieceWire::Booking(RecordWire::new(client, record)));
        let earlier = earlier
            .into_iter()
            .map(|((client, _), record)| PieceWire::Earlier(RecordWire::new(client, record)));
        let head = std::iter::once(PieceWire::Head(HeadWire::new(self)));
        let pieces = head.chain(items).chain(bookings).chain(earlier);
        pieces.map(|piece| StatePartWire { piece: Some(piece) })
    }

    fn restore(&mut self, piece: PieceWire) -> Result<(), Unreadable> {
        match piece {
            PieceWire::Head(_) => {}
            PieceWire::Item(item) => {
                let (name, item) = item.read()?;
                self.index.items.restore(name, item);
            }
            PieceWire::Booking(record) => {
                let (client, record) = record.read()?;
                self.index.insert(&client, &record);
                if self.bookings.insert(client, record).is_some() {
                    return Err(Unreadable::new("a client has two newest bookings"));
                }
            }
            PieceWire::Earlier(record) => {
                let (client, record) = record.read()?;
                let Slot::Final(end) = record.slot else {
                    return Err(Unreadable::new("an earlier booking is not final"));
                };
                let request = record.request.clone();
                self.earlier_ends.insert((end, client.clone(), request.clone()));
                if self.earlier.insert((client, request), record).is_some() {
                    return Err(Unreadable::new("two earlier bookings have the same request"));
                }
            }
        }
        Ok(())
    }
}
