//! What a record of the log of snapshots holds: a part of a snapshot.
//!
//! A snapshot is what stands beside the queue, then the queue in chunks, then a manifest. Parts of
//! two snapshots may stand between each other; a part may be there twice.

use bookingq_queue::StateDigest;
use bookingq_queue::wire::{Unreadable, decode_strictly};
use prost::Message as _;

use super::envelope::{halves, whole};
use super::log::LogPosition;

/// One record of the log of snapshots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SnapshotPart {
    /// Another one for each snapshot.
    pub(super) snapshot: u128,
    /// Counts the parts of a snapshot from 0.
    pub(super) index: u64,
    pub(super) content: PartContent,
}

/// What a part holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum PartContent {
    /// The first part: the state beside the queue.
    Beside(Vec<u8>),
    /// A chunk of the queue.
    Chunk(Vec<u8>),
    /// The last part: only with it the snapshot is whole.
    Manifest(SnapshotManifest),
}

/// What the parts before add up to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SnapshotManifest {
    /// The log of commands whose beginning the state is a function of.
    pub(super) log_id: String,
    /// The newest record in the state.
    pub(super) position: LogPosition,
    /// The digest of the state.
    pub(super) digest: StateDigest,
}

#[derive(Clone, PartialEq, prost::Message)]
struct SnapshotPartWire {
    #[prost(fixed64, tag = "1")]
    high: u64,
    #[prost(fixed64, tag = "2")]
    low: u64,
    #[prost(uint64, tag = "3")]
    index: u64,
    #[prost(oneof = "PartContentWire", tags = "4, 5, 6")]
    content: Option<PartContentWire>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum PartContentWire {
    #[prost(bytes, tag = "4")]
    Beside(Vec<u8>),
    #[prost(bytes, tag = "5")]
    Chunk(Vec<u8>),
    #[prost(message, tag = "6")]
    Manifest(ManifestWire),
}

#[derive(Clone, PartialEq, prost::Message)]
struct ManifestWire {
    #[prost(string, tag = "1")]
    log_id: String,
    #[prost(uint64, tag = "2")]
    offset: u64,
    #[prost(uint64, tag = "3")]
    term: u64,
    #[prost(fixed64, tag = "4")]
    high: u64,
    #[prost(fixed64, tag = "5")]
    low: u64,
}

impl SnapshotPart {
    pub(super) fn encode(self) -> Vec<u8> {
        let content = match self.content {
            PartContent::Beside(bytes) => PartContentWire::Beside(bytes),
            PartContent::Chunk(bytes) => PartContentWire::Chunk(bytes),
            PartContent::Manifest(SnapshotManifest { log_id, position, digest }) => {
                let LogPosition { offset, term } = position;
                let (high, low) = halves(digest.0);
                PartContentWire::Manifest(ManifestWire { log_id, offset, term, high, low })
            }
        };
        let (high, low) = halves(self.snapshot);
        SnapshotPartWire { high, low, index: self.index, content: Some(content) }.encode_to_vec()
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, Unreadable> {
        let wire: SnapshotPartWire = decode_strictly(bytes)?;
        let content = wire.content.ok_or_else(|| Unreadable::missing("a part of a snapshot"))?;
        let content = match content {
            PartContentWire::Beside(bytes) => PartContent::Beside(bytes),
            PartContentWire::Chunk(bytes) => PartContent::Chunk(bytes),
            PartContentWire::Manifest(ManifestWire { log_id, offset, term, high, low }) => {
                PartContent::Manifest(SnapshotManifest {
                    log_id,
                    position: LogPosition { offset, term },
                    digest: StateDigest(whole(high, low)),
                })
            }
        };
        Ok(Self { snapshot: whole(wire.high, wire.low), index: wire.index, content })
    }
}
