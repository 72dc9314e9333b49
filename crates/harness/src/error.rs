//! Errors of supervised processes.

use std::io;
use std::time::Duration;

/// Why a process cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum HarnessError {
    /// The program is missing, or the system refuses to run it.
    #[error("{name} cannot be started: {cause}")]
    Start {
        /// The process.
        name: String,
        /// What the system says.
        cause: io::Error,
    },
    /// It ended, and nothing restarts it.
    #[error("{name} ended ({how}); the end of its log:\n{log}")]
    Ended {
        /// The process.
        name: String,
        /// Its exit status.
        how: String,
        /// Last lines of its output.
        log: String,
    },
    /// It runs, but does not serve.
    #[error("{name} was not ready within {limit:?}; the end of its log:\n{log}")]
    NotReady {
        /// The process.
        name: String,
        /// The longest wait.
        limit: Duration,
        /// Last lines of its output.
        log: String,
    },
    /// A file or port of the harness itself.
    #[error(transparent)]
    Io(#[from] io::Error),
}
