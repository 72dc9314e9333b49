//! One redis-server on a free port with its own data directory. It can be killed and restarted on
//! the same data, and ends with this process.

use std::ffi::OsString;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::error::HarnessError;
use crate::port::free_address;
use crate::process::Process;
use crate::spec::{ProcessEvent, ProcessSpec, Restart};

/// Longest wait for its first answer; valgrind takes a few seconds.
const START: Duration = Duration::from_secs(15);
/// Between two checks whether it answers.
const INTERVAL: Duration = Duration::from_millis(10);
/// Another process may take the port between our choice and its start.
const ATTEMPTS: u32 = 5;

/// The configuration file, below its directory.
const FILE: &str = "redis.conf";

/// What Redis guarantees about acknowledged writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fsync {
    /// Nothing is written to disk.
    Off,
    /// Writes are on disk within a second.
    EverySecond,
    /// Writes are on disk before they are acknowledged, as a sale needs it.
    Always,
}

impl Fsync {
    fn options(self) -> &'static [&'static str] {
        match self {
            Self::Off => &["--appendonly", "no"],
            Self::EverySecond => &["--appendonly", "yes", "--appendfsync", "everysec"],
            Self::Always => &["--appendonly", "yes", "--appendfsync", "always"],
        }
    }
}

/// How to run it.
#[derive(Debug, Clone)]
pub struct RedisOptions {
    /// What it guarantees about acknowledged writes.
    pub fsync: Fsync,
    /// What happens when it ends.
    pub restart: Restart,
    /// Where its data and its log go; `None`: a directory that is removed with it.
    pub directory: Option<PathBuf>,
    /// Whether it has a configuration file in its directory, in which it keeps what CONFIG REWRITE
    /// writes. Sentinel needs one, so that a server restarts as what it was.
    pub has_file: bool,
    /// A program that runs it, such as `taskset` or `valgrind`, with its arguments.
    pub wrapper: Vec<OsString>,
    /// Further options of redis-server.
    pub options: Vec<OsString>,
}

/// A running redis-server. Killed when dropped.
#[derive(Debug)]
pub struct RedisServer {
    address: SocketAddr,
    process: Process,
    spec: ProcessSpec,
    directory: PathBuf,
    /// Removed with it.
    _temporary: Option<TempDir>,
}

impl RedisOptions {
    /// In a directory of its own, not restarted.
    pub fn new(fsync: Fsync) -> Self {
        let (wrapper, options) = (Vec::new(), Vec::new());
        let (restart, directory) = (Restart::Never, None);
        Self { fsync, restart, directory, has_file: false, wrapper, options }
    }

    /// Starts it and waits until it answers. Reports what happens to it to `on_event`.
    ///
    /// # Errors
    /// When there is no redis-server, or it does not answer.
    pub fn start(
        self,
        on_event: impl Fn(ProcessEvent) + Clone + Send + 'static,
    ) -> Result<RedisServer, HarnessError> {
        let (directory, temporary) = if let Some(directory) = &self.directory {
            (directory.clone(), None)
        } else {
            let directory = tempfile::tempdir()?;
            (directory.path().to_owned(), Some(directory))
        };
        let mut attempt = 0;
        loop {
            attempt += 1;
            let address = free_address()?;
            let spec = self.spec(address, &directory);
            if self.has_file {
                std::fs::write(directory.join(FILE), "")?;
            }
            let process = Process::start_with(spec.clone(), on_event.clone())?;
            match wait_for_answer(&process, address) {
                Ok(()) => {
                    return Ok(RedisServer {
                        address,
                        process,
                        spec,
                        directory,
                        _temporary: temporary,
                    });
                }
                Err(error) if attempt == ATTEMPTS => return Err(error),
                Err(_) => {}
            }
        }
    }

    fn spec(&self, address: SocketAddr, directory: &Path) -> ProcessSpec {
        let mut words = self.wrapper.clone();
        words.push("redis-server".into());
        let program = words.remove(0);
        let fixed = ["--bind", "127.0.0.1", "--daemonize", "no", "--save", ""];
        // A replica need not wait for others that may come.
        let replicas = ["--repl-diskless-sync-delay", "0"];
        // Small sorted sets as lists cost a walk for each change: see docs/redis-keys.md.
        let policy = ["--maxmemory-policy", "noeviction", "--zset-max-listpack-entries", "0"];
        if self.has_file {
            words.push(directory.join(FILE).into());
        }
        let mut spec = ProcessSpec::new("redis-server", program)
            .arguments(words)
            .arguments(["--port".to_owned(), address.port().to_string()])
            .arguments(["--dir".into(), directory.as_os_str().to_owned()])
            .arguments(fixed)
            .arguments(policy)
            .arguments(replicas)
            .arguments(self.fsync.options())
            .arguments(&self.options);
        spec.log = Some(directory.join("redis.log"));
        spec.port = Some(address);
        spec.grace = Duration::from_secs(5);
        spec.restart = self.restart;
        spec
    }
}

impl RedisServer {
    /// Starts one in a directory of its own, and waits until it answers.
    ///
    /// # Errors
    /// When there is no redis-server, or it does not answer.
    pub fn start(fsync: Fsync) -> Result<Self, HarnessError> {
        RedisOptions::new(fsync).start(|_| ())
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where its data and its log are.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// Its process.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// SIGKILL. Data that is not on disk is lost.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again on the same port with the data on disk, and waits until it answers.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn restart(&mut self) -> Result<(), HarnessError> {
        self.process = Process::start(self.spec.clone())?;
        wait_for_answer(&self.process, self.address)
    }

    /// Stops it in order.
    pub async fn stop(self) {
        self.process.stop().await;
    }

    /// Runs one command and returns the answer as redis-cli prints it.
    ///
    /// # Errors
    /// When there is no redis-cli.
    pub fn cli(&self, arguments: &[&str]) -> std::io::Result<String> {
        let port = self.address.port().to_string();
        let output = Command::new("redis-cli").args(["-p", &port]).args(arguments).output()?;
        Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
    }
}

fn wait_for_answer(process: &Process, address: SocketAddr) -> Result<(), HarnessError> {
    let until = Instant::now() + START;
    // A server of another process may have taken the port; it would end with that process.
    while process.pid().is_none_or(|pid| process_id(address) != Some(pid)) {
        process.check_running()?;
        if process.starts() > 1 || Instant::now() >= until {
            let name = process.name().to_owned();
            return Err(HarnessError::NotReady { name, limit: START, log: process.log_tail() });
        }
        std::thread::sleep(INTERVAL);
    }
    Ok(())
}

/// The ID of the process that answers at this address.
fn process_id(address: SocketAddr) -> Option<u32> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(1))).ok()?;
    stream.write_all(b"INFO server\r\nQUIT\r\n").ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    let answer = String::from_utf8_lossy(&answer);
    answer.lines().find_map(|line| line.strip_prefix("process_id:"))?.trim().parse().ok()
}
