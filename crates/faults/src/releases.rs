//! Two releases of the program in one run: each process begins with the previous one, follows to
//! the next while clients call, and goes back.
//!
//! A process starts a link of its own, so that it starts with the other release once the link leads
//! there. What a real roll-out does besides is left out: here the new process starts when the old
//! one has ended.

use std::fmt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use bookingq_harness::{Process, Signal};
use serde::Serialize;
use tokio::time::{Instant, sleep, sleep_until};

/// The part of the time before the first process follows to the next release.
const FORTH_AT: f64 = 0.2;
/// The same, for the way back.
const BACK_AT: f64 = 0.6;
/// The part of the time in which all processes follow, one after the other.
const SPREAD: f64 = 0.2;
/// Longest wait until a process runs the other release: its drain, the faults of the run, its
/// start.
const FOLLOWS: Duration = Duration::from_secs(60);
/// Between two looks at it.
const POLL: Duration = Duration::from_millis(50);

/// A release of the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Release {
    /// That of `--previous`.
    Previous,
    /// That of `--program`.
    Next,
}

impl Release {
    fn as_str(self) -> &'static str {
        match self {
            Self::Previous => "previous",
            Self::Next => "next",
        }
    }
}

/// The programs of a run.
#[derive(Debug)]
pub struct Releases {
    next: PathBuf,
    previous: Option<PathBuf>,
    /// Where the links are.
    folder: PathBuf,
}

/// A process that has changed to another release.
#[derive(Debug, Clone, Serialize)]
pub struct ReleaseChange {
    /// Its name.
    pub process: String,
    /// What it runs now.
    pub release: Release,
    /// From the signal until it was ready again, in milliseconds.
    pub took_ms: u64,
}

impl fmt::Display for ReleaseChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { process, release, took_ms } = self;
        write!(f, "{process} runs the {} release after {took_ms} ms", release.as_str())
    }
}

/// What was rolled out in a run.
#[derive(Debug, Default, Serialize)]
pub struct RollOut {
    /// The changes, in their order.
    pub changes: Vec<ReleaseChange>,
    /// Why it did not get further.
    pub failure: Option<String>,
}

impl RollOut {
    /// For a person.
    pub fn lines(&self) -> Vec<String> {
        let of = |release| self.changes.iter().filter(move |change| change.release == release);
        let slowest = self.changes.iter().map(|change| change.took_ms).max();
        let changes = slowest.map(|slowest| {
            let (forth, back) = (of(Release::Next).count(), of(Release::Previous).count());
            format!(
                "releases  {forth} processes followed to the next release, {back} went back; the \
                 slowest took {slowest} ms"
            )
        });
        let failure = self.failure.iter().map(|failure| format!("NOT ROLLED OUT: {failure}"));
        changes.into_iter().chain(failure).collect()
    }
}

impl Releases {
    /// The program under test, and the previous one if it begins with it; links are in `folder`.
    pub fn new(next: PathBuf, previous: Option<PathBuf>, folder: &Path) -> Self {
        Self { next, previous, folder: folder.join("releases") }
    }

    /// Whether there are two.
    pub fn differ(&self) -> bool {
        self.previous.is_some()
    }

    /// What the process of this name starts.
    ///
    /// # Errors
    /// When its link cannot be made.
    pub(crate) fn program(&self, process: &str) -> Result<PathBuf> {
        if !self.differ() {
            return Ok(self.next.clone());
        }
        self.choose(process, Release::Previous)?;
        Ok(self.link(process))
    }

    /// A folder for each process: the program looks at the name by which it is called.
    fn link(&self, process: &str) -> PathBuf {
        self.folder.join(process).join("bookingq")
    }

    fn path(&self, release: Release) -> &Path {
        let previous = self.previous.as_ref().filter(|_| release == Release::Previous);
        previous.unwrap_or(&self.next)
    }

    /// The next start of the process is with this release.
    fn choose(&self, process: &str, release: Release) -> Result<()> {
        let link = self.link(process);
        let new = link.with_extension("new");
        let made = || {
            std::fs::create_dir_all(link.parent().unwrap_or(&self.folder))?;
            symlink(self.path(release), &new)?;
            // At once: a process that a fault has ended may be starting.
            std::fs::rename(&new, &link)
        };
        made().with_context(|| format!("cannot make the link {}", link.display()))
    }

    /// Changes the processes to the next release and back, in the course of `time`, one after the
    /// other. Returns at once if there is one release only.
    pub(crate) async fn roll(&self, processes: Vec<&Process>, time: Duration, done: &mut RollOut) {
        if self.differ()
            && let Err(error) = self.forth_and_back(&processes, time, &mut done.changes).await
        {
            done.failure = Some(format!("{error:#}"));
        }
    }

    async fn forth_and_back(
        &self,
        processes: &[&Process],
        time: Duration,
        done: &mut Vec<ReleaseChange>,
    ) -> Result<()> {
        let start = Instant::now();
        let gap = time.mul_f64(SPREAD) / u32::try_from(processes.len().max(1))?;
        for (release, begins) in [(Release::Next, FORTH_AT), (Release::Previous, BACK_AT)] {
            let begins = start + time.mul_f64(begins);
            for (turn, process) in (0..).zip(processes) {
                sleep_until(begins + gap * turn).await;
                let change = self.change(process, release).await?;
                println!("{change}");
                done.push(change);
            }
        }
        Ok(())
    }

    async fn change(&self, process: &Process, release: Release) -> Result<ReleaseChange> {
        let (name, begin) = (process.name(), Instant::now());
        self.choose(name, release)?;
        process.signal(Signal::TERM);
        while !(self.runs(process, release) && process.wait_ready(Duration::ZERO).is_ok()) {
            let log = process.log_tail();
            ensure!(
                begin.elapsed() < FOLLOWS,
                "{name} does not run the {} release after {FOLLOWS:?}; its log ends with\n{log}",
                release.as_str(),
            );
            sleep(POLL).await;
        }
        let took_ms = begin.elapsed().as_millis() as u64;
        Ok(ReleaseChange { process: name.to_owned(), release, took_ms })
    }

    /// Whether the process runs this release at the moment.
    fn runs(&self, process: &Process, release: Release) -> bool {
        let runs =
            process.pid().and_then(|pid| std::fs::read_link(format!("/proc/{pid}/exe")).ok());
        runs.as_deref() == Some(self.path(release))
    }
}
