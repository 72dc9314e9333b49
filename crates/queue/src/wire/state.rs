//! The whole state of a queue: chunks of bytes, and the digest.
//!
//! Everything that a later command can depend on is in it. The events themselves are not, only
//! where the newest one stands: a follower of a queue that was decoded gets a gap and resyncs.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bookingq_core::{ClientId, Place};
use prost::Message;

use super::head::HeadWire;
use super::item::ItemWire;
use super::record::RecordWire;
use super::{StateDigest, Unreadable, decode_strictly};
use crate::queue::Queue;
use crate::record::{Record, Slot};
use crate::snapshot::Totals;

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
    /// The state in chunks of at most `max_bytes`, where no part of it is larger. Equal states give
    /// equal chunks.
    pub fn encode(&self, max_bytes: usize) -> impl Iterator<Item = Vec<u8>> + '_ {
        let mut parts = self.parts().peekable();
        std::iter::from_fn(move || {
            let first = parts.next()?;
            let mut size = framed(&first);
            let mut chunk = ChunkWire { parts: vec![first] };
            while let Some(part) = parts.next_if(|part| size + framed(part) <= max_bytes) {
                size += framed(&part);
                chunk.parts.push(part);
            }
            Some(chunk.encode_to_vec())
        })
    }

    /// The queue whose state was [encoded](Self::encode) in these chunks, in their order. It
    /// [tracks](Self::track_digest) its digest.
    ///
    /// # Errors
    /// [`Unreadable`] if a chunk is missing, doubled, out of order or not of this release.
    pub fn decode<C: AsRef<[u8]>>(chunks: impl IntoIterator<Item = C>) -> Result<Self, Unreadable> {
        let mut reader = StateReader::new();
        for chunk in chunks {
            reader.read(chunk.as_ref())?;
        }
        reader.finish()
    }

    /// The digest of the state. It takes time in proportion to the state, unless the queue
    /// [tracks](Self::track_digest) it.
    pub fn digest(&self) -> StateDigest {
        let sum = self.bookings.sum().wrapping_add(self.index.items.sum());
        let head = PieceWire::Head(HeadWire::new(self));
        let mut bytes = Vec::with_capacity(head.encoded_len());
        head.encode(&mut bytes);
        StateDigest(sum).with(&bytes)
    }

    /// The head, the items by name, then the bookings by place: in this order a restored line needs
    /// no sorting.
    fn parts(&self) -> impl Iterator<Item = StatePartWire> + '_ {
        let mut items: Vec<_> = self.index.items.all().collect();
        items.sort_by(|a, b| a.0.cmp(b.0));
        let mut bookings: Vec<(&ClientId, &Record)> = self.bookings.all().collect();
        bookings.sort_by_key(|(_, record)| record.place);
        let mut earlier: Vec<_> = self.bookings.all_earlier().collect();
        earlier.sort_by_key(|(_, record)| record.place);
        let items =
            items.into_iter().map(|(name, item)| PieceWire::Item(ItemWire::new(name, item)));
        let bookings = bookings
            .into_iter()
            .map(|(client, record)| PieceWire::Booking(RecordWire::new(client, record)));
        let earlier = earlier
            .into_iter()
            .map(|(client, record)| PieceWire::Earlier(RecordWire::new(client, record)));
        let head = std::iter::once(PieceWire::Head(HeadWire::new(self)));
        let pieces = head.chain(items).chain(bookings).chain(earlier);
        pieces.map(|piece| StatePartWire { piece: Some(piece) })
    }
}

/// The bytes of a part in its chunk.
fn framed(part: &StatePartWire) -> usize {
    let bytes = part.encoded_len();
    1 + prost::length_delimiter_len(bytes) + bytes
}

/// Reads a state chunk by chunk, so that the chunks need not be in memory together.
#[derive(Debug)]
pub struct StateReader {
    queue: Queue,
    /// How many bookings, earlier ones and items there are.
    expected: Option<(u64, u64, u64)>,
    /// The newest part.
    last: PartOrder,
    /// The first place of the line, and how many have joined it.
    line: Option<(u64, u64)>,
}

/// The order of the parts of a state.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum PartOrder {
    Head,
    Item(Arc<str>),
    Booking(Place),
    Earlier(Place),
}

impl StateReader {
    /// At the beginning.
    #[expect(clippy::new_without_default, reason = "it is of no use without chunks")]
    pub fn new() -> Self {
        let mut queue = Queue::new(Duration::ZERO, 1);
        queue.track_digest();
        Self { queue, expected: None, last: PartOrder::Head, line: None }
    }

    /// Reads the next chunk.
    ///
    /// # Errors
    /// [`Unreadable`] if it is not the next one, or not of this release.
    pub fn read(&mut self, chunk: &[u8]) -> Result<(), Unreadable> {
        let chunk: ChunkWire = decode_strictly(chunk)?;
        for part in chunk.parts {
            let piece = part.piece.ok_or_else(|| Unreadable::missing("a piece of a state"))?;
            match (piece, &self.expected) {
                (PieceWire::Head(head), None) => {
                    self.expected = Some((head.bookings, head.earlier, head.items));
                    head.restore(&mut self.queue)?;
                }
                (PieceWire::Head(_), Some(_)) => {
                    return Err(Unreadable::new("the state begins twice"));
                }
                (_, None) => return Err(Unreadable::missing("the first chunk")),
                (piece, Some(_)) => self.restore(piece)?,
            }
        }
        Ok(())
    }

    /// The queue.
    ///
    /// # Errors
    /// [`Unreadable`] if chunks are missing, or contradict each other.
    pub fn finish(mut self) -> Result<Queue, Unreadable> {
        let queue = &mut self.queue;
        let (bookings, earlier) = (queue.bookings.len(), queue.bookings.earlier_len());
        let sizes = (bookings as u64, earlier as u64, queue.index.items.len() as u64);
        match self.expected {
            None => return Err(Unreadable::missing("the first chunk")),
            Some(expected) if expected != sizes => {
                return Err(Unreadable::new(format!(
                    "the state has (bookings, earlier, items) {sizes:?} instead of {expected:?}"
                )));
            }
            Some(_) => {}
        }
        let mut unsettled: HashMap<&str, u64> = HashMap::new();
        for (_, record) in queue.bookings.all().filter(|(_, record)| record.slot.is_unsettled()) {
            *unsettled.entry(&record.details.item).or_default() += 1;
        }
        let wrong =
            queue.index.items.all().find(|(name, item)| {
                unsettled.remove(&***name).unwrap_or_default() != item.unsettled
            });
        if wrong.is_some() || !unsettled.is_empty() {
            return Err(Unreadable::new("an item counts bookings that it does not have"));
        }
        queue.index.items.settle();
        Ok(self.queue)
    }

    fn restore(&mut self, piece: PieceWire) -> Result<(), Unreadable> {
        match piece {
            PieceWire::Head(_) => {}
            PieceWire::Item(item) => {
                let (name, item) = item.read()?;
                self.advance(PartOrder::Item(Arc::clone(&name)))?;
                self.queue.index.items.restore(name, item);
            }
            PieceWire::Booking(record) => {
                let (client, record) = record.read()?;
                self.check(&record)?;
                self.advance(PartOrder::Booking(record.place))?;
                self.queue.index.insert(&client, &record);
                if !self.queue.bookings.restore(client, record) {
                    return Err(Unreadable::new("a client has two newest bookings"));
                }
            }
            PieceWire::Earlier(record) => {
                let (client, record) = record.read()?;
                self.check(&record)?;
                self.advance(PartOrder::Earlier(record.place))?;
                if !self.queue.bookings.keep_earlier(&client, record) {
                    let what = "an earlier booking is not final, or its request was made twice";
                    return Err(Unreadable::new(what));
                }
            }
        }
        Ok(())
    }

    fn advance(&mut self, next: PartOrder) -> Result<(), Unreadable> {
        if next <= self.last {
            let what = format!("the state is out of order: {next:?} after {:?}", self.last);
            return Err(Unreadable::new(what));
        }
        self.last = next;
        Ok(())
    }

    /// Whether a booking can be one of this queue.
    fn check(&mut self, record: &Record) -> Result<(), Unreadable> {
        let Totals { enqueued, claimed, .. } = self.queue.index.totals;
        let place = record.place.number.get();
        if place == 0 || place > enqueued || record.fence.0 > claimed {
            return Err(Unreadable::new(format!(
                "a booking has place {place} and fence {}, of {enqueued} and {claimed}",
                record.fence.0
            )));
        }
        if record.slot == Slot::Line {
            let (first, joined) = self.line.unwrap_or((place, 0));
            // A line takes memory for each place between its first and its last.
            if place.saturating_sub(first) > LINE_GAPS + LINE_GAPS_FOR_EACH * joined {
                let what = format!("{joined} places of the line are between {first} and {place}");
                return Err(Unreadable::new(what));
            }
            self.line = Some((first, joined + 1));
        }
        Ok(())
    }
}

/// How many places of a line may be empty, beyond those for each that is not. Clients are served
/// in their order, so that only who has left in between can make a gap.
const LINE_GAPS: u64 = 1 << 24;
const LINE_GAPS_FOR_EACH: u64 = 1024;
