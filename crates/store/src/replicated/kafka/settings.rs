//! Settings of a queue, sent into its log by a process that does not read it: the operator, which
//! would otherwise hold all bookings of every queue in its memory.
//!
//! An envelope's number makes it take effect once and in order: one that comes late, after a newer
//! one, is skipped. Whether it came at all is seen in the next reading.

use bookingq_core::{Admission, BookingId, SaleRules, Workforce};
use bookingq_queue::{QueueCommand, QueueLimits};

use super::address::KafkaAddress;
use super::log::KafkaLog;
use crate::replicated::config::ReplicatedConfig;
use crate::replicated::envelope::Envelope;
use crate::replicated::log::{CommandLog as _, LogError};
use crate::{Result, StoreError};

/// The rules under which the commands of this file have always meant the same.
const RULES: u32 = 1;

/// Sends settings of one queue.
pub struct KafkaSettings {
    log: KafkaLog,
    incarnation: u128,
    limits: QueueLimits,
    /// Held while one is sent: an envelope follows the one before.
    seq: tokio::sync::Mutex<u64>,
}

impl KafkaSettings {
    /// Connects at the first call. `config` must be that of the queue's workers, whose retention
    /// each envelope repeats.
    ///
    /// # Errors
    /// [`StoreError::Settings`] if the client cannot be made.
    pub fn new(address: &KafkaAddress, config: &ReplicatedConfig) -> Result<Self> {
        Ok(Self {
            log: KafkaLog::new(address, address.commands(&config.queue))?,
            incarnation: BookingId::generate().to_u128(),
            limits: config.limits(),
            seq: tokio::sync::Mutex::new(0),
        })
    }

    /// Opens, pauses or closes the queue.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if the brokers do not acknowledge it, and
    /// [`StoreError::Settings`] if the topic is refused. It may take effect all the same.
    pub async fn set_admission(&self, admission: Admission) -> Result<()> {
        self.send(&QueueCommand::SetAdmission(admission)).await
    }

    /// Sets the rules of the sale.
    ///
    /// # Errors
    /// As those of [`Self::set_admission`].
    pub async fn set_rules(&self, rules: SaleRules) -> Result<()> {
        self.send(&QueueCommand::SetRules(rules)).await
    }

    /// Records the workers of the queue.
    ///
    /// # Errors
    /// As those of [`Self::set_admission`].
    pub async fn set_workforce(&self, workforce: &Workforce) -> Result<()> {
        self.send(&QueueCommand::SetWorkforce(workforce.clone())).await
    }

    async fn send(&self, command: &QueueCommand) -> Result<()> {
        let mut seq = self.seq.lock().await;
        *seq += 1;
        let envelope = Envelope {
            rules: RULES,
            incarnation: self.incarnation,
            seq: *seq,
            limits: self.limits,
            commands: vec![command.encode()],
            digest: None,
            upgrade: None,
            loss: None,
            kept: None,
        };
        self.log.append(&envelope.encode()).await.map_err(|error| match error {
            LogError::Unusable(why) => StoreError::Settings(why),
            error => StoreError::Unavailable(error.to_string()),
        })
    }
}
