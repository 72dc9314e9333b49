//! What a build without the feature `kafka` has in place of the store's clients: each says so.

use std::sync::Arc;
use std::time::Duration;

use bookingq_core::{Admission, QueueName, SaleRules, Workforce};

use super::address::KafkaAddress;
use super::{KafkaConfig, LogPlacement};
use crate::replicated::CommandLog;
use crate::replicated::config::ReplicatedConfig;
use crate::{Result, Snapshot, Store, StoreError};

pub(crate) fn open(_: KafkaConfig) -> Result<Arc<dyn Store>> {
    Err(not_built())
}

/// Fails: this build has no feature `kafka`.
///
/// # Errors
/// [`StoreError::Settings`], which names the feature.
pub fn check_built() -> Result<()> {
    Err(not_built())
}

/// Makes the topics of a queue; not in this build.
///
/// # Errors
/// Always [`StoreError::Settings`]: this build has no feature `kafka`.
#[allow(clippy::unused_async, reason = "the same as with the feature")]
pub async fn create_topics(_: &KafkaAddress, _: &QueueName, _: u16) -> Result<bool> {
    Err(not_built())
}

/// Checks the topics of a queue; not in this build.
///
/// # Errors
/// As those of [`create_topics`].
#[allow(clippy::unused_async, reason = "the same as with the feature")]
pub async fn ensure_topics(_: &KafkaAddress, _: &QueueName, _: u16) -> Result<Vec<String>> {
    Err(not_built())
}

/// The log of a queue's commands; not in this build.
///
/// # Errors
/// As those of [`create_topics`].
pub fn open_commands(_: &KafkaAddress, _: &QueueName) -> Result<Arc<dyn CommandLog>> {
    Err(not_built())
}

/// Who has the log of a queue's commands; not in this build.
///
/// # Errors
/// As those of [`create_topics`].
#[allow(clippy::unused_async, reason = "the same as with the feature")]
pub async fn log_placement(_: &KafkaAddress, _: &QueueName) -> Result<LogPlacement> {
    Err(not_built())
}

/// The newest readings of queues; not in this build.
pub enum UnbuiltReadings {}

impl UnbuiltReadings {
    /// Not in this build.
    ///
    /// # Errors
    /// As those of [`create_topics`].
    pub fn follow(_: &KafkaAddress) -> Result<Self> {
        Err(not_built())
    }

    /// None.
    pub fn newest(&self, _: &QueueName) -> Option<(Snapshot, Duration)> {
        match *self {}
    }
}

/// Sends settings of one queue; not in this build.
pub enum UnbuiltSettings {}

#[allow(clippy::unused_async, reason = "the same as with the feature")]
impl UnbuiltSettings {
    /// Not in this build.
    ///
    /// # Errors
    /// As those of [`create_topics`].
    pub fn new(_: &KafkaAddress, _: &ReplicatedConfig) -> Result<Self> {
        Err(not_built())
    }

    /// Not in this build.
    ///
    /// # Errors
    /// As those of [`create_topics`].
    pub async fn set_admission(&self, _: Admission) -> Result<()> {
        match *self {}
    }

    /// Not in this build.
    ///
    /// # Errors
    /// As those of [`create_topics`].
    pub async fn set_rules(&self, _: SaleRules) -> Result<()> {
        Err(not_built())
    }

    /// Not in this build.
    ///
    /// # Errors
    /// As those of [`create_topics`].
    pub async fn set_workforce(&self, _: &Workforce) -> Result<()> {
        Err(not_built())
    }
}

fn not_built() -> StoreError {
    StoreError::Settings(
        "kafka:// needs a bookingq that was built with the feature `kafka` \
         (cargo build --release --features kafka)"
            .to_owned(),
    )
}
