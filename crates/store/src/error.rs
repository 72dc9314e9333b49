//! Errors between a caller and a store.

use std::time::Duration;

/// The answer of every store method.
pub type Result<T> = std::result::Result<T, StoreError>;

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
    /// The answer can't be understood, or a script failed: a defect, ours or of foreign data.
    #[error("the store gave an unexpected answer: {0}")]
    Unexpected(String),
}

impl StoreError {
    /// Whether trying again later can help.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Timeout(_) | Self::Overloaded { .. })
    }
}
