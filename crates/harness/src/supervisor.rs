//! The thread that keeps one process running: start, readiness, end, restart, stop.

use std::fs::OpenOptions;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use bookingq_core::retry::Retry;
use parking_lot::{Condvar, Mutex, MutexGuard};
use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit};

use crate::command::tied;
use crate::error::HarnessError;
use crate::spec::{ProcessEvent, ProcessSpec, Restart};

/// Between two checks of a process. Our own requests wake the thread at once.
const INTERVAL: Duration = Duration::from_millis(20);
/// A process that ran this long has recovered: its next restart waits as short as the first.
const RECOVERED: Duration = Duration::from_secs(10);
/// Lines of the log in an error.
const LOG_LINES: usize = 10;

/// One process and everything known about it, shared by its thread and its handle.
#[derive(Debug)]
pub(crate) struct Supervisor {
    pub(crate) spec: ProcessSpec,
    pub(crate) state: Mutex<SupervisedState>,
    pub(crate) changed: Condvar,
}

#[derive(Debug, Default)]
pub(crate) struct SupervisedState {
    /// While it runs. It is reaped under the lock, so that no signal reaches a later process with
    /// the same ID.
    pub(crate) pid: Option<Pid>,
    pub(crate) ready: bool,
    pub(crate) starts: u64,
    /// We sent a signal that ends it.
    pub(crate) signalled: bool,
    pub(crate) resume_at: Option<Instant>,
    /// It does not start again before this.
    pub(crate) held_until: Option<Instant>,
    /// Its files cannot grow before this, which explains its end.
    pub(crate) full_until: Option<Instant>,
    pub(crate) stop: Option<StopMode>,
    pub(crate) last_exit: Option<ExitStatus>,
    pub(crate) unexplained_ends: Vec<String>,
}

/// How it is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StopMode {
    /// SIGTERM, then SIGKILL after its grace.
    InOrder,
    Kill,
}

impl SupervisedState {
    pub(crate) fn signal(&self, signal: Signal) {
        if let Some(pid) = self.pid {
            // Fails only when it has just ended.
            let _ = kill_process(pid, signal);
        }
    }

    /// Limits the size of its files, or ends the limit.
    pub(crate) fn limit_files(&self, bytes: Option<u64>) -> io::Result<()> {
        if self.pid.is_some() {
            let limit = Rlimit { current: bytes, maximum: None };
            prlimit(self.pid, Resource::Fsize, limit)?;
        }
        Ok(())
    }
}

impl Supervisor {
    pub(crate) fn spawn(&self) -> io::Result<Child> {
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
    pub(crate) fn supervise(&self, first: Child, on_event: &dyn Fn(ProcessEvent)) {
        let backoff = match self.spec.restart {
            Restart::Always(backoff) | Restart::Rounds(backoff) => Some(backoff),
            Restart::Never => None,
        };
        let mut retry = backoff.map(Retry::forever);
        let mut next = Ok(first);
        loop {
            let start = Instant::now();
            let outcome = next.and_then(|child| self.wait_for_end(child, on_event));
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
                    .and_then(|retry| retry.next_delay(Duration::ZERO, rand::random()))
                    .map(|delay| delay.max(self.hold()));
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

    /// Signals it as requested, and reports when it is ready, until it ends.
    fn wait_for_end(
        &self,
        mut child: Child,
        on_event: &dyn Fn(ProcessEvent),
    ) -> io::Result<ExitStatus> {
        on_event(ProcessEvent::Started { pid: child.id() });
        let mut kill_at = None;
        let mut state = self.state.lock();
        loop {
            if let Some(status) = child.try_wait()? {
                state.record_end(status);
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
            if state.full_until.take_if(|at| *at <= now).is_some() {
                // Fails only when it has just ended.
                let _ = state.limit_files(None);
            }
            if !state.ready && MutexGuard::unlocked(&mut state, || accepts(self.spec.port)) {
                state.ready = true;
                self.changed.notify_all();
                MutexGuard::unlocked(&mut state, || on_event(ProcessEvent::Ready));
            }
            self.changed.wait_for(&mut state, INTERVAL);
        }
    }

    /// How long it must not start again yet.
    fn hold(&self) -> Duration {
        let until = self.state.lock().held_until.take();
        until.map_or(Duration::ZERO, |until| until.saturating_duration_since(Instant::now()))
    }

    /// Waits for the time, or until it is stopped.
    fn is_stopped_within(&self, time: Duration) -> bool {
        let mut state = self.state.lock();
        self.changed.wait_while_for(&mut state, |state| state.stop.is_none(), time);
        state.stop.is_some()
    }

    pub(crate) fn request_stop(&self, stop: StopMode) {
        self.state.lock().stop = Some(stop);
        self.changed.notify_all();
    }

    pub(crate) fn check(&self, state: &SupervisedState) -> Result<(), HarnessError> {
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

    pub(crate) fn log(&self) -> String {
        let log = self.spec.log.as_ref().and_then(|path| std::fs::read(path).ok());
        String::from_utf8_lossy(&log.unwrap_or_default()).into_owned()
    }
}

impl SupervisedState {
    fn record_end(&mut self, status: ExitStatus) {
        (self.pid, self.ready, self.last_exit) = (None, false, Some(status));
        let was_full = self.full_until.take().is_some();
        if !std::mem::take(&mut self.signalled) && !was_full && self.stop.is_none() {
            self.unexplained_ends.push(status.to_string());
        }
    }
}

/// Whether the port accepts a connection; a process without a port is always ready.
fn accepts(port: Option<SocketAddr>) -> bool {
    port.is_none_or(|port| TcpStream::connect_timeout(&port, INTERVAL).is_ok())
}

pub(crate) fn tail(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
}
