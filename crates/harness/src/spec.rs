//! What a supervised process runs, and what happens when it ends.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use bookingq_core::backoff::Backoff;

use crate::command::OrphanSignal;

/// What to run.
#[derive(Debug, Clone)]
pub struct ProcessSpec {
    /// Its name in messages.
    pub name: String,
    /// A path, or a name that is looked up on the PATH.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// Added to our environment, which it inherits without the `BOOKINGQ_*` variables. Secrets go
    /// here, not into arguments.
    pub environment: Vec<(&'static str, OsString)>,
    /// Where its output is appended; `None` discards it.
    pub log: Option<PathBuf>,
    /// It is ready when this address accepts a connection; `None`: as soon as it runs.
    pub port: Option<SocketAddr>,
    /// Time from SIGTERM to SIGKILL when it is stopped.
    pub grace: Duration,
    /// What happens when it ends.
    pub restart: Restart,
    /// What it receives when this process ends without stopping it.
    pub orphan_signal: OrphanSignal,
}

/// What happens when a process ends without our request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Restart {
    /// It stays down.
    #[default]
    Never,
    /// It starts again after the back-off.
    Always(Backoff),
    /// It starts again at once after success, because it runs in rounds; after the back-off
    /// otherwise.
    Rounds(Backoff),
}

impl ProcessSpec {
    /// Without arguments and log, ready at once, not restarted.
    pub fn new(name: impl Into<String>, program: impl Into<PathBuf>) -> Self {
        Self {
            name: name.into(),
            program: program.into(),
            arguments: Vec::new(),
            environment: Vec::new(),
            log: None,
            port: None,
            grace: Duration::from_secs(10),
            restart: Restart::Never,
            orphan_signal: OrphanSignal::Kill,
        }
    }

    /// With these arguments after those it has.
    #[must_use]
    pub fn arguments<A: Into<OsString>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }
}

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
