//! What is limited, how much, and what is decided.

use std::time::Duration;

use super::address_rate::AddressRate;

/// Joins of one IPv4 address or IPv6 /64.
const JOINS: AddressRate = AddressRate { per_second: 5, burst: 300 };
/// WebSockets without a place of one IPv4 address or IPv6 /64.
const STREAMS: AddressRate = AddressRate { per_second: 20, burst: 1000 };

/// What is limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LimitedUse {
    /// Joining without a place.
    Join,
    /// Opening a WebSocket without a place.
    Stream,
}

impl LimitedUse {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Join, Self::Stream];

    /// The name in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Join => "join",
            Self::Stream => "stream",
        }
    }

    pub(crate) const fn rate(self) -> AddressRate {
        match self {
            Self::Join => JOINS,
            Self::Stream => STREAMS,
        }
    }
}

/// What a request without a place may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitDecision {
    /// Go on.
    Allowed,
    /// Solve a challenge first.
    Challenge,
    /// Come back later.
    Refused {
        /// When.
        retry_after: Duration,
    },
}
