//! One supervised process: started, restarted when it ends, signalled, and gone when we are.

use std::fs::OpenOptions;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ExitStatus, Stdio};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use bookingq_core::retry::Retry;
use parking_lot::{Condvar, Mutex, MutexGuard};
use rustix::process::{Pid, Signal, kill_process};

use crate::HarnessError;
use crate::command::tied;
use crate::spec::{ProcessSpec, Restart};
use crate::usage::ProcessUsage;

/// Between two checks of a process. Requests of ours are seen at once.
const INTERVAL: Duration = Duration::from_millis(20);
/// A process that ran this long has recovered: its next restart waits as short as the first.
const RECOVERED: Duration = Duration::from_secs(10);
/// Lines of the log in an error.
const LOG_LINES: usize = 10;

/// A program that a thread of ours keeps running. Killed when dropped.
#[derive(Debug)]
pub struct Process {
    shared: Arc<Supervisor>,
    supervisor: Option<JoinHandle<()>>,
}

/// A change in the life of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProcessEvent {
    /// It runs.
    Started {
        /// Its process ID.
        pid: u32,
    },
    /// It accepts connections.
    Ready,
    /// It ended without our request. Rounds that succeed are not reported.
    Ended {
        /// Its exit status, or why it cannot be started.
        how: String,
        /// The wait before the next start; `None`: it stays down.
        restart_in: Option<Duration>,
    },
    /// It was stopped.
    Stopped,
}

#[derive(Debug)]
struct Supervisor {
    spec: ProcessSpec,
    state: Mutex<ProcessState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct ProcessState {
    /// While it runs. It is reaped under the lock, so that no signal reaches a later process with
    /// the same ID.
    pid: Option<Pid>,
    ready: bool,
    starts: u64,
    /// We sent a signal that ends it.
    signalled: bool,
    resume_at: Option<Instant>,
    stop: Option<StopMode>,
    last_exit: Option<ExitStatus>,
    unexplained_ends: Vec<String>,
}

/// How it is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StopMode {
    /// SIGTERM, then SIGKILL after its grace.
    InOrder,
    Kill,
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

impl ProcessState {
    fn signal(&self, signal: Signal) {
        if let Some(pid) = self.pid {
            // Fails only when it has just ended.
            let _ = kill_process(pid, signal);
        }
    }
}

impl Supervisor {
    fn spawn(&self) -> io::Result<Child> {
        let ProcessSpec { program, arguments, environment, log, .. } = &self.spec;
        let (out, err) = match log {
            None => (Stdio::null(), Stdio::null()),
            Some(log) => {
                let log = OpenOptions::new().create(true).append(true).open(log)?;
                (log.try_clone()?.into(), log.into())
            }
        };
        let mut command = tied(program, self.spec.orphan_signal)?;
        // These are values of our own flags, not of its.
        for (name, _) in
            std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("BOOKINGQ_"))
        {
            command.env_remove(name);
        }
        command.args(arguments).envs(environment.iter().map(|(name, value)| (name, value)));
        // Ctrl-C reaches a whole process group; we stop ours ourselves, in order.
        command.stdin(Stdio::null()).stdout(out).stderr(err).process_group(0);
        let child = command.spawn()?;
        let mut state = self.state.lock();
        state.pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        state.starts += 1;
        Ok(child)
    }

    /// Keeps it running until it is stopped or stays down.
    fn supervise(&self, first: Child, on_event: &dyn Fn(ProcessEvent)) {
        let backoff = match self.spec.restart {
            Restart::Always(backoff) | Restart::Rounds(backoff) => Some(backoff),
            Restart::Never => None,
        };
        let mut retry = backoff.map(Retry::forever);
        let mut next = Ok(first);
        loop {
            let start = Instant::now();
            let outcome = next.and_then(|child| self.accompany(child, on_event));
            if self.state.lock().stop.is_some() {
                return on_event(ProcessEvent::Stopped);
            }
            let succeeded = outcome.as_ref().is_ok_and(ExitStatus::success);
            let round = succeeded && matches!(self.spec.restart, Restart::Rounds(_));
            if !round {
                if let Some(retry) = retry.as_mut().filter(|_| start.elapsed() >= RECOVERED) {
                    retry.reset();
                }
                let delay = retry
                    .as_mut()
                    .and_then(|retry| retry.next_delay(Duration::ZERO, rand::random()));
                let how = outcome
                    .map_or_else(|error| format!("cannot be started: {error}"), |s| s.to_string());
                on_event(ProcessEvent::Ended { how, restart_in: delay });
                let Some(delay) = delay else { return };
                if self.is_stopped_within(delay) {
                    return on_event(ProcessEvent::Stopped);
                }
            }
            next = self.spawn();
        }
    }

    /// From its start to its end.
    fn accompany(
        &self,
        mut child: Child,
        on_event: &dyn Fn(ProcessEvent),
    ) -> io::Result<ExitStatus> {
        on_event(ProcessEvent::Started { pid: child.id() });
        let mut kill_at = None;
        let mut state = self.state.lock();
        loop {
            if let Some(status) = child.try_wait()? {
                state.note_end(status);
                self.changed.notify_all();
                return Ok(status);
            }
            let now = Instant::now();
            match (state.stop, kill_at) {
                (None, _) => {}
                (Some(StopMode::InOrder), None) => {
                    state.signal(Signal::TERM);
                    // A process that is frozen does not see SIGTERM.
                    state.signal(Signal::CONT);
                    kill_at = Some(now + self.spec.grace);
                }
                (Some(StopMode::InOrder), Some(at)) if now < at => {}
                (Some(_), _) => state.signal(Signal::KILL),
            }
            if state.resume_at.take_if(|at| *at <= now).is_some() {
                state.signal(Signal::CONT);
            }
            if !state.ready && MutexGuard::unlocked(&mut state, || accepts(self.spec.port)) {
                state.ready = true;
                self.changed.notify_all();
                MutexGuard::unlocked(&mut state, || on_event(ProcessEvent::Ready));
            }
            self.changed.wait_for(&mut state, INTERVAL);
        }
    }

    /// Waits for the time, or until it is stopped.
    fn is_stopped_within(&self, time: Duration) -> bool {
        let mut state = self.state.lock();
        self.changed.wait_while_for(&mut state, |state| state.stop.is_none(), time);
        state.stop.is_some()
    }

    fn request_stop(&self, stop: StopMode) {
        self.state.lock().stop = Some(stop);
        self.changed.notify_all();
    }

    fn check(&self, state: &ProcessState) -> Result<(), HarnessError> {
        match state.last_exit {
            Some(status) if state.pid.is_none() && self.spec.restart == Restart::Never => {
                let log = tail(&self.log());
                Err(HarnessError::Ended {
                    name: self.spec.name.clone(),
                    how: status.to_string(),
                    log,
                })
            }
            _ => Ok(()),
        }
    }

    fn log(&self) -> String {
        let log = self.spec.log.as_ref().and_then(|path| std::fs::read(path).ok());
        String::from_utf8_lossy(&log.unwrap_or_default()).into_owned()
    }
}

impl ProcessState {
    fn note_end(&mut self, status: ExitStatus) {
        (self.pid, self.ready, self.last_exit) = (None, false, Some(status));
        if !std::mem::take(&mut self.signalled) && self.stop.is_none() {
            self.unexplained_ends.push(status.to_string());
        }
    }
}

/// Whether the port accepts a connection; a process without a port is always ready.
fn accepts(port: Option<SocketAddr>) -> bool {
    port.is_none_or(|port| TcpStream::connect_timeout(&port, INTERVAL).is_ok())
}

fn tail(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
}

fn id(pid: Pid) -> u32 {
    pid.as_raw_nonzero().get().unsigned_abs()
}
