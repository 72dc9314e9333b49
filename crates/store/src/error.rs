//! What can go wrong between us and a store.

use std::time::Duration;

/// A call to the store failed. Unless it says otherwise, whether it took effect is unknown: repeat
/// it as it was.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// No connection, a lost one, or a server that can't serve just now (loading, read-only,
    /// failing over).
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// No answer within the deadline.
    #[error("the store did not answer within {0:?}")]
    Timeout(Duration),
    /// Too many calls wait for the store already; this one was not sent.
    #[error("{waiting} calls wait for the store already")]
    Overloaded {
        /// How many wait.
        waiting: usize,
    },
    /// The store's settings can't be used: a URL that is none.
    #[error("the store's settings can't be used: {0}")]
    Settings(String),
    /// The data was written by a newer release.
    #[error(
        "the store has schema version {found}; this release knows up to {known}: use a newer release"
    )]
    NewerSchema {
        /// What is there.
        found: u32,
        /// What we know.
        known: u32,
    },
    /// An answer that can't be understood, or a script that failed: a defect, ours or of foreign
    /// data.
    #[error("the store answered something unexpected: {0}")]
    Unexpected(String),
}

impl StoreError {
    /// Whether trying again later can help.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Timeout(_) | Self::Overloaded { .. })
    }
}
