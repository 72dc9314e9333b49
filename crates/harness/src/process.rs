//! One supervised process: the handle that signals, observes and stops it.

use std::io;
use std::process::ExitStatus;
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use rustix::process::{Pid, Signal};

use crate::error::HarnessError;
use crate::spec::{ProcessEvent, ProcessSpec};
use crate::supervisor::{StopMode, Supervisor, tail};
use crate::usage::ProcessUsage;

/// A program that a thread of ours keeps running. Killed when dropped.
#[derive(Debug)]
pub struct Process {
    shared: Arc<Supervisor>,
    supervisor: Option<JoinHandle<()>>,
}

impl Process {
    /// Starts it.
    ///
    /// # Errors
    /// [`HarnessError::Start`].
    pub fn start(spec: ProcessSpec) -> Result<Self, HarnessError> {
        Self::start_with(spec, |_| ())
    }

    /// Starts it and reports what happens to it, from a thread of its own.
    ///
    /// # Errors
    /// [`HarnessError::Start`].
    pub fn start_with(
        spec: ProcessSpec,
        on_event: impl Fn(ProcessEvent) + Send + 'static,
    ) -> Result<Self, HarnessError> {
        let name = spec.name.clone();
        let shared =
            Arc::new(Supervisor { spec, state: Mutex::default(), changed: Condvar::default() });
        let (report, started) = mpsc::channel();
        let supervised = Arc::clone(&shared);
        // The thread starts every child of this process, and lives as long as they do: see `tied`.
        let supervisor =
            thread::Builder::new().name(format!("supervisor {name}")).spawn(move || {
                match supervised.spawn() {
                    Ok(child) => {
                        // The caller waits for this.
                        let _ = report.send(Ok(()));
                        supervised.supervise(child, &on_event);
                    }
                    Err(error) => drop(report.send(Err(error))),
                }
            })?;
        let lost = || Err(io::Error::other("its supervisor panicked"));
        match started.recv().unwrap_or_else(|_| lost()) {
            Ok(()) => Ok(Self { shared, supervisor: Some(supervisor) }),
            Err(cause) => Err(HarnessError::Start { name, cause }),
        }
    }

    /// Waits until it is ready.
    ///
    /// # Errors
    /// When it stays down, or is not ready within `limit`.
    pub fn wait_ready(&self, limit: Duration) -> Result<(), HarnessError> {
        let until = Instant::now() + limit;
        let mut state = self.shared.state.lock();
        while !state.ready {
            self.shared.check(&state)?;
            if self.shared.changed.wait_until(&mut state, until).timed_out() {
                let log = self.log_tail();
                return Err(HarnessError::NotReady { name: self.name().to_owned(), limit, log });
            }
        }
        Ok(())
    }

    /// Sends a signal. An end after SIGTERM or SIGKILL is explained by it.
    pub fn signal(&self, signal: Signal) {
        let mut state = self.shared.state.lock();
        state.signalled |= state.pid.is_some() && [Signal::TERM, Signal::KILL].contains(&signal);
        state.signal(signal);
    }

    /// Freezes it (SIGSTOP) and continues it after `time` (SIGCONT).
    pub fn freeze(&self, time: Duration) {
        let mut state = self.shared.state.lock();
        state.signal(Signal::STOP);
        state.resume_at = Some(Instant::now() + time);
    }

    /// Kills it (SIGKILL) and keeps it from starting again for at least `time`. Without effect on a
    /// process that is already down.
    pub fn kill_for(&self, time: Duration) {
        let mut state = self.shared.state.lock();
        state.signalled |= state.pid.is_some();
        state.held_until = Some(Instant::now() + time);
        state.signal(Signal::KILL);
    }

    /// Lets no file of it grow beyond so many bytes for `time`, as if the disk were full. If it
    /// ends of that, it does not start again before. A program that does not ignore SIGXFSZ ends
    /// at once.
    ///
    /// # Errors
    /// When the system refuses the limit.
    pub fn fill_disk(&self, bytes: u64, time: Duration) -> io::Result<()> {
        let mut state = self.shared.state.lock();
        state.limit_files(Some(bytes))?;
        let until = Instant::now() + time;
        (state.full_until, state.held_until) = (Some(until), Some(until));
        Ok(())
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.shared.spec.name
    }

    /// Its process ID while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.shared.state.lock().pid.map(id)
    }

    /// How often it was started.
    pub fn starts(&self) -> u64 {
        self.shared.state.lock().starts
    }

    /// The exit statuses that no signal of ours explains.
    pub fn unexplained_ends(&self) -> Vec<String> {
        self.shared.state.lock().unexplained_ends.clone()
    }

    /// Its exit status, if it has ended.
    pub fn exit_status(&self) -> Option<ExitStatus> {
        let state = self.shared.state.lock();
        if state.pid.is_none() { state.last_exit } else { None }
    }

    /// Fails if it has ended and stays down.
    ///
    /// # Errors
    /// [`HarnessError::Ended`].
    pub fn check_running(&self) -> Result<(), HarnessError> {
        self.shared.check(&self.shared.state.lock())
    }

    /// What it uses now.
    ///
    /// # Errors
    /// When it does not run.
    pub fn usage(&self) -> Result<ProcessUsage, HarnessError> {
        self.check_running()?;
        let pid = self.pid().ok_or_else(|| io::Error::other("it does not run at the moment"))?;
        Ok(ProcessUsage::of(pid)?)
    }

    /// Everything that it wrote.
    pub fn log(&self) -> String {
        self.shared.log()
    }

    /// The last lines that it wrote.
    pub fn log_tail(&self) -> String {
        tail(&self.log())
    }

    /// Asks it to end (SIGTERM), without waiting. It is killed when its grace is over.
    pub fn request_stop(&self) {
        self.shared.request_stop(StopMode::InOrder);
    }

    /// Asks it to end (SIGTERM), kills it when its grace is over, and waits for its end.
    pub async fn stop(mut self) {
        self.request_stop();
        // Fails only when the runtime shuts down; then dropping it has killed the process.
        let _ = tokio::task::spawn_blocking(move || self.join()).await;
    }

    /// Kills it and waits for its end. It stays down.
    pub fn kill(&mut self) {
        self.shared.request_stop(StopMode::Kill);
        self.join();
    }

    fn join(&mut self) {
        if let Some(supervisor) = self.supervisor.take() {
            // A supervisor that panicked has dropped its child.
            let _ = supervisor.join();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

fn id(pid: Pid) -> u32 {
    pid.as_raw_nonzero().get().unsigned_abs()
}
