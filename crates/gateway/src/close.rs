//! Why a connection of a place ends: the `bye` that says so, and the WebSocket close code.

use std::time::Duration;

/// Why the gateway ends a socket or an event stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CloseReason {
    /// This gateway shuts down.
    Drain,
    /// The connection has reached its age: new replicas get their share.
    Rotate,
    /// No snapshot of the booking could be read.
    Unavailable,
    /// The place token is missing or invalid, or the client has no booking any more.
    Gone,
    /// The client does not read, or does not answer pings.
    Slow,
    /// A newer connection of the same place took over.
    Replaced,
    /// The client sends too much.
    Limit,
    /// The process ends at once: nothing is sent.
    Cut,
}

impl CloseReason {
    /// Every reason.
    pub const ALL: [Self; 8] = [
        Self::Drain,
        Self::Rotate,
        Self::Unavailable,
        Self::Gone,
        Self::Slow,
        Self::Replaced,
        Self::Limit,
        Self::Cut,
    ];

    /// The WebSocket close code.
    pub fn code(self) -> u16 {
        match self {
            Self::Drain | Self::Rotate => 1012,
            Self::Unavailable => 1013,
            Self::Gone => 4401,
            Self::Slow => 4408,
            Self::Replaced => 4409,
            Self::Limit => 4429,
            Self::Cut => 1006,
        }
    }

    /// The word in `bye`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Drain => "drain",
            Self::Rotate => "rotate",
            Self::Unavailable => "unavailable",
            Self::Gone => "gone",
            Self::Slow => "slow",
            Self::Replaced => "replaced",
            Self::Limit => "limit",
            Self::Cut => "cut",
        }
    }

    /// When to connect again, drawn evenly by the client: `open` clients come back at about 1,500
    /// each second. `None`: not by itself.
    pub fn after(self, open: usize) -> Option<(Duration, Duration)> {
        let spread = Duration::from_secs_f64(open as f64 / 1500.0).max(Duration::from_secs(2));
        match self {
            Self::Drain | Self::Rotate | Self::Slow => Some((Duration::ZERO, spread)),
            Self::Unavailable => Some((Duration::from_secs(2), spread + Duration::from_secs(8))),
            Self::Limit => Some((Duration::from_secs(10), Duration::from_secs(60))),
            Self::Gone | Self::Replaced | Self::Cut => None,
        }
    }
}
