//! Whether a queue takes and serves bookings.

use serde::{Deserialize, Serialize};

/// Whether a queue takes and serves bookings. Kept in the store, so that all workers agree at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Default)]
pub enum Admission {
    /// Takes bookings and serves them.
    #[default]
    Open,
    /// Takes bookings and keeps their order, but claims nothing from the line. What is in hand goes
    /// on.
    Paused,
    /// Takes no new bookings; serves those in line.
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
