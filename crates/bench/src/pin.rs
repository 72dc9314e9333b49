//! Who runs on which core, so that the system does not move them about while they are measured.
//! Uses `taskset`, where there is one and there are two cores to tell apart; otherwise everybody
//! runs where the system likes.

use std::ffi::OsString;
use std::fs;
use std::process::{Command, Stdio};

use anyhow::Result;
use tokio::runtime::Builder;

use crate::machine::Machine;

/// The core of a program or thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Core(usize);

/// Who runs where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placement {
    /// redis-server on core 0, we on core 1.
    Pinned,
    /// Wherever the system likes.
    Free,
}

impl Placement {
    /// What this machine allows.
    pub fn of(machine: &Machine) -> Self {
        let taskset = Command::new("taskset")
            .arg("--version")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        if machine.cores() >= 2 && taskset.is_ok_and(|status| status.success()) {
            Self::Pinned
        } else {
            Self::Free
        }
    }

    /// The core of redis-server.
    pub fn redis(self) -> Option<Core> {
        (self == Self::Pinned).then_some(Core(0))
    }

    /// The core of the client of Redis, and of all else in this process.
    pub fn client(self) -> Option<Core> {
        (self == Self::Pinned).then_some(Core(1))
    }
}

/// Runs `work` on a thread of its own, which takes its pinning with it when it ends.
pub fn pinned<F>(core: Option<Core>, work: impl FnOnce() -> F + Send) -> Result<()>
where
    F: Future<Output = Result<()>>,
{
    std::thread::scope(|scope| {
        let working = scope.spawn(|| {
            if let Some(core) = core {
                core.keep_this_thread();
            }
            Builder::new_current_thread().enable_all().build()?.block_on(work())
        });
        working.join().map_err(|_| anyhow::anyhow!("the measuring thread panicked"))?
    })
}

impl std::fmt::Display for Placement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Pinned => "redis-server on core 0, its client on core 1 (taskset)",
            Self::Free => "nothing is pinned",
        })
    }
}

impl Core {
    /// The command that runs a program on this core, without the program.
    pub fn taskset(self) -> [OsString; 3] {
        ["taskset".into(), "--cpu-list".into(), self.0.to_string().into()]
    }

    /// Keeps the calling thread, and those it starts from now on, on this core. That `taskset`
    /// refuses is said, not more.
    pub fn keep_this_thread(self) {
        // Names the thread as /proc does: `<process>/task/<thread>`.
        let link = fs::read_link("/proc/thread-self").unwrap_or_default();
        let thread = link.file_name().unwrap_or_default();
        let mut command = Command::new("taskset");
        command
            .args(["--cpu-list", "--pid", &self.0.to_string()])
            .arg(thread)
            .stdout(Stdio::null());
        if !command.status().is_ok_and(|status| status.success()) {
            eprintln!("warning: taskset could not keep a thread on core {}", self.0);
        }
    }
}
