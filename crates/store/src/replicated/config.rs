//! Settings of a replicated store.

use std::time::Duration;

use bookingq_core::{QueueName, defaults};
use bookingq_queue::QueueLimits;

use super::envelope::KNOWN_RULES;
use super::replica::ReplicaSettings;

/// Settings of a replicated store.
#[derive(Debug, Clone)]
pub struct ReplicatedConfig {
    /// The queue.
    pub queue: QueueName,
    /// How long a final booking can still be read.
    pub retention: Duration,
    /// Events kept for followers; about 300 bytes each.
    pub outbox_events: usize,
    /// Longest that a call waits for its answer.
    pub timeout: Duration,
    /// How long an envelope may take to be read back before it is sent again.
    pub resend_after: Duration,
    /// Offsets between two digests.
    pub digest_every: u64,
    /// Offsets between two snapshots, at least.
    pub snapshot_every: u64,
    /// The newest rules that this process can apply: [`KNOWN_RULES`], but in tests of upgrades.
    pub known_rules: u32,
}

impl ReplicatedConfig {
    /// The defaults.
    pub fn new(queue: QueueName) -> Self {
        Self {
            queue,
            retention: defaults::RETENTION,
            outbox_events: 1_000_000,
            timeout: Duration::from_secs(5),
            resend_after: Duration::from_secs(1),
            digest_every: 10_000,
            snapshot_every: 10_000,
            known_rules: KNOWN_RULES,
        }
    }

    pub(super) fn limits(&self) -> QueueLimits {
        QueueLimits { retention: self.retention, outbox_events: self.outbox_events }
    }

    pub(super) fn replica_settings(&self) -> ReplicaSettings {
        ReplicaSettings { known_rules: self.known_rules, digest_every: self.digest_every }
    }
}
