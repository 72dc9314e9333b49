//! What a record of the log holds: the commands of one process, or none, as one step.

use std::time::Duration;

use bookingq_core::time::millis;
use bookingq_queue::wire::decode_strictly;
use bookingq_queue::{QueueCommand, QueueLimits, StateDigest, Unreadable};
use prost::Message as _;

use super::log::LogPosition;

/// The newest rules that this release can apply. They change with what a command means, or with
/// what an envelope holds.
pub const KNOWN_RULES: u32 = 1;

/// The most bytes of the commands of an envelope, and of a part of a snapshot.
pub(super) const MAX_ENVELOPE_BYTES: usize = 900_000;

/// The most bytes of a record: an envelope with what stands around its commands. Kafka's brokers
/// take 1 MiB by default.
pub const MAX_RECORD_BYTES: usize = 960_000;

/// One record of the log. Its commands are bytes for its sender, whose envelope holds as many of
/// them as fit, and commands for its readers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Envelope<C> {
    /// The rules that its sender applied when it sent it.
    pub(super) rules: u32,
    /// Its sender: another one for each start of a process.
    pub(super) incarnation: u128,
    /// Its number among those of its sender.
    pub(super) seq: u64,
    /// What the queue keeps from now on.
    pub(super) limits: QueueLimits,
    /// In the order in which they take effect.
    pub(super) commands: Vec<C>,
    /// What the sender's state was at a record before.
    pub(super) digest: Option<DigestClaim>,
    /// The rules that all apply from here on.
    pub(super) upgrade: Option<u32>,
    /// The log has lost records that the sender had read; the number of losses that the sender knew
    /// of before.
    pub(super) loss: Option<u64>,
    /// A snapshot that the sender has read back.
    pub(super) kept: Option<KeptSnapshot>,
}

/// The digest of the state after a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct DigestClaim {
    pub(super) position: LogPosition,
    pub(super) digest: StateDigest,
}

/// A snapshot that was read back as it was written: what it holds may be trimmed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KeptSnapshot {
    /// The newest record in it.
    pub(super) position: LogPosition,
    /// The id of the log of snapshots.
    pub(super) log_id: String,
    /// The offset of its first part there.
    pub(super) first: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
struct EnvelopeWire {
    #[prost(uint32, tag = "1")]
    rules: u32,
    #[prost(fixed64, tag = "2")]
    incarnation_high: u64,
    #[prost(fixed64, tag = "3")]
    incarnation_low: u64,
    #[prost(uint64, tag = "4")]
    seq: u64,
    #[prost(uint64, tag = "5")]
    retention_ms: u64,
    #[prost(uint64, tag = "6")]
    outbox_events: u64,
    #[prost(bytes = "vec", repeated, tag = "7")]
    commands: Vec<Vec<u8>>,
    #[prost(message, optional, tag = "8")]
    digest: Option<DigestClaimWire>,
    #[prost(uint32, optional, tag = "9")]
    upgrade: Option<u32>,
    #[prost(uint64, optional, tag = "10")]
    loss: Option<u64>,
    #[prost(message, optional, tag = "11")]
    kept: Option<KeptSnapshotWire>,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
struct DigestClaimWire {
    #[prost(uint64, tag = "1")]
    offset: u64,
    #[prost(uint64, tag = "2")]
    term: u64,
    #[prost(fixed64, tag = "3")]
    high: u64,
    #[prost(fixed64, tag = "4")]
    low: u64,
}

/// A [`KeptSnapshot`], which a replica's own state names too.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct KeptSnapshotWire {
    #[prost(uint64, tag = "1")]
    offset: u64,
    #[prost(uint64, tag = "2")]
    term: u64,
    #[prost(string, tag = "3")]
    log_id: String,
    #[prost(uint64, tag = "4")]
    first: u64,
}

impl Envelope<Vec<u8>> {
    /// The envelope as bytes.
    pub(super) fn encode(self) -> Vec<u8> {
        let digest = self.digest.map(|DigestClaim { position, digest }| {
            let (high, low) = halves(digest.0);
            DigestClaimWire { offset: position.offset, term: position.term, high, low }
        });
        let (incarnation_high, incarnation_low) = halves(self.incarnation);
        let wire = EnvelopeWire {
            rules: self.rules,
            incarnation_high,
            incarnation_low,
            seq: self.seq,
            retention_ms: millis(self.limits.retention),
            outbox_events: self.limits.outbox_events as u64,
            commands: self.commands,
            digest,
            upgrade: self.upgrade,
            loss: self.loss,
            kept: self.kept.as_ref().map(Into::into),
        };
        wire.encode_to_vec()
    }
}

impl Envelope<QueueCommand> {
    /// Reads an envelope, and all of its commands.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, Unreadable> {
        let wire: EnvelopeWire = decode_strictly(bytes)?;
        if wire.rules == 0 {
            return Err(Unreadable::missing("the rules"));
        }
        let commands = wire.commands.iter().map(|bytes| QueueCommand::decode(bytes));
        let claim = |DigestClaimWire { offset, term, high, low }| DigestClaim {
            position: LogPosition { offset, term },
            digest: StateDigest(whole(high, low)),
        };
        Ok(Self {
            rules: wire.rules,
            incarnation: whole(wire.incarnation_high, wire.incarnation_low),
            seq: wire.seq,
            limits: QueueLimits {
                retention: Duration::from_millis(wire.retention_ms),
                outbox_events: usize::try_from(wire.outbox_events).unwrap_or(usize::MAX),
            },
            commands: commands.collect::<Result<_, _>>()?,
            digest: wire.digest.map(claim),
            upgrade: wire.upgrade,
            loss: wire.loss,
            kept: wire.kept.map(Into::into),
        })
    }
}

/// The snapshot of which a record says that it is kept, if it is an envelope that does.
pub(super) fn kept_in(record: &[u8]) -> Option<KeptSnapshot> {
    EnvelopeWire::decode(record).ok()?.kept.map(Into::into)
}

impl From<&KeptSnapshot> for KeptSnapshotWire {
    fn from(KeptSnapshot { position, log_id, first }: &KeptSnapshot) -> Self {
        let LogPosition { offset, term } = *position;
        Self { offset, term, log_id: log_id.clone(), first: *first }
    }
}

impl From<KeptSnapshotWire> for KeptSnapshot {
    fn from(KeptSnapshotWire { offset, term, log_id, first }: KeptSnapshotWire) -> Self {
        Self { position: LogPosition { offset, term }, log_id, first }
    }
}

/// The halves of a number, as the wire format holds it.
pub(super) fn halves(whole: u128) -> (u64, u64) {
    ((whole >> 64) as u64, whole as u64)
}

/// The number of these halves.
pub(super) fn whole(high: u64, low: u64) -> u128 {
    (u128::from(high) << 64) | u128::from(low)
}
