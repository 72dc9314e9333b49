//! Where the workers and the sweeper of a queue run: in this process, or as processes.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bookingq_core::backoff::Backoff;
use bookingq_harness::ProcessSpec;
use bookingq_harness::command::OrphanSignal;
use bookingq_store::Store;

/// Time beyond its own grace after which a process is killed.
const BEYOND_GRACE: Duration = Duration::from_secs(2);

/// The wait before a worker or a Redis restarts: as a kubelet's, but short enough for a person who
/// watches.
pub const BACKOFF: Backoff =
    Backoff { initial: Duration::from_millis(500), max: Duration::from_secs(10) };

/// Where workers and the sweeper run.
#[derive(Clone)]
pub enum Runner {
    /// In this process, on its store.
    InProcess(Arc<dyn Store>),
    /// As processes of this program, on Redis or Kafka.
    Processes(OwnProgram),
}

/// This program, run again.
#[derive(Clone)]
pub struct OwnProgram {
    /// Path of `bookingq`.
    pub program: PathBuf,
    /// The variables that name its store, and how it logs in there.
    pub store: Vec<(&'static str, String)>,
    /// Directory of the logs.
    pub directory: PathBuf,
}

impl OwnProgram {
    /// A process with these arguments, which writes its log as JSON to the file `log`.
    pub fn spec(&self, name: String, args: Vec<String>, log: &str, grace: Duration) -> ProcessSpec {
        let json = ["--log-format", "json"].map(String::from);
        ProcessSpec {
            arguments: args.into_iter().chain(json).map(OsString::from).collect(),
            environment: self.store.iter().map(|(name, value)| (*name, value.into())).collect(),
            log: Some(self.directory.join(log)),
            grace: grace + BEYOND_GRACE,
            // It may finish the tasks in hand.
            orphan_signal: OrphanSignal::Terminate,
            ..ProcessSpec::new(name, &self.program)
        }
    }
}
