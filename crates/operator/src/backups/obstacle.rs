//! What is in the way of a backup.

use bookingq_api::Problems;

use crate::error::{ApiCallError, ReconcileError};

/// Why the Job or the CronJob of a backup is not as its spec says.
#[derive(Debug, thiserror::Error)]
pub enum Obstacle {
    /// The spec is invalid.
    #[error("{0}")]
    InvalidSpec(Problems),
    /// There is no such queue, or it is being deleted.
    #[error("there is no BookingQueue {0} in this namespace")]
    QueueNotFound(String),
    /// The spec of the queue is invalid.
    #[error("the BookingQueue {0} is invalid: {1}")]
    QueueInvalid(String, Problems),
    /// The queue is in Kafka, or in a Redis of its own.
    #[error(
        "the Redis of the BookingQueue {0} is not managed; for a Redis of your own, run `bookingq \
         backup create`; a queue in Kafka has no backups"
    )]
    RedisNotManaged(String),
    /// The annotation of the queue keeps the operator from writing.
    #[error("the BookingQueue {0} is paused by its annotation bookingqueue.dev/paused")]
    QueuePaused(String),
    /// The definition of BookingQueues lacks fields, which may say which Redis the queue has.
    #[error(
        "the installed CustomResourceDefinition of BookingQueues is too old, or was not read yet"
    )]
    SchemaBehind,
    /// Another object has the name.
    #[error(
        "{kind} {name} exists and does not belong to this BookingQueueBackup; delete or rename one \
         of them"
    )]
    NameConflict {
        /// Kind of the object.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// An object could not be written.
    #[error(transparent)]
    Write(ReconcileError),
    /// The status could not be written, or a CronJob not deleted.
    #[error(transparent)]
    Api(#[from] ApiCallError),
}

impl From<ReconcileError> for Obstacle {
    fn from(error: ReconcileError) -> Self {
        match error {
            ReconcileError::NameConflict { kind, name } => Self::NameConflict { kind, name },
            error => Self::Write(error),
        }
    }
}

impl Obstacle {
    /// The reason of the condition Ready.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::InvalidSpec(_) => "InvalidSpec",
            Self::QueueNotFound(_) => "QueueNotFound",
            Self::QueueInvalid(..) => "QueueInvalid",
            Self::RedisNotManaged(_) => "RedisNotManaged",
            Self::QueuePaused(_) => "QueuePaused",
            Self::SchemaBehind => "SchemaBehind",
            Self::NameConflict { .. } => "NameConflict",
            Self::Write(error) => error.reason(),
            Self::Api(_) => "ApiServerUnavailable",
        }
    }

    /// Whether there is nothing that a schedule could copy.
    pub fn ends_schedule(&self) -> bool {
        matches!(self, Self::QueueNotFound(_) | Self::RedisNotManaged(_))
    }

    /// Whether it may go without a change of what is watched.
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::NameConflict { .. } | Self::Write(_) | Self::Api(_))
    }
}
