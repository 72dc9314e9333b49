//! One driver at work: a child process on the client's core that ends when its standard input
//! does.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use bookingq_harness::command::{OrphanSignal, tied};
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::plan;
use super::setup::Drivers;
use super::system::System;
use crate::pin::{Core, Placement};

/// A driver ends this soon after its standard input has.
const LEAVE: Duration = Duration::from_secs(30);

/// A running one. It is killed when dropped.
pub struct Driver {
    name: &'static str,
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Lines<BufReader<ChildStdout>>,
}

/// What a driver says of itself.
#[derive(Debug, Clone, Deserialize)]
pub struct Said {
    /// Jobs the time is about.
    pub jobs: u64,
    /// Time.
    pub seconds: f64,
    /// From when a job was due to when its handler started: half were at most this.
    pub p50_ms: Option<f64>,
    /// 99 of 100 were at most this.
    pub p99_ms: Option<f64>,
    /// 999 of 1,000 were at most this.
    pub p999_ms: Option<f64>,
}

/// A driver ended, or stood still, while there was work: what it drives could not do it. The
/// figures of others are as good as before.
#[derive(Debug)]
pub struct GaveUp(pub String);

impl std::fmt::Display for GaveUp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for GaveUp {}

/// Starts drivers.
pub struct Starter {
    /// Programs.
    pub drivers: Drivers,
    /// Cores.
    pub placement: Placement,
    /// host:port of Redis.
    pub redis: String,
}

impl Starter {
    /// One for `system`, with flags that are the same for all (`--name value`) and those of its
    /// settings.
    pub fn start(
        &self,
        system: System,
        flags: &[(&str, String)],
        settings: &[&str],
    ) -> Result<Driver> {
        let (program, first) = self.drivers.command(system)?;
        let core = self.placement.client().map(Core::taskset);
        let mut words = core.into_iter().flatten().chain([program.into_os_string()]);
        let wrapper = words.next().unwrap_or_default();
        let mut command = Command::from(tied(Path::new(&wrapper), OrphanSignal::Kill)?);
        command.args(words);
        command.args(first).args(["--redis", &self.redis]).args(plan::api(system)).args(settings);
        for (name, value) in flags {
            command.args([&format!("--{name}"), value]);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let name = system.name();
        let mut child = command
            .spawn()
            .with_context(|| format!("the driver of {name} could not be started"))?;
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().context("a driver without output")?;
        Ok(Driver { name, child, stdin, lines: BufReader::new(stdout).lines() })
    }
}

impl Driver {
    /// What it measured, as soon as it says so.
    pub async fn said(&mut self) -> Result<Said> {
        if let Some(line) = self.lines.next_line().await? {
            let said = serde_json::from_str(&line);
            return said.with_context(|| format!("the driver of {} said: {line}", self.name));
        }
        let status = self.child.wait().await?;
        Err(GaveUp(format!("the driver of {} ended without a figure ({status})", self.name)).into())
    }

    /// Returns, with an error, only if it ends while it should work.
    pub async fn ends_early(&mut self) -> Result<()> {
        let status = self.child.wait().await?;
        Err(GaveUp(format!("the driver of {} ended while there was work ({status})", self.name))
            .into())
    }

    /// Ends it and waits until it has ended.
    pub async fn end(mut self) -> Result<()> {
        drop(self.stdin.take());
        let ended = tokio::time::timeout(LEAVE, self.child.wait()).await;
        let status = ended.with_context(|| {
            format!("the driver of {} did not end within {} s", self.name, LEAVE.as_secs())
        })??;
        if !status.success() {
            bail!("the driver of {} failed ({status})", self.name);
        }
        Ok(())
    }
}
