//! One process's state: a function of the records that it has applied, and of nothing else.

use std::collections::BTreeMap;
use std::time::Duration;

use bookingq_queue::{Queue, QueueAnswer, StateDigest};

use super::envelope::{DigestClaim, Envelope};
use super::log::{LogPosition, LogRecord};

/// Senders that are remembered: those that have sent last. Not a time, because the log's clock may
/// leap, and a double that comes after the leap must still be known.
const MAX_SENDERS: usize = 10_000;

/// A queue and what is needed to apply a log to it.
#[derive(Debug)]
pub struct Replica {
    queue: Queue,
    /// The rules in force.
    rules: u32,
    /// The newest rules that this process can apply.
    known_rules: u32,
    /// The newest envelope of each sender, and the offset where it stands.
    senders: BTreeMap<u128, (u64, u64)>,
    /// The newest record.
    position: Option<LogPosition>,
    /// Records between two digests.
    digest_every: u64,
    /// The newest digest of this state.
    checkpoint: Option<DigestClaim>,
    /// Whether the log holds a claim about the newest digest.
    is_claimed: bool,
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
}

/// An envelope that took effect.
#[derive(Debug)]
pub(super) struct AppliedEnvelope {
    pub(super) incarnation: u128,
    pub(super) seq: u64,
    pub(super) answers: Vec<QueueAnswer>,
}

impl Replica {
    /// An empty queue at the beginning of a log. It knows rules up to `known_rules`, and computes
    /// its digest each `digest_every` offsets.
    pub fn new(known_rules: u32, digest_every: u64) -> Self {
        Self {
            queue: Queue::new(Duration::ZERO, 1),
            rules: 1,
            known_rules,
            senders: BTreeMap::new(),
            position: None,
            digest_every: digest_every.max(1),
            checkpoint: None,
            is_claimed: true,
        }
    }

    /// The queue.
    pub fn queue(&self) -> &Queue {
        &self.queue
    }

    /// The newest record.
    pub fn position(&self) -> Option<LogPosition> {
        self.position
    }

    /// The digest of the state.
    pub fn digest(&self) -> StateDigest {
        self.queue.digest()
    }

    /// The rules in force.
    pub(super) fn rules(&self) -> u32 {
        self.rules
    }

    /// The newest digest, unless a claim about it is in the log.
    pub(super) fn unclaimed(&self) -> Option<DigestClaim> {
        self.checkpoint.filter(|_| !self.is_claimed)
    }

    /// Applies a record.
    ///
    /// # Errors
    /// [`ReplicaStopped`]: the state is as it was before the record, and no later record may be
    /// applied.
    pub fn replay(&mut self, record: &LogRecord) -> Result<(), ReplicaStopped> {
        self.apply(record).map(drop)
    }

    /// Applies a record. `None` if its envelope took effect before.
    pub(super) fn apply(
        &mut self,
        record: &LogRecord,
    ) -> Result<Option<AppliedEnvelope>, ReplicaStopped> {
        let offset = record.position.offset;
        let stopped = |why: String| ReplicaStopped { offset, why };
        let envelope =
            Envelope::decode(&record.bytes).map_err(|error| stopped(error.to_string()))?;
        self.check(&envelope).map_err(stopped)?;
        let applied = self.take_effect(envelope, record);
        let before = self.position.replace(record.position);
        let block = |offset: u64| offset / self.digest_every;
        if before.is_some_and(|before| block(before.offset) < block(offset)) {
            self.checkpoint = Some(DigestClaim { offset, digest: self.queue.digest() });
            self.is_claimed = false;
        }
        Ok(applied)
    }

    /// Whether this replica understands an envelope, and has the state that its sender had.
    fn check(&mut self, envelope: &Envelope) -> Result<(), String> {
        let Envelope { rules, upgrade, digest, .. } = envelope;
        let newest = (*rules).max(upgrade.unwrap_or(0));
        if newest > self.known_rules {
            let known = self.known_rules;
            return Err(format!("rules {newest}; this release knows rules up to {known}"));
        }
        if *rules > self.rules {
            return Err(format!("rules {rules}, which no upgrade before it has set"));
        }
        let Some(claim) = digest else { return Ok(()) };
        match self.checkpoint {
            Some(own) if own.offset == claim.offset && own.digest != claim.digest => Err(format!(
                "the state after offset {} has digest {}; here it is {}",
                claim.offset, claim.digest, own.digest
            )),
            Some(own) => {
                self.is_claimed |= own.offset == claim.offset;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn take_effect(&mut self, envelope: Envelope, record: &LogRecord) -> Option<AppliedEnvelope> {
        let Envelope { incarnation, seq, limits, commands, upgrade, .. } = envelope;
        if self.senders.get(&incarnation).is_some_and(|(last, _)| seq <= *last) {
            return None;
        }
        self.rules = self.rules.max(upgrade.unwrap_or(0));
        self.remember(incarnation, seq, record.position.offset);
        // Also without commands: a barrier shows the time.
        self.queue.begin(limits, record.stamp);
        let answers = commands
            .iter()
            .map(|command| self.queue.apply(command, limits, record.stamp))
            .collect();
        Some(AppliedEnvelope { incarnation, seq, answers })
    }

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
}
