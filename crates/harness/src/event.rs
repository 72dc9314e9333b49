//! What happens to a supervised process, for those who watch it.

use std::time::Duration;

/// A change in the life of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProcessEvent {
    /// It runs.
    Started {
        /// Its process ID.
        pid: u32,
    },
    /// It accepts connections.
    Ready,
    /// It ended without our request. Rounds that succeed are not reported.
    Ended {
        /// Its exit status, or why it cannot be started.
        how: String,
        /// The wait before the next start; `None`: it stays down.
        restart_in: Option<Duration>,
    },
    /// It was stopped.
    Stopped,
}
