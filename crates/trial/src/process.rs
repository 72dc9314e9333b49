//! Processes of a trial: operators and a Redis, with what they use. They end when dropped.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};

use crate::control_plane::{ControlPlane, free_ports};
use crate::wait::until;

/// Ticks of the kernel's clock in a second, as every Linux tells them to processes (`getconf
/// CLK_TCK`).
const TICKS: f64 = 100.0;

/// A running process.
pub struct Process {
    child: Child,
    log: PathBuf,
}

/// What a process uses.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Usage {
    /// Memory it holds at this moment.
    pub rss_mib: f64,
    /// The most it ever held.
    pub peak_mib: f64,
    /// CPU since its start, in seconds.
    pub cpu: f64,
    /// Open files, sockets among them.
    pub files: usize,
}

impl Process {
    /// An operator, as a user of its own.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn operator(program: &Path, plane: &ControlPlane, user: &str) -> Result<Self> {
        let log = plane.path(&format!("{user}.log"));
        let child = Command::new(program)
            .args([
                "operator",
                "--namespace=default",
                "--image=bookingq:trial",
                "--log-format=json",
            ])
            .arg(format!("--id={user}"))
            .env("KUBECONFIG", plane.kubeconfig(user)?)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log)?)
            .spawn()
            .with_context(|| format!("{} could not be started", program.display()))?;
        Ok(Self { child, log })
    }

    /// An empty Redis on a free port; with its URL.
    ///
    /// # Errors
    /// When there is no redis-server on the PATH.
    pub async fn redis(plane: &ControlPlane) -> Result<(Self, String)> {
        let [port] = free_ports()?;
        let log = plane.path("redis.log");
        let child = Command::new("redis-server")
            .args([
                "--port",
                &port.to_string(),
                "--bind",
                "127.0.0.1",
                "--save",
                "",
                "--appendonly",
                "no",
            ])
            .stdin(Stdio::null())
            .stdout(File::create(&log)?)
            .spawn()
            .context("redis-server is not on the PATH")?;
        until("redis-server to listen", Duration::from_secs(10), async || {
            Ok(tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok())
        })
        .await?;
        Ok((Self { child, log }, format!("redis://127.0.0.1:{port}")))
    }

    /// What it uses now.
    ///
    /// # Errors
    /// When it has ended; its last words are in the error.
    pub fn usage(&mut self) -> Result<Usage> {
        self.runs()?;
        let folder = PathBuf::from(format!("/proc/{}", self.child.id()));
        let status = std::fs::read_to_string(folder.join("status"))?;
        let mib = |field: &str| -> Result<f64> {
            let line = status
                .lines()
                .find_map(|line| line.strip_prefix(field))
                .context("no such field")?;
            let kib: f64 = line.trim().trim_end_matches(" kB").parse()?;
            Ok(kib / 1024.0)
        };
        let stat = std::fs::read_to_string(folder.join("stat"))?;
        // The name in parentheses may hold blanks; user and system time are the 12th and 13th word
        // after it.
        let words: Vec<&str> =
            stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = |index: usize| {
            words.get(index).and_then(|word| word.parse::<f64>().ok()).unwrap_or(0.0)
        };
        Ok(Usage {
            rss_mib: mib("VmRSS:")?,
            peak_mib: mib("VmHWM:")?,
            cpu: (ticks(11) + ticks(12)) / TICKS,
            files: std::fs::read_dir(folder.join("fd"))?.count(),
        })
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// When it is gone.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid = Pid::from_raw(self.child.id() as i32).context("no process id")?;
        Ok(kill_process(pid, signal)?)
    }

    /// Whether it still runs.
    ///
    /// # Errors
    /// When it has ended; its last words are in the error.
    pub fn runs(&mut self) -> Result<()> {
        let ended = self.child.try_wait()?;
        ensure!(ended.is_none(), "{} ended: {ended:?}\n{}", self.log.display(), self.last_words());
        Ok(())
    }

    /// The end of its log.
    pub fn last_words(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(10)..].join("\n")
    }

    /// Everything it logged.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn log(&self) -> Result<String> {
        Ok(std::fs::read_to_string(&self.log)?)
    }

    /// Waits for its end; whether it ended well.
    ///
    /// # Errors
    /// When it does not end within `limit`.
    pub async fn ended(&mut self, limit: Duration) -> Result<bool> {
        until("a process to end", limit, async || Ok(self.child.try_wait()?.is_some())).await?;
        Ok(self.child.wait()?.success())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // One that was stopped takes no other signal.
        self.signal(Signal::CONT).ok();
        end(&mut self.child);
    }
}

/// Asks a process to end, and waits until it has.
pub(crate) fn end(child: &mut Child) {
    if let Some(pid) = Pid::from_raw(child.id() as i32) {
        kill_process(pid, Signal::TERM).ok();
    }
    child.wait().ok();
}
