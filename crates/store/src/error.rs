//! Errors between a caller and a store.

use std::fmt;
use std::time::Duration;

use bookingq_core::Refusal;

/// The result of every store method.
pub type Result<T> = std::result::Result<T, StoreError>;

/// The answer to one request of a client: done, or refused by the rules of the queue.
pub type OrRefusal<T> = std::result::Result<T, Refusal>;

/// A call to the store failed. Unless the variant says otherwise, it may have taken effect: repeat
/// it unchanged.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// There is no connection, or the server can't serve now (loading, read-only, failing over).
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// No answer came within the deadline.
    #[error("the store did not answer within {0:?}")]
    Timeout(Duration),
    /// It is done, but fewer replicas than asked for have it within the deadline. A failover may
    /// lose it, so it does not count as done before a repeat succeeds.
    #[error("{had} of {wanted} replicas have it")]
    NotReplicated {
        /// Replicas that must have it.
        wanted: u8,
        /// Replicas that have it.
        had: u8,
    },
    /// Too many calls wait for the store; this one was not sent.
    #[error("{waiting} calls wait for the store already")]
    Overloaded {
        /// Calls that wait.
        waiting: usize,
    },
    /// The store's settings are invalid.
    #[error("the store's settings are invalid: {0}")]
    Settings(String),
    /// A newer release wrote the data.
    #[error(
        "the store has schema version {found}; this release knows up to {known}: use a newer release"
    )]
    NewerSchema {
        /// The version of the data.
        found: u32,
        /// The newest version that this release knows.
        known: u32,
    },
    /// The answer is not what the store's own code would give: a defect, or foreign data.
    #[error("the store gave an unexpected answer: {0}")]
    Unexpected(String),
}

impl From<redis::ParsingError> for StoreError {
    fn from(error: redis::ParsingError) -> Self {
        Self::unexpected("wrong type", &error)
    }
}

impl StoreError {
    /// An [`Self::Unexpected`] that shows the beginning of the answer.
    pub(crate) fn unexpected(problem: &str, answer: &impl fmt::Debug) -> Self {
        let mut shown = format!("{answer:?}");
        shown.truncate(shown.floor_char_boundary(200));
        Self::Unexpected(format!("{problem}: {shown}"))
    }

    /// Whether trying again later can help.
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Unavailable(_)
                | Self::Timeout(_)
                | Self::NotReplicated { .. }
                | Self::Overloaded { .. }
        )
    }
}
