//! One real process: started, struck with signals, and started again whenever it ends, until the
//! run is over.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};
use parking_lot::Mutex;
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// Between an end and the next start, as a kubelet's first restart, only quicker.
const PAUSE: Duration = Duration::from_millis(150);
/// Longest wait for one that was asked to leave at the end; then it is killed.
const GRACE: Duration = Duration::from_secs(10);

/// What to run.
#[derive(Debug, Clone)]
pub struct Recipe {
    /// What it is called.
    pub name: String,
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// What it finds in its environment besides ours.
    pub environment: Vec<(&'static str, OsString)>,
    /// Where its output goes.
    pub log: PathBuf,
}

/// A process that is kept running.
#[derive(Debug)]
pub struct Cage {
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    recipe: Recipe,
    leave: CancellationToken,
    /// While it runs. Held while a signal is sent, so that nobody else's process can have its
    /// number by then.
    pid: Mutex<Option<Pid>>,
    /// Signals sent that end it, and ends seen.
    struck: AtomicU64,
    ends: Mutex<Vec<String>>,
    starts: AtomicU64,
}

impl Cage {
    /// Starts it.
    pub fn open(recipe: Recipe) -> Result<Self> {
        let name = recipe.name.clone();
        let shared = Arc::new(Shared {
            recipe,
            leave: CancellationToken::new(),
            pid: Mutex::default(),
            struck: AtomicU64::default(),
            ends: Mutex::default(),
            starts: AtomicU64::default(),
        });
        let child = shared.spawn().with_context(|| format!("{name} cannot be started"))?;
        let task = tokio::spawn(Arc::clone(&shared).keep(child));
        Ok(Self { shared, task })
    }

    /// Sends a signal that ends it.
    pub fn strike(&self, signal: Signal) {
        self.shared.struck.fetch_add(1, Ordering::Relaxed);
        self.shared.signal(signal);
    }

    /// Stops it for a while.
    pub fn freeze(&self, time: Duration) {
        self.shared.signal(Signal::STOP);
        let shared = Arc::clone(&self.shared);
        tokio::spawn(async move {
            sleep(time).await;
            shared.signal(Signal::CONT);
        });
    }

    /// Goes on, if it was stopped.
    pub fn thaw(&self) {
        self.shared.signal(Signal::CONT);
    }

    /// How often it was started.
    pub fn starts(&self) -> u64 {
        self.shared.starts.load(Ordering::Relaxed)
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        &self.shared.recipe.name
    }

    /// Ends that no signal of ours explains.
    pub fn own_ends(&self) -> Vec<String> {
        self.shared.ends.lock().clone()
    }

    /// Where its output is.
    pub fn log(&self) -> &PathBuf {
        &self.shared.recipe.log
    }

    /// Asks it to leave, and kills it when it does not.
    pub async fn close(self) {
        self.shared.leave.cancel();
        self.thaw();
        // It ends within the grace.
        let _ = self.task.await;
    }
}

impl Shared {
    fn signal(&self, signal: Signal) {
        if let Some(pid) = *self.pid.lock() {
            // Fails only when it has just ended.
            let _ = kill_process(pid, signal);
        }
    }

    fn spawn(&self) -> io::Result<Child> {
        let Recipe { program, arguments, environment, log, .. } = &self.recipe;
        let log: File = OpenOptions::new().create(true).append(true).open(log)?;
        let child = Command::new(program)
            .args(arguments)
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            // Ctrl-C reaches a whole process group; ours are ended by us.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        *self.pid.lock() =
            child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
        self.starts.fetch_add(1, Ordering::Relaxed);
        Ok(child)
    }

    async fn keep(self: Arc<Self>, mut child: Child) {
        let mut explained = 0;
        loop {
            tokio::select! {
                ended = child.wait() => {
                    *self.pid.lock() = None;
                    self.note_end(&mut explained, ended);
                }
                () = self.leave.cancelled() => return self.stop(child).await,
            }
            loop {
                if self.leave.run_until_cancelled(sleep(PAUSE)).await.is_none() {
                    return;
                }
                match self.spawn() {
                    Ok(next) => break child = next,
                    Err(error) => self.ends.lock().push(format!("cannot be started: {error}")),
                }
            }
        }
    }

    fn note_end(&self, explained: &mut u64, ended: io::Result<ExitStatus>) {
        let struck = self.struck.load(Ordering::Relaxed);
        if struck > *explained {
            // Signals that came while it was ending are spent on the same end.
            *explained = struck;
        } else {
            let how = ended.map_or_else(|error| error.to_string(), |status| status.to_string());
            self.ends.lock().push(how);
        }
    }

    async fn stop(&self, mut child: Child) {
        self.signal(Signal::TERM);
        if timeout(GRACE, child.wait()).await.is_err() {
            // Fails only if it has ended meanwhile.
            let _ = child.kill().await;
        }
        *self.pid.lock() = None;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn shell(script: &str, folder: &std::path::Path) -> Cage {
        Cage::open(Recipe {
            name: "test".into(),
            program: "/bin/sh".into(),
            arguments: vec!["-c".into(), script.into()],
            environment: Vec::new(),
            log: folder.join("log"),
        })
        .unwrap()
    }

    async fn starts(cage: &Cage, count: u64) {
        let started = async {
            while cage.starts() < count {
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(Duration::from_secs(20), started).await.unwrap();
    }

    #[tokio::test]
    async fn one_that_was_killed_starts_again_and_its_end_is_explained() {
        let folder = tempfile::tempdir().unwrap();
        let cage = shell("exec sleep 60", folder.path());
        cage.strike(Signal::KILL);
        starts(&cage, 2).await;
        assert_eq!(cage.own_ends(), [""; 0]);
        cage.close().await;
    }

    #[tokio::test]
    async fn one_that_ends_by_itself_starts_again_and_is_told_of() {
        let folder = tempfile::tempdir().unwrap();
        let cage = shell("exit 3", folder.path());
        starts(&cage, 2).await;
        assert!(cage.own_ends()[0].contains('3'), "{:?}", cage.own_ends());
        cage.close().await;
    }
}
