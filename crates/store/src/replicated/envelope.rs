//! What a record of the log holds: the commands of one process, or none, as one step.

use std::time::Duration;

use bookingq_core::time::millis;
use bookingq_queue::wire::decode_strictly;
use bookingq_queue::{QueueCommand, QueueLimits, StateDigest, Unreadable};
use prost::Message as _;

/// The newest rules that this release can apply. They change with what a command means, or with
/// what an envelope holds.
pub const KNOWN_RULES: u32 = 1;

/// The most bytes of the commands of an envelope, and of a part of a snapshot.
pub const MAX_ENVELOPE_BYTES: usize = 900_000;

/// The most bytes of a record: an envelope with what stands around its commands. Kafka's brokers
/// take 1 MiB by default.
pub const MAX_RECORD_BYTES: usize = 960_000;

/// One record of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Envelope {
    /// The rules that its sender applied when it sent it.
    pub(super) rules: u32,
    /// Its sender: another one for each start of a process.
    pub(super) incarnation: u128,
    /// Its number among those of its sender.
    pub(super) seq: u64,
    /// What the queue keeps from now on.
    pub(super) limits: QueueLimits,
    /// In the order in which they take effect.
    pub(super) commands: Vec<QueueCommand>,
    /// What the sender's state was at a record before.
    pub(super) digest: Option<DigestClaim>,
    /// The rules that all apply from here on.
    pub(super) upgrade: Option<u32>,
}

/// The digest of the state after the record at `offset`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct DigestClaim {
    pub(super) offset: u64,
    pub(super) digest: StateDigest,
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
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
struct DigestClaimWire {
    #[prost(uint64, tag = "1")]
    offset: u64,
    #[prost(fixed64, tag = "2")]
    high: u64,
    #[prost(fixed64, tag = "3")]
    low: u64,
}

impl Envelope {
    /// The envelope as bytes. Its commands are encoded already, since their sizes decide how many
    /// of them it holds.
    pub(super) fn encode(&self, commands: Vec<Vec<u8>>) -> Vec<u8> {
        let digest = self.digest.map(|DigestClaim { offset, digest }| {
            let (high, low) = halves(digest.0);
            DigestClaimWire { offset, high, low }
        });
        let (incarnation_high, incarnation_low) = halves(self.incarnation);
        let wire = EnvelopeWire {
            rules: self.rules,
            incarnation_high,
            incarnation_low,
            seq: self.seq,
            retention_ms: millis(self.limits.retention),
            outbox_events: self.limits.outbox_events as u64,
            commands,
            digest,
            upgrade: self.upgrade,
        };
        wire.encode_to_vec()
    }

    /// Reads an envelope, and all of its commands.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, Unreadable> {
        let wire: EnvelopeWire = decode_strictly(bytes)?;
        let commands = wire.commands.iter().map(|bytes| QueueCommand::decode(bytes));
        let claim = |wire: DigestClaimWire| DigestClaim {
            offset: wire.offset,
            digest: StateDigest(whole(wire.high, wire.low)),
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
        })
    }
}

fn halves(whole: u128) -> (u64, u64) {
    ((whole >> 64) as u64, whole as u64)
}

fn whole(high: u64, low: u64) -> u128 {
    (u128::from(high) << 64) | u128::from(low)
}
