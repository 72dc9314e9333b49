//! A redis-server of our own, and what it says about itself.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client};
use tempfile::TempDir;

use crate::pin::Placement;

/// Longest wait for it to answer after its start.
const START: Duration = Duration::from_secs(10);
/// Longest wait for any answer; emptying it takes a moment.
const ANSWER: Duration = Duration::from_secs(30);

/// What it promises about what it has acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Fsync {
    /// Nothing is written to disk: CPU is compared, not disks
    Off,
    /// Written within a second
    Everysec,
    /// On disk before it is acknowledged: what a ticket sale wants
    Always,
}

impl Fsync {
    fn options(self) -> &'static [&'static str] {
        match self {
            Self::Off => &["--appendonly", "no"],
            Self::Everysec => &["--appendonly", "yes", "--appendfsync", "everysec"],
            Self::Always => &["--appendonly", "yes", "--appendfsync", "always"],
        }
    }
}

/// A server on a free loopback port, with a folder of its own. It ends when dropped.
pub struct RedisServer {
    url: String,
    child: Child,
    admin: MultiplexedConnection,
    _folder: TempDir,
}

/// What it has used since its start.
#[derive(Debug, Clone, Copy)]
pub struct Usage {
    /// CPU of the whole process, in microseconds.
    pub cpu_us: f64,
    /// Scripts called.
    pub scripts: f64,
}

impl std::ops::Sub for Usage {
    type Output = Self;
    fn sub(self, earlier: Self) -> Self {
        Self { cpu_us: self.cpu_us - earlier.cpu_us, scripts: self.scripts - earlier.scripts }
    }
}

impl RedisServer {
    /// Starts it and waits until it answers.
    pub async fn start(fsync: Fsync, placement: Placement) -> Result<Self> {
        let command = placement
            .redis()
            .map_or_else(|| Command::new("redis-server"), |core| core.start("redis-server"));
        Self::launch(command, fsync)
            .await
            .context("redis-server could not be started; is it installed?")
    }

    /// Starts one whose instructions are counted, and written to `out` when it has shut down.
    pub async fn start_counted(out: &Path) -> Result<Self> {
        let mut command = Command::new("valgrind");
        command
            .args(["--tool=callgrind", "--quiet"])
            .arg(format!("--callgrind-out-file={}", out.display()));
        // What it does by the clock is not what is counted.
        command.args(["redis-server", "--hz", "1", "--dynamic-hz", "no"]);
        Self::launch(command, Fsync::Off)
            .await
            .context("valgrind could not run redis-server; are both installed?")
    }

    async fn launch(mut command: Command, fsync: Fsync) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port().to_string();
        let child = command
            .args(["--port", &port, "--bind", "127.0.0.1", "--save", "", "--dir"])
            .arg(folder.path())
            .args(fsync.options())
            // As `up` runs it.
            .args(["--zset-max-listpack-entries", "0"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()?;
        let url = format!("redis://127.0.0.1:{port}");
        let admin = answering(&url).await?;
        Ok(Self { url, child, admin, _folder: folder })
    }

    /// Where it listens.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The same, as host:port.
    pub fn address(&self) -> &str {
        self.url.trim_start_matches("redis://")
    }

    /// Another connection to it.
    pub async fn connect(&self) -> Result<MultiplexedConnection> {
        Ok(connection(&self.url).await?)
    }

    /// Forgets everything, so that each run begins alike.
    pub async fn empty(&mut self) -> Result<()> {
        Ok(redis::cmd("FLUSHALL").arg("SYNC").exec_async(&mut self.admin).await?)
    }

    /// Bytes of what is in it, as its allocator counts them.
    pub async fn memory(&mut self) -> Result<f64> {
        let memory: String = redis::cmd("INFO").arg("memory").query_async(&mut self.admin).await?;
        field(&memory, "used_memory:").context("INFO does not say used_memory:")
    }

    /// Ends it in order.
    pub async fn shut_down(mut self) -> Result<()> {
        // It closes the connection instead of an answer.
        let _ = redis::cmd("SHUTDOWN").arg("NOSAVE").exec_async(&mut self.admin).await;
        let status = self.child.wait()?;
        ensure!(status.success(), "redis-server ended: {status}");
        Ok(())
    }

    /// What it has used so far.
    pub async fn usage(&mut self) -> Result<Usage> {
        let cpu: String = redis::cmd("INFO").arg("cpu").query_async(&mut self.admin).await?;
        let calls: String =
            redis::cmd("INFO").arg("commandstats").query_async(&mut self.admin).await?;
        let seconds = |key| field(&cpu, key).with_context(|| format!("INFO does not say {key}"));
        let scripts = ["cmdstat_evalsha:calls=", "cmdstat_eval:calls="]
            .iter()
            .filter_map(|key| field(&calls, key));
        Ok(Usage {
            cpu_us: (seconds("used_cpu_user:")? + seconds("used_cpu_sys:")?) * 1e6,
            scripts: scripts.sum(),
        })
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        // It may have ended already; there is nothing to save.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The number after `key`.
fn field(info: &str, key: &str) -> Option<f64> {
    let line = info.lines().find_map(|line| line.strip_prefix(key))?;
    line.split(',').next()?.trim().parse().ok()
}

async fn connection(url: &str) -> redis::RedisResult<MultiplexedConnection> {
    let config = AsyncConnectionConfig::new().set_response_timeout(Some(ANSWER));
    Client::open(url)?.get_multiplexed_async_connection_with_config(&config).await
}

/// A connection, as soon as there is one to be had.
async fn answering(url: &str) -> Result<MultiplexedConnection> {
    let start = Instant::now();
    loop {
        match connection(url).await {
            Ok(admin) => return Ok(admin),
            Err(error) if start.elapsed() > START => {
                bail!("redis-server does not answer at {url}: {error}")
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn info_is_read() {
        let info = "# CPU\r\nused_cpu_sys:1.5\r\nused_cpu_user:2.25\r\ncmdstat_evalsha:calls=12,usec=34\r\n";
        assert_eq!(field(info, "used_cpu_user:"), Some(2.25));
        assert_eq!(field(info, "cmdstat_evalsha:calls="), Some(12.0));
        assert_eq!(field(info, "cmdstat_eval:calls="), None);
    }
}
