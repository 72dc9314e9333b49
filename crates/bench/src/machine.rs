//! The machine that figures depend on, and the cores that programs run on while they are measured.

use std::ffi::OsString;
use std::fs;
use std::process::{Command, Stdio};

use anyhow::Result;
use serde::Serialize;
use tokio::runtime::Builder;
#[derive(Debug, Serialize)]
pub struct Machine {
    /// Its model name.
    cpu: String,
    /// Cores that this process may use.
    cores: usize,
    redis: String,
    rustc: String,
}

impl Machine {
    /// This machine. Call it before threads are pinned.
    pub fn detect() -> Self {
        let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        Self {
            cpu: model.map_or("unknown CPU", |(_, name)| name).to_owned(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            redis: version("redis-server", |line| line.split(" v=").nth(1)?.split(' ').next()),
            rustc: version("rustc", |line| line.split(' ').nth(1)),
        }
    }
}

impl std::fmt::Display for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { cpu, cores, redis, rustc } = self;
        write!(f, "{cores} cores ({cpu}), redis-server {redis}, rustc {rustc}")
    }
}

fn version(program: &str, find: impl Fn(&str) -> Option<&str>) -> String {
    let output = Command::new(program).arg("--version").output().map(|output| output.stdout);
    let output = output.unwrap_or_default();
    find(String::from_utf8_lossy(&output).trim()).unwrap_or("of unknown version").to_owned()
}

/// The core of the client of Redis, and of everything else in this process.
const CLIENT_CORE: &str = "1";

/// Whether programs have cores of their own, so that the system does not move them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placement {
    Pinned,
    Free,
}

impl Placement {
    /// Pinned where there are two cores and `taskset`.
    pub fn of(machine: &Machine) -> Self {
        let taskset = || {
            let mut command = Command::new("taskset");
            command.arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status()
        };
        if machine.cores >= 2 && taskset().is_ok_and(|status| status.success()) {
            Self::Pinned
        } else {
            Self::Free
        }
    }

    /// The command that runs redis-server on its core, without the program. Empty if nothing is
    /// pinned.
    pub fn redis_wrapper(self) -> Vec<OsString> {
        self.wrapper("0")
    }
    pub fn client_wrapper(self) -> Vec<OsString> {
        self.wrapper(CLIENT_CORE)
    }

    fn wrapper(self, core: &str) -> Vec<OsString> {
        let words = ["taskset", "--cpu-list", core].map(Into::into);
        if self == Self::Pinned { words.into() } else { Vec::new() }
    }

    /// Runs `work` on the client's core, on a thread of its own so that the pinning ends with it.
    pub fn run<F>(self, work: impl FnOnce() -> F + Send) -> Result<()>
    where
        F: Future<Output = Result<()>>,
    {
        std::thread::scope(|scope| {
            let working = scope.spawn(|| {
                if self == Self::Pinned {
                    pin_this_thread_to_client_core();
                }
                Builder::new_current_thread().enable_all().build()?.block_on(work())
            });
            working.join().map_err(|_| anyhow::anyhow!("the measuring thread panicked"))?
        })
    }
}

impl std::fmt::Display for Placement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Pinned => "redis-server on core 0, its client on core 1 (taskset)",
            Self::Free => "nothing is pinned",
        })
    }
}

/// Also the threads that it starts.
fn pin_this_thread_to_client_core() {
    // The link names the thread as `<process>/task/<thread>`.
    let link = fs::read_link("/proc/thread-self").unwrap_or_default();
    let mut command = Command::new("taskset");
    command.args(["--cpu-list", "--pid", CLIENT_CORE]);
    command.arg(link.file_name().unwrap_or_default()).stdout(Stdio::null());
    if !command.status().is_ok_and(|status| status.success()) {
        eprintln!("warning: taskset could not pin a thread to core {CLIENT_CORE}");
    }
}
