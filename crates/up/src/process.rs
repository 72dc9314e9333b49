//! Processes that run with us: started, started again when they die, and gone when we go.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::LazyLock;
use std::time::Duration;

use bookingq_core::backoff::Backoff;
use rustix::process::{Pid, Signal, kill_process};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::console::Console;

/// As a kubelet restarts containers, only quicker: nobody waits five minutes in front of a laptop.
pub const BACKOFF: Backoff =
    Backoff { initial: Duration::from_millis(500), max: Duration::from_secs(10) };
/// One that ran this long has recovered; its next restart begins with the shortest wait again.
pub const RECOVERED: Duration = Duration::from_secs(10);
/// How long a process may take to open its port.
const OPENING: Duration = Duration::from_secs(15);
/// Between two looks at its port.
const LOOK: Duration = Duration::from_millis(20);

/// What to run.
#[derive(Debug, Clone)]
pub struct Recipe {
    /// What it is called in news and logs.
    pub name: String,
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// What it finds in its environment besides ours; secrets go here, not into arguments.
    pub environment: Vec<(&'static str, OsString)>,
    /// Where its output goes.
    pub log: PathBuf,
    /// It is ready when this can be connected to; at once without.
    pub port: Option<SocketAddr>,
    /// How long it may take to leave.
    pub grace: Duration,
    /// Whether it is expected to end by itself.
    pub life: Life,
}

/// Whether a process is expected to end by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    /// Runs until told; anything else is a death.
    Endless,
    /// Ends with success when its time is over, and is started again at once.
    Rounds,
}

/// What a watcher of a process is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// It is ready.
    Up,
    /// It is gone, or about to leave.
    Down,
}

/// Keeps it running until `leave`; then it is asked to leave, and killed if it does not within its
/// grace.
pub async fn keep(
    recipe: Recipe,
    console: Console,
    leave: CancellationToken,
    watcher: impl Fn(Turn),
) {
    let mut deaths = 0;
    while !leave.is_cancelled() {
        let start = Instant::now();
        let end = match recipe.spawn() {
            Err(error) => format!("cannot be started: {error}"),
            Ok(mut child) => match recipe.accompany(&mut child, &console, &leave, &watcher).await {
                None => return,
                Some(status) if recipe.life == Life::Rounds && status.success() => continue,
                Some(status) => format!("ended: {status}"),
            },
        };
        deaths = if start.elapsed() >= RECOVERED { 1 } else { deaths + 1 };
        let wait = BACKOFF.delay(deaths, rand::random());
        console.tell(format!(
            "{} {end}; starting again in {:.1}s",
            recipe.name,
            wait.as_secs_f64()
        ));
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = leave.cancelled() => return,
        }
    }
}

impl Recipe {
    fn spawn(&self) -> io::Result<Child> {
        let log = OpenOptions::new().create(true).append(true).open(&self.log)?;
        let mut command = tied(&self.program);
        // What our own flags were given by is not meant for it.
        for (name, _) in
            std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("BOOKINGQ_"))
        {
            command.env_remove(name);
        }
        command
            .args(&self.arguments)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            // Ctrl-C reaches a whole process group; ours are told to leave by us, in order.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
    }

    /// From its start to its end: `Some` when it ended by itself, `None` when it was asked to.
    async fn accompany(
        &self,
        child: &mut Child,
        console: &Console,
        leave: &CancellationToken,
        watcher: &impl Fn(Turn),
    ) -> Option<ExitStatus> {
        let pid = child.id().unwrap_or_default();
        if self.life == Life::Endless {
            console.tell(format!("{} started, pid {pid}", self.name));
        }
        let ended = tokio::select! {
            ended = child.wait() => Some(ended),
            () = leave.cancelled() => None,
            () = self.open() => {
                watcher(Turn::Up);
                tokio::select! { ended = child.wait() => Some(ended), () = leave.cancelled() => None }
            }
        };
        watcher(Turn::Down);
        if let Some(ended) = ended {
            return Some(ended.unwrap_or_default());
        }
        stop(child, self.grace).await;
        if self.life == Life::Endless {
            console.tell(format!("{} has left", self.name));
        }
        None
    }

    /// Until its port can be connected to; one that never opens counts as open after a while, and
    /// its users will notice.
    async fn open(&self) {
        let Some(port) = self.port else { return };
        let opened = async {
            while TcpStream::connect(port).await.is_err() {
                tokio::time::sleep(LOOK).await;
            }
        };
        let _ = tokio::time::timeout(OPENING, opened).await;
    }
}

/// A program that is asked to leave when we end without having asked it ourselves, even by SIGKILL:
/// as far as util-linux's setpriv is there to see to it. It is followed by the program under the
/// same process id. Linux watches the thread that starts it: one of the runtime's, which last as
/// long as we do.
fn tied(program: &Path) -> Command {
    static SETPRIV: LazyLock<bool> = LazyLock::new(|| {
        let mut try_it = std::process::Command::new("setpriv");
        try_it.args(["--pdeathsig", "TERM", "--", "true"]);
        let tried =
            try_it.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
        tried.is_ok_and(|status| status.success())
    });
    if !*SETPRIV {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "TERM", "--"]).arg(program);
    command
}

/// SIGTERM, then SIGKILL when the grace is over.
async fn stop(child: &mut Child, grace: Duration) {
    let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
    let asked = pid.is_some_and(|pid| kill_process(pid, Signal::TERM).is_ok());
    if asked && tokio::time::timeout(grace, child.wait()).await.is_ok() {
        return;
    }
    // Fails only if it has ended meanwhile.
    let _ = child.kill().await;
}

/// A port of this computer that nobody uses at this moment.
pub fn free_port() -> io::Result<SocketAddr> {
    std::net::TcpListener::bind(("127.0.0.1", 0))?.local_addr()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn shell(script: &str, directory: &std::path::Path, life: Life) -> Recipe {
        Recipe {
            name: "test".into(),
            program: "/bin/sh".into(),
            arguments: vec!["-c".into(), script.into()],
            environment: Vec::new(),
            log: directory.join("log"),
            port: None,
            grace: Duration::from_secs(5),
            life,
        }
    }

    /// Keeps it running until it came up `times` times.
    async fn until_up(recipe: Recipe, times: usize) {
        let (leave, ups) = (CancellationToken::new(), Arc::new(AtomicUsize::new(0)));
        let (stop, seen) = (leave.clone(), Arc::clone(&ups));
        let watcher = move |turn| {
            if turn == Turn::Up && seen.fetch_add(1, Ordering::SeqCst) + 1 == times {
                stop.cancel();
            }
        };
        let kept = keep(recipe, Console::new(), leave, watcher);
        tokio::time::timeout(Duration::from_secs(20), kept).await.unwrap();
        assert!(ups.load(Ordering::SeqCst) >= times);
    }

    #[tokio::test]
    async fn one_that_dies_is_started_again() {
        let directory = tempfile::tempdir().unwrap();
        until_up(shell("exit 3", directory.path(), Life::Endless), 3).await;
    }

    #[tokio::test]
    async fn one_that_ignores_the_request_to_leave_is_killed() {
        let directory = tempfile::tempdir().unwrap();
        let mut recipe =
            shell("trap '' TERM; while :; do sleep 1; done", directory.path(), Life::Endless);
        recipe.grace = Duration::from_millis(200);
        until_up(recipe, 1).await;
    }
}
