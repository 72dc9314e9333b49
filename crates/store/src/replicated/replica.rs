//! One process's state: a function of the records that it has applied, and of nothing else.

use std::collections::BTreeMap;
use std::time::Duration;

use bookingq_queue::wire::{Unreadable, decode_strictly};
use bookingq_queue::{Queue, QueueAnswer, QueueCommand, StateDigest};
use prost::Message as _;

use super::dispute::{ComparedClaim, Disputes};
use super::envelope::{DigestClaim, Envelope, KeptSnapshot, KeptSnapshotWire, halves, whole};
use super::log::{LogPosition, LogRecord};

/// Senders that are remembered: those that have sent last. Not a time, because the log's clock may
/// leap, and a double that comes after the leap must still be known.
const MAX_SENDERS: usize = 10_000;

/// What a replica can apply, and how often it compares itself with others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplicaSettings {
    /// The newest rules that this process can apply.
    pub known_rules: u32,
    /// Offsets between two digests.
    pub digest_every: u64,
}

/// A queue and what is needed to apply a log to it.
#[derive(Debug)]
pub struct Replica {
    queue: Queue,
    beside: Beside,
    settings: ReplicaSettings,
    /// The newest record.
    position: Option<LogPosition>,
    /// The newest digest of this state.
    checkpoint: Option<DigestClaim>,
    /// Whether nothing has to be said of the newest digest: the log holds a claim about it, or one
    /// of this process is on its way.
    is_claimed: bool,
    /// What is known of claims that were not true of this process's state.
    disputes: Disputes,
}

/// What is part of the state beside the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Beside {
    /// The rules in force.
    rules: u32,
    /// The newest envelope of each sender, and the offset where it stands.
    senders: BTreeMap<u128, (u64, u64)>,
    /// How often the log has lost records that somebody had read.
    losses: u64,
    /// The newest snapshot that was read back.
    kept: Option<KeptSnapshot>,
}

/// A replica cannot go on, and must not: the log holds what it does not understand, or its state
/// is not that of others.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the record at offset {offset}: {why}")]
pub struct ReplicaStopped {
    /// Where the record stands.
    pub offset: u64,
    /// What is wrong with it.
    pub why: String,
    /// What the state was here, if the record is understood and says that its sender's was another
    /// one. Then a state that is loaded again may agree with it, and shows which one is wrong.
    pub(super) differs: Option<DigestClaim>,
}

/// An envelope that was applied.
#[derive(Debug)]
pub(super) struct AppliedEnvelope {
    pub(super) incarnation: u128,
    pub(super) seq: u64,
    /// `None` if it took effect before.
    pub(super) answers: Option<Vec<QueueAnswer>>,
    /// What it claims of its sender's state, if that state is wrong.
    pub(super) wrong: Option<String>,
}

impl Replica {
    /// An empty queue at the beginning of a log.
    pub fn new(settings: ReplicaSettings) -> Self {
        let mut queue = Queue::new(Duration::ZERO, 1);
        queue.track_digest();
        let beside = Beside { rules: 1, senders: BTreeMap::new(), losses: 0, kept: None };
        let disputes = Disputes::default();
        let position = None;
        Self { queue, beside, settings, position, checkpoint: None, is_claimed: true, disputes }
    }

    /// The state after the record at `position`, of what a snapshot holds of it.
    pub(super) fn restore(
        settings: ReplicaSettings,
        position: LogPosition,
        beside: &[u8],
        queue: Queue,
    ) -> Result<Self, Unreadable> {
        let beside = Beside::decode(beside)?;
        if beside.rules > settings.known_rules {
            let Beside { rules, .. } = beside;
            let known = settings.known_rules;
            let what = format!("rules {rules}; this release knows rules up to {known}");
            return Err(Unreadable::new(what));
        }
        let (position, disputes) = (Some(position), Disputes::default());
        Ok(Self { queue, beside, settings, position, checkpoint: None, is_claimed: true, disputes })
    }

    /// The queue.
    pub fn queue(&self) -> &Queue {
        &self.queue
    }

    /// The newest record.
    pub fn position(&self) -> Option<LogPosition> {
        self.position
    }

    /// The digest of the state: of the queue, and of all else that later records depend on.
    pub fn digest(&self) -> StateDigest {
        self.queue.digest().with(&self.beside.encode())
    }

    /// What is part of the state beside the queue, as bytes.
    pub(super) fn encode_beside(&self) -> Vec<u8> {
        self.beside.encode()
    }

    /// The rules in force.
    pub(super) fn rules(&self) -> u32 {
        self.beside.rules
    }

    /// The newest snapshot that was read back.
    pub(super) fn kept(&self) -> Option<&KeptSnapshot> {
        self.beside.kept.as_ref()
    }

    /// How many records came since the newest snapshot that was read back, by their offsets.
    pub(super) fn since_kept(&self) -> u64 {
        let kept = self.kept().map_or(0, |kept| kept.position.offset + 1);
        self.position.map_or(0, |newest| (newest.offset + 1).saturating_sub(kept))
    }

    /// How often the log has lost records that somebody had read.
    pub(super) fn losses(&self) -> u64 {
        self.beside.losses
    }

    /// The epoch of the data in a log: its id, and how often it has lost records.
    pub(super) fn epoch(&self, log_id: &str) -> String {
        match self.beside.losses {
            0 => log_id.to_owned(),
            losses => format!("{log_id}.{losses}"),
        }
    }

    /// The number of the newest envelope of a sender that took effect.
    pub(super) fn newest_of(&self, incarnation: u128) -> Option<u64> {
        self.beside.senders.get(&incarnation).map(|(seq, _)| *seq)
    }

    /// Whether an envelope of a sender, or one after it, took effect before.
    fn has_applied(&self, incarnation: u128, seq: u64) -> bool {
        self.newest_of(incarnation).is_some_and(|last| seq <= last)
    }

    /// The newest digest, unless nothing has to be said of it. It counts as said from then on.
    pub(super) fn claim(&mut self) -> Option<DigestClaim> {
        let unclaimed = self.checkpoint.filter(|_| !self.is_claimed);
        self.is_claimed = true;
        unclaimed
    }

    /// Goes on with what this process knows of claims from before its state was loaded.
    pub(super) fn remember(&mut self, mut disputes: Disputes) {
        disputes.forget_below(self.position.map_or(0, |position| position.offset));
        self.disputes = disputes;
    }

    /// What this process knows of claims that were not true of its state.
    pub(super) fn disputes(&self) -> &Disputes {
        &self.disputes
    }

    /// Whether senders claim that the state is another one, and no more of them that it is this, or
    /// they did so and have not agreed on any digest since.
    pub(super) fn is_undecided(&self) -> bool {
        self.checkpoint.is_some_and(|own| self.disputes.are_undecided(own.digest))
    }

    /// Applies a record.
    ///
    /// # Errors
    /// [`ReplicaStopped`]: the state is as it was before the record, and no later record may be
    /// applied.
    pub fn replay(&mut self, record: &LogRecord) -> Result<(), ReplicaStopped> {
        self.apply(record).map(drop)
    }

    /// Applies a record.
    pub(super) fn apply(&mut self, record: &LogRecord) -> Result<AppliedEnvelope, ReplicaStopped> {
        let LogPosition { offset, .. } = record.position;
        let stopped = |why, differs| ReplicaStopped { offset, why, differs };
        let envelope =
            Envelope::decode(&record.bytes).map_err(|error| stopped(error.to_string(), None))?;
        self.understand(&envelope).map_err(|why| stopped(why, None))?;
        // Of an envelope that took effect before, its claim was compared then.
        let is_double = self.has_applied(envelope.incarnation, envelope.seq);
        let compared = if is_double { Ok(None) } else { self.compare(&envelope) };
        let wrong = compared.map_err(|(why, own)| stopped(why, own))?;
        let applied = AppliedEnvelope { wrong, ..self.take_effect(envelope, record) };
        let before = self.position.replace(record.position);
        let block = |offset: u64| offset / self.settings.digest_every.max(1);
        if before.is_some_and(|before| block(before.offset) < block(offset)) {
            let own = DigestClaim { position: record.position, digest: self.digest() };
            if let Some(before) = self.checkpoint.replace(own) {
                self.disputes.end_digest(before.digest);
            }
            self.is_claimed = false;
        }
        Ok(applied)
    }

    /// Whether this replica understands an envelope.
    fn understand(&self, envelope: &Envelope<QueueCommand>) -> Result<(), String> {
        let Envelope { rules, upgrade, .. } = envelope;
        let newest = (*rules).max(upgrade.unwrap_or(0));
        let known = self.settings.known_rules;
        if newest > known {
            return Err(format!("rules {newest}; this release knows rules up to {known}"));
        }
        Ok(())
    }

    /// Compares this state with the one that an envelope's sender had. Returns what is wrong with
    /// the sender's. Fails if this one is wrong, or may be: then with what it is.
    fn compare(
        &mut self,
        envelope: &Envelope<QueueCommand>,
    ) -> Result<Option<String>, (String, Option<DigestClaim>)> {
        let (Some(claim), Some(own)) = (envelope.digest, self.checkpoint) else { return Ok(None) };
        if own.position != claim.position {
            return Ok(None);
        }
        let compared = self.disputes.compare(envelope.incarnation, claim.digest, own);
        let line = || {
            let DigestClaim { position, digest } = claim;
            let (offset, here) = (position.offset, own.digest);
            format!("the state after offset {offset} has digest {digest}; here it is {here}")
        };
        match compared {
            ComparedClaim::Same => {
                // In a dispute each process speaks for itself.
                self.is_claimed |= !self.disputes.are_open(own.digest);
                Ok(None)
            }
            ComparedClaim::Outdated => Ok(None),
            ComparedClaim::OtherIsWrong { is_new } => {
                self.is_claimed &= !is_new;
                Ok(Some(line()))
            }
            ComparedClaim::Unknown => Err((line(), Some(own))),
            ComparedClaim::OwnIsWrong(why) => Err((format!("{}, {why}", line()), None)),
        }
    }

    fn take_effect(
        &mut self,
        envelope: Envelope<QueueCommand>,
        record: &LogRecord,
    ) -> AppliedEnvelope {
        let Envelope { incarnation, seq, limits, commands, .. } = envelope;
        if self.has_applied(incarnation, seq) {
            return AppliedEnvelope { incarnation, seq, answers: None, wrong: None };
        }
        let beside = &mut self.beside;
        // Its sender may know of an upgrade that the log has lost since.
        beside.rules = beside.rules.max(envelope.rules).max(envelope.upgrade.unwrap_or(0));
        beside.remember(incarnation, seq, record.position.offset);
        if let Some(known) = envelope.loss {
            beside.lose(known);
        }
        if let Some(kept) = envelope.kept {
            beside.keep(kept);
        }
        // Also without commands: a barrier shows the time.
        self.queue.begin(limits, record.stamp);
        let answers = commands
            .iter()
            .map(|command| self.queue.apply(command, limits, record.stamp))
            .collect();
        AppliedEnvelope { incarnation, seq, answers: Some(answers), wrong: None }
    }
}

impl Beside {
    /// Remembers the newest envelope of a sender, and forgets the one that was silent the longest
    /// if there are too many.
    fn remember(&mut self, incarnation: u128, seq: u64, offset: u64) {
        self.senders.insert(incarnation, (seq, offset));
        if self.senders.len() > MAX_SENDERS {
            let silent = self.senders.iter().min_by_key(|(_, (_, offset))| *offset);
            if let Some(silent) = silent.map(|(incarnation, _)| *incarnation) {
                self.senders.remove(&silent);
            }
        }
    }

    /// Counts a loss once, although each process that has seen it says so: all but the first one
    /// know of fewer losses than there are by then. One that knows of more has read a record that
    /// counted a loss, and that the log has lost since.
    fn lose(&mut self, known: u64) {
        if known >= self.losses {
            self.losses = known.saturating_add(1);
        }
    }

    /// Takes a snapshot that was read back, if it is newer than the one before in both logs: then
    /// who trims below either of the two leaves the newer one whole.
    fn keep(&mut self, kept: KeptSnapshot) {
        let is_newer = self.kept.as_ref().is_none_or(|before| {
            let other_log = kept.log_id != before.log_id;
            kept.position.offset > before.position.offset
                && (other_log || kept.first > before.first)
        });
        if is_newer {
            self.kept = Some(kept);
        }
    }

    fn encode(&self) -> Vec<u8> {
        let senders = self.senders.iter().map(|(incarnation, (seq, offset))| {
            let (high, low) = halves(*incarnation);
            SenderWire { high, low, seq: *seq, offset: *offset }
        });
        let wire = BesideWire {
            rules: self.rules,
            senders: senders.collect(),
            losses: self.losses,
            kept: self.kept.as_ref().map(Into::into),
        };
        wire.encode_to_vec()
    }

    fn decode(bytes: &[u8]) -> Result<Self, Unreadable> {
        let wire: BesideWire = decode_strictly(bytes)?;
        if wire.rules == 0 {
            return Err(Unreadable::missing("the rules"));
        }
        let senders = wire.senders.into_iter();
        let senders =
            senders.map(|SenderWire { high, low, seq, offset }| (whole(high, low), (seq, offset)));
        Ok(Self {
            rules: wire.rules,
            senders: senders.collect(),
            losses: wire.losses,
            kept: wire.kept.map(Into::into),
        })
    }
}

#[derive(Clone, PartialEq, prost::Message)]
struct BesideWire {
    #[prost(uint32, tag = "1")]
    rules: u32,
    #[prost(message, repeated, tag = "2")]
    senders: Vec<SenderWire>,
    #[prost(uint64, tag = "3")]
    losses: u64,
    #[prost(message, optional, tag = "4")]
    kept: Option<KeptSnapshotWire>,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
struct SenderWire {
    #[prost(fixed64, tag = "1")]
    high: u64,
    #[prost(fixed64, tag = "2")]
    low: u64,
    #[prost(uint64, tag = "3")]
    seq: u64,
    #[prost(uint64, tag = "4")]
    offset: u64,
}
