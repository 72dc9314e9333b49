//! Sentinels that watch a primary and its replicas, each a process with its own configuration file.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use bookingq_core::backoff::Backoff;
use tempfile::TempDir;

use crate::error::HarnessError;
use crate::port::free_address;
use crate::process::Process;
use crate::redis::RedisServer;
use crate::spec::{ProcessSpec, Restart};

/// Longest wait for one to accept connections.
const START: Duration = Duration::from_secs(10);
/// Another process may take the port between our choice and its start.
const ATTEMPTS: u32 = 5;

/// One that was killed starts again, with what it knew.
const RESTART: Backoff =
    Backoff { initial: Duration::from_millis(200), max: Duration::from_millis(200) };

/// Three sentinels that agree by two.
#[derive(Debug)]
pub struct Sentinels {
    members: Vec<(SocketAddr, Process)>,
    _directory: TempDir,
}

impl Sentinels {
    /// Starts three that watch `primary` by the name `name` and call it dead after a second without
    /// an answer. `login` is the password that they ask for; `""` for none.
    ///
    /// # Errors
    /// When one does not start.
    pub fn watch(primary: SocketAddr, name: &str, login: &str) -> Result<Self, HarnessError> {
        let directory = tempfile::tempdir()?;
        let one = || start(directory.path(), primary, name, login);
        let members = vec![one()?, one()?, one()?];
        Ok(Self { members, _directory: directory })
    }

    /// Their addresses.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.members.iter().map(|(address, _)| *address).collect()
    }

    /// Their processes.
    pub fn processes(&self) -> impl Iterator<Item = &Process> {
        self.members.iter().map(|(_, process)| process)
    }

    /// Where each listens, with its process.
    pub fn members(&mut self) -> &mut [(SocketAddr, Process)] {
        &mut self.members
    }

    /// Their addresses, separated by commas.
    pub fn hosts(&self) -> String {
        hosts(self.members.iter().map(|(address, _)| *address))
    }
}

/// Starts one.
fn start(
    directory: &Path,
    primary: SocketAddr,
    name: &str,
    login: &str,
) -> Result<(SocketAddr, Process), HarnessError> {
    let login = match login {
        "" => String::new(),
        login => format!("requirepass {login}\nsentinel sentinel-pass {login}\n"),
    };
    let mut attempt = 0;
    loop {
        attempt += 1;
        let address = free_address()?;
        let file = directory.join(format!("{}.conf", address.port()));
        let text = format!(
            "port {}\nbind 127.0.0.1\ndir {}\nsentinel monitor {name} {} {} 2\n\
             sentinel down-after-milliseconds {name} 1000\n\
             sentinel failover-timeout {name} 3000\n{login}",
            address.port(),
            directory.display(),
            primary.ip(),
            primary.port()
        );
        std::fs::write(&file, text)?;
        let mut spec = ProcessSpec::new("sentinel", "redis-server")
            .arguments([file.as_os_str().to_owned(), "--sentinel".into()]);
        spec.port = Some(address);
        spec.restart = Restart::Always(RESTART);
        spec.log = Some(directory.join(format!("{}.log", address.port())));
        let process = Process::start(spec)?;
        match process.wait_ready(START) {
            Ok(()) => return Ok((address, process)),
            Err(error) if attempt == ATTEMPTS => return Err(error),
            Err(_) => {}
        }
    }
}

/// A primary and two replicas, which may still copy its data.
///
/// # Errors
/// When one does not start.
pub fn replicated(
    mut start: impl FnMut() -> Result<RedisServer, HarnessError>,
) -> Result<[RedisServer; 3], HarnessError> {
    let servers = [start()?, start()?, start()?];
    let (host, port) = (servers[0].address().ip().to_string(), servers[0].address().port());
    for replica in &servers[1..] {
        replica.cli(&["REPLICAOF", &host, &port.to_string()])?;
    }
    Ok(servers)
}

/// Addresses, separated by commas.
pub fn hosts(addresses: impl IntoIterator<Item = SocketAddr>) -> String {
    let hosts: Vec<_> = addresses.into_iter().map(|address| address.to_string()).collect();
    hosts.join(",")
}
