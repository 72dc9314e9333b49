//! Runs other programs for `bookingq up`, the tools and the tests.
//!
//! ```text
//!   process   one supervised process: restarts, signals, readiness, log    <── spec  what to run, and how
//!     ^ redis           one redis-server: port, data directory, durability
//!     ^ control_plane   etcd, API server and controllers (feature `control-plane`)
//!   command   a program that ends when this process ends      usage   CPU and memory from /proc
//!   port      free ports                                      wait    waits for a condition, with a limit
//! ```

pub mod command;
#[cfg(feature = "control-plane")]
pub mod control_plane;
mod event;
pub mod port;
pub mod process;
pub mod redis;
pub mod spec;
pub mod usage;
pub mod wait;

use std::io;
use std::time::Duration;

pub use rustix::process::Signal;

pub use crate::event::ProcessEvent;
pub use crate::process::Process;
pub use crate::redis::{Fsync, RedisOptions, RedisServer};
pub use crate::spec::{ProcessSpec, Restart};
pub use crate::usage::ProcessUsage;

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
