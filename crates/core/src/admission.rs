//! Whether a queue takes and serves bookings.

use serde::{Deserialize, Serialize};

/// Whether a queue takes and serves bookings. The store keeps it, so that all
/// workers agree at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Default)]
pub enum Admission {
    /// Takes bookings and serves them.
    #[default]
    Open,
    /// Takes bookings, but claims none from the line. Tasks in flight continue.
    Paused,
    /// Takes no new bookings, but serves the line.
    Closed,
}

impl Admission {
    /// The word used in the store, in logs and in the resource.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "Open",
            Self::Paused => "Paused",
            Self::Closed => "Closed",
        }
    }

    /// Parses [`Self::as_str`].
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Open, Self::Paused, Self::Closed].into_iter().find(|a| a.as_str() == word)
    }
}
