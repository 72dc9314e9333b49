//! What a replicated store needs of a log.

use std::time::Duration;

use async_trait::async_trait;
use bookingq_core::Timestamp;

/// A log of records with one order, which all that read it see.
#[async_trait]
pub trait CommandLog: Send + Sync + 'static {
    /// Where the log begins, and which log it is.
    async fn bounds(&self) -> Result<LogBounds, LogError>;

    /// Appends a record. The answer is a hint: after an error the record may be in the log, and
    /// after a success it may be lost again, or be there twice.
    async fn append(&self, bytes: &[u8]) -> Result<(), LogError>;

    /// Reads at most `max` records after `after` (`None`: from the beginning), in their order.
    /// Waits up to `wait` for the first one; an empty answer is normal.
    ///
    /// # Errors
    /// [`LogError::Trimmed`] if the next record is no longer kept, [`LogError::Truncated`] if the
    /// record at `after` is not in the log any more.
    async fn tail(
        &self,
        after: Option<LogPosition>,
        max: usize,
        wait: Duration,
    ) -> Result<Vec<LogRecord>, LogError>;

    /// Drops the records below an offset.
    async fn trim(&self, below: u64) -> Result<(), LogError>;
}

/// What is known of a log as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogBounds {
    /// Identifies the log: another log of the same name has another id.
    pub id: String,
    /// The offset of the first record that is kept.
    pub start: u64,
}

/// One record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogRecord {
    /// Where it stands.
    pub position: LogPosition,
    /// When the log appended it, by the clock of the server that did.
    pub stamp: Timestamp,
    /// What was appended.
    pub bytes: Vec<u8>,
}

/// Where a record stands. Two records with equal positions are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogPosition {
    /// Grows with each record, perhaps with gaps.
    pub offset: u64,
    /// The term of the server that appended it.
    pub term: u64,
}

/// A log did not do what it was asked to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    /// It cannot be reached, or cannot answer now.
    #[error("the log is unavailable: {0}")]
    Unavailable(String),
    /// The next record is no longer kept.
    #[error("the log begins at offset {start}, after the next record to read")]
    Trimmed {
        /// The first offset that is kept.
        start: u64,
    },
    /// Records that were read are not in the log any more.
    #[error("the log has lost records that were read from it")]
    Truncated,
}
