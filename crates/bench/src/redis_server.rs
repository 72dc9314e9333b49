//! A redis-server that is measured: on its core or under valgrind, with what it reports about itself.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use bookingq_harness::wait::until;
use bookingq_harness::{Fsync, RedisOptions, RedisServer};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client};

use crate::pin::{Core, Placement};

/// Longest wait for any answer; emptying it takes a moment.
const ANSWER: Duration = Duration::from_secs(30);

/// What it promises about writes that it has acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum AppendOnly {
    /// Nothing is written to disk: CPU is compared, not disks
    Off,
    /// Written within a second
    Everysec,
    /// On disk before it is acknowledged: what a ticket sale wants
    Always,
}

impl From<AppendOnly> for Fsync {
    fn from(append_only: AppendOnly) -> Self {
        match append_only {
            AppendOnly::Off => Self::Off,
            AppendOnly::Everysec => Self::EverySecond,
            AppendOnly::Always => Self::Always,
        }
    }
}

/// A redis-server with a connection to it. It ends when dropped.
pub struct MeasuredRedis {
    url: String,
    server: RedisServer,
    admin: MultiplexedConnection,
}

/// What it has used since its start.
#[derive(Debug, Clone, Copy)]
pub struct RedisUsage {
    /// CPU of the whole process, in microseconds.
    pub cpu_us: f64,
    /// Scripts called.
    pub scripts: f64,
}

impl std::ops::Sub for RedisUsage {
    type Output = Self;
    fn sub(self, earlier: Self) -> Self {
        Self { cpu_us: self.cpu_us - earlier.cpu_us, scripts: self.scripts - earlier.scripts }
    }
}

impl MeasuredRedis {
    /// Starts it and waits until it answers.
    pub async fn start(fsync: Fsync, placement: Placement) -> Result<Self> {
        let mut options = RedisOptions::new(fsync);
        options.wrapper.extend(placement.redis().into_iter().flat_map(Core::taskset));
        Self::connected(options).await.context("redis-server could not be started")
    }

    /// Starts one whose instructions are counted, and written to `out` when it has shut down.
    pub async fn start_counted(out: &Path) -> Result<Self> {
        let mut options = RedisOptions::new(Fsync::Off);
        let out = format!("--callgrind-out-file={}", out.display());
        options.wrapper = ["valgrind", "--tool=callgrind", "--quiet", &out].map(Into::into).into();
        // Work that it does by the clock is not counted.
        options.options = ["--hz", "1", "--dynamic-hz", "no"].map(Into::into).into();
        Self::connected(options).await.context("valgrind could not run redis-server")
    }

    async fn connected(options: RedisOptions) -> Result<Self> {
        let server = options.start(|_| ())?;
        let url = server.url();
        let admin = connection(&url).await?;
        Ok(Self { url, server, admin })
    }

    /// Its URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its address, as host:port.
    pub fn address(&self) -> &str {
        self.url.trim_start_matches("redis://")
    }

    /// Another connection to it.
    pub async fn connect(&self) -> Result<MultiplexedConnection> {
        Ok(connection(&self.url).await?)
    }

    /// Deletes everything, so that each run begins alike.
    pub async fn empty(&mut self) -> Result<()> {
        Ok(redis::cmd("FLUSHALL").arg("SYNC").exec_async(&mut self.admin).await?)
    }

    /// Bytes of its data, as its allocator counts them.
    pub async fn memory(&mut self) -> Result<f64> {
        let memory: String = redis::cmd("INFO").arg("memory").query_async(&mut self.admin).await?;
        field(&memory, "used_memory:").context("INFO does not say used_memory:")
    }

    /// Shuts it down in order.
    pub async fn shut_down(mut self) -> Result<()> {
        // It closes the connection instead of an answer.
        let _ = redis::cmd("SHUTDOWN").arg("NOSAVE").exec_async(&mut self.admin).await;
        let process = self.server.process();
        let ended = async || anyhow::Ok(process.exit_status().is_some());
        until("redis-server to shut down", ANSWER, ended).await?;
        let status = process.exit_status().context("redis-server still runs")?;
        ensure!(status.success(), "redis-server ended: {status}");
        Ok(())
    }

    /// What it has used so far.
    pub async fn usage(&mut self) -> Result<RedisUsage> {
        let cpu: String = redis::cmd("INFO").arg("cpu").query_async(&mut self.admin).await?;
        let calls: String =
            redis::cmd("INFO").arg("commandstats").query_async(&mut self.admin).await?;
        let seconds = |key| field(&cpu, key).with_context(|| format!("INFO does not say {key}"));
        let scripts = ["cmdstat_evalsha:calls=", "cmdstat_eval:calls="]
            .iter()
            .filter_map(|key| field(&calls, key));
        Ok(RedisUsage {
            cpu_us: (seconds("used_cpu_user:")? + seconds("used_cpu_sys:")?) * 1e6,
            scripts: scripts.sum(),
        })
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
