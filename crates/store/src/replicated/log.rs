//! What a replicated store needs of a log.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bookingq_core::Timestamp;

use crate::{Result as StoreResult, Snapshot};

/// A log of records with one order, which all that read it see.
///
/// A replicated store has two of them: its commands, and the snapshots of its state.
#[async_trait]
pub trait CommandLog: Send + Sync + 'static {
    /// Where the log begins and ends, and which log it is.
    async fn bounds(&self) -> Result<LogBounds, LogError>;

    /// Appends a record of at most [`MAX_RECORD_BYTES`](super::MAX_RECORD_BYTES). The answer is a
    /// hint: after an error the record may be in the log, and after a success it may be lost again,
    /// or be there twice.
    async fn append(&self, bytes: &[u8]) -> Result<(), LogError>;

    /// Reads at most `max` records from `from` on, in their order. Waits up to `wait` for the first
    /// one; an empty answer is normal.
    ///
    /// # Errors
    /// [`LogError::Trimmed`] if the next record is no longer kept, [`LogError::Truncated`] if the
    /// record that `from` names is not in the log any more, and [`LogError::Replaced`] if the log
    /// can see that it is another one.
    async fn tail(
        &self,
        from: LogCursor,
        max: usize,
        wait: Duration,
    ) -> Result<Vec<LogRecord>, LogError>;

    /// Drops the records below an offset for good. Those at it and above it stay.
    ///
    /// # Errors
    /// [`LogError::Denied`] if the log refuses to, and would again.
    async fn trim(&self, below: u64) -> Result<(), LogError>;
}

/// Where readings of a queue go, for the operator.
#[async_trait]
pub trait ReadingSink: Send + Sync + 'static {
    /// Publishes a reading in the place of the one before.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`](crate::StoreError::Unavailable) if it cannot.
    async fn publish(&self, snapshot: &Snapshot) -> StoreResult<()>;
}

/// The two logs of a queue.
#[derive(Debug)]
pub struct LogPair<L> {
    /// Holds its commands: the one source of its state.
    pub commands: Arc<L>,
    /// Holds snapshots of the state, each in several records.
    pub snapshots: Arc<L>,
}

impl<L> Clone for LogPair<L> {
    fn clone(&self) -> Self {
        Self { commands: Arc::clone(&self.commands), snapshots: Arc::clone(&self.snapshots) }
    }
}

/// What is known of a log as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogBounds {
    /// Identifies the log: another log of the same name has another id.
    pub id: String,
    /// The offset of the first record that is kept, or that the next record gets if there is none.
    pub start: u64,
    /// The offset after the newest record. A hint: one server's knowledge, and maybe old.
    pub end: u64,
}

/// Where to read a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogCursor {
    /// From the first record on whose offset is at least this one.
    From(u64),
    /// After this record, which was read before. Whether it is in the log still is checked, unless
    /// the log begins right after it.
    After(LogPosition),
}

impl LogCursor {
    /// The offset to read next, or the first one after it that is there.
    pub fn next(self) -> u64 {
        match self {
            Self::From(offset) => offset,
            Self::After(read) => read.offset + 1,
        }
    }
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

/// Where a record stands. Two records of a log with equal positions are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogPosition {
    /// Grows with each record, perhaps with gaps.
    pub offset: u64,
    /// Differs for records that stand at one offset one after the other, because the log has lost
    /// one of them: the term of the server that appended it, or a digest. It has no order.
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
    /// Another log has the same name by now.
    #[error("another log has taken the place of the one that was read")]
    Replaced,
    /// Its settings, or a record, break what a log must do. Nothing of it may be applied: who reads
    /// it waits until it is put right.
    #[error("the log cannot be used: {0}")]
    Unusable(String),
    /// It refuses what it was asked to, as for a right that is missing, and will do so again.
    #[error("the log refuses: {0}")]
    Denied(String),
}
