//! A redis-server that is measured: on its own core or under valgrind, with its own statistics.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use bookingq_harness::wait::until;
use bookingq_harness::{Fsync, RedisOptions, RedisServer};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client};

use crate::machine::Placement;

/// Longest wait for any answer. FLUSHALL takes a moment.
const ANSWER: Duration = Duration::from_secs(30);

/// The flag `--fsync`.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub struct AppendOnlyFile {
    /// What Redis guarantees about acknowledged writes: nothing (CPU is compared, not disks), on
    /// disk within a second, or on disk before the acknowledgement, as a sale needs it
    #[arg(long = "fsync", default_value = "off", value_parser = ["off", "everysec", "always"])]
    pub name: String,
}

impl AppendOnlyFile {
    /// For the harness.
    pub fn fsync(&self) -> Fsync {
        match self.name.as_str() {
            "always" => Fsync::Always,
            "everysec" => Fsync::EverySecond,
            _ => Fsync::Off,
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
    /// Script calls.
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
        let wrapper = placement.redis_wrapper();
        let options = RedisOptions { wrapper, ..RedisOptions::new(fsync) };
        Self::connected(options).await.context("redis-server could not be started")
    }

    /// Starts it under valgrind, which writes the number of instructions to `out` at its end.
    pub async fn start_counted(out: &Path) -> Result<Self> {
        let out = format!("--callgrind-out-file={}", out.display());
        let wrapper = ["valgrind", "--tool=callgrind", "--quiet", &out].map(Into::into).into();
        // Without its periodic work.
        let options = ["--hz", "1", "--dynamic-hz", "no"].map(Into::into).into();
        let options = RedisOptions { wrapper, options, ..RedisOptions::new(Fsync::Off) };
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
        let memory = self.info("memory").await?;
        field(&memory, "used_memory:").context("INFO has no used_memory")
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

    /// Runs `work`, and returns its result and its cost.
    pub async fn cost<T>(
        &mut self,
        work: impl Future<Output = Result<T>>,
    ) -> Result<(T, RedisUsage)> {
        let before = self.usage().await?;
        let result = work.await?;
        Ok((result, self.usage().await? - before))
    }

    /// What it has used so far.
    pub async fn usage(&mut self) -> Result<RedisUsage> {
        let (cpu, calls) = (self.info("cpu").await?, self.info("commandstats").await?);
        let seconds = |key| field(&cpu, key).with_context(|| format!("INFO has no {key}"));
        let cpu_us = (seconds("used_cpu_user:")? + seconds("used_cpu_sys:")?) * 1e6;
        let scripts = ["cmdstat_evalsha:calls=", "cmdstat_eval:calls="];
        let scripts = scripts.iter().filter_map(|key| field(&calls, key)).sum();
        Ok(RedisUsage { cpu_us, scripts })
    }

    async fn info(&mut self, section: &str) -> Result<String> {
        Ok(redis::cmd("INFO").arg(section).query_async(&mut self.admin).await?)
    }
}

/// The number after `key` in the answer to INFO.
pub fn field(info: &str, key: &str) -> Option<f64> {
    let line = info.lines().find_map(|line| line.strip_prefix(key))?;
    line.split(',').next()?.trim().parse().ok()
}

async fn connection(url: &str) -> redis::RedisResult<MultiplexedConnection> {
    let config = AsyncConnectionConfig::new().set_response_timeout(Some(ANSWER));
    Client::open(url)?.get_multiplexed_async_connection_with_config(&config).await
}
