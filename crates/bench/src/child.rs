//! A child process that prints its report as one line of JSON, and ends when its standard input
//! does: a driver, or a worker that is measured by itself.

use std::convert::Infallible;
use std::ffi::OsString;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use bookingq_harness::ProcessUsage;
use bookingq_harness::command::{OrphanSignal, tied};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// Longest time between the end of its standard input and its own.
const GRACE: Duration = Duration::from_secs(30);

/// A running child. It is killed when dropped.
pub struct ReportingChild {
    name: String,
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Lines<BufReader<ChildStdout>>,
}

/// The child ended, or stood still, although there was work. The figures of others stay valid.
#[derive(Debug)]
pub struct GaveUp(pub String);

impl std::fmt::Display for GaveUp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for GaveUp {}

impl ReportingChild {
    pub fn start(name: impl Into<String>, words: &[OsString]) -> Result<Self> {
        let name = name.into();
        let (program, arguments) = words.split_first().context("a command without a program")?;
        let mut command = Command::from(tied(Path::new(program), OrphanSignal::Kill)?);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().with_context(|| format!("{name} could not be started"))?;
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let lines = BufReader::new(stdout.context("a child without output")?).lines();
        Ok(Self { name, child, stdin, lines })
    }
    pub async fn report<T: DeserializeOwned>(&mut self) -> Result<T> {
        if let Some(line) = self.lines.next_line().await? {
            let report = serde_json::from_str(&line);
            return report.with_context(|| format!("{} reported: {line}", self.name));
        }
        let status = self.child.wait().await?;
        Err(GaveUp(format!("{} ended without a report ({status})", self.name)).into())
    }

    /// Writes an order to its standard input, as one line of JSON.
    pub async fn order(&mut self, order: &impl Serialize) -> Result<()> {
        let stdin = self.stdin.as_mut().context("its standard input has ended")?;
        let line = serde_json::to_string(order)? + "\n";
        let written = stdin.write_all(line.as_bytes()).await;
        written.with_context(|| format!("{} takes no orders", self.name))
    }

    /// Ends it as SIGKILL does.
    pub async fn kill(&mut self) -> Result<()> {
        self.child.kill().await.with_context(|| format!("{} could not be killed", self.name))
    }

    /// Fails when it ends while it should work; otherwise never returns.
    pub async fn ends_early(&mut self) -> Result<Infallible> {
        let status = self.child.wait().await?;
        Err(GaveUp(format!("{} ended while there was work ({status})", self.name)).into())
    }
    pub fn usage(&self) -> Result<ProcessUsage> {
        let pid = self.child.id().with_context(|| format!("{} has ended", self.name))?;
        Ok(ProcessUsage::of(pid)?)
    }
    pub async fn end(mut self) -> Result<()> {
        drop(self.stdin.take());
        let ended = tokio::time::timeout(GRACE, self.child.wait()).await;
        let late = || format!("{} did not end within {} s", self.name, GRACE.as_secs());
        let status = ended.with_context(late)??;
        if !status.success() {
            bail!("{} failed ({status})", self.name);
        }
        Ok(())
    }
}

/// Waits, as a child, until standard input ends: also when the parent is gone.
pub async fn parent_ends_us() {
    let mut rest = Vec::new();
    // An input that breaks has ended too.
    let _ = tokio::io::stdin().read_to_end(&mut rest).await;
}
