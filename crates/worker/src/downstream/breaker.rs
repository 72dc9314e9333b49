//! The circuit breaker of one service: stops calls while none is answered, so that an outage uses
//! up no booking's attempts.

use std::time::Duration;

use bookingq_core::backoff::Backoff;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

/// Failures in a row, with no success between, that open the circuit.
const THRESHOLD: u32 = 10;
/// Waits between probes while it is open.
const PROBES: Backoff =
    Backoff { initial: Duration::from_millis(500), max: Duration::from_secs(5) };

/// Whether calls may be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Circuit {
    /// Any number.
    Closed,
    /// One, to see whether the service is back: the caller that receives this makes it.
    Probe,
    /// None until then.
    OpenUntil(Instant),
}

#[derive(Debug, Default)]
struct BreakerState {
    failures: u32,
    last_success: Option<Instant>,
    /// Set while open: when the next probe may go.
    next_probe: Option<Instant>,
    probes: u32,
}

/// What is known about a service besides one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServiceHealth {
    /// It answered others while this call was in progress.
    AnsweringOthers,
    /// It has answered no call since this one began, but the circuit is closed.
    Silent,
    /// The circuit is open.
    CircuitOpen,
}

/// Counts the results of calls, and says whether more may be made.
#[derive(Debug, Default)]
pub struct Breaker {
    state: Mutex<BreakerState>,
    closed: Notify,
}

impl Breaker {
    /// A closed circuit.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether calls may be made. While the circuit is open, one caller after each wait gets the
    /// probe.
    pub fn admit(&self, now: Instant, chance: f64) -> Circuit {
        let mut state = self.state.lock();
        match state.next_probe {
            None => Circuit::Closed,
            Some(at) if now < at => Circuit::OpenUntil(at),
            Some(_) => {
                state.probes += 1;
                state.next_probe = Some(now + PROBES.delay(state.probes, chance));
                Circuit::Probe
            }
        }
    }

    /// Whether the circuit is open (probing included).
    pub fn is_open(&self) -> bool {
        self.state.lock().next_probe.is_some()
    }

    /// A call was answered.
    pub fn succeeded(&self, now: Instant) {
        let before = std::mem::replace(
            &mut *self.state.lock(),
            BreakerState { last_success: Some(now), ..BreakerState::default() },
        );
        if before.next_probe.is_some() {
            self.closed.notify_one();
        }
    }

    /// Waits until a probe is answered; for the one caller that waits for the circuit to close.
    pub async fn closed(&self) {
        self.closed.notified().await;
    }

    /// A call was not answered, or answered with an error.
    pub fn failed(&self, now: Instant) {
        let mut state = self.state.lock();
        state.failures = state.failures.saturating_add(1);
        if state.failures >= THRESHOLD && state.next_probe.is_none() {
            state.probes = 0;
            state.next_probe = Some(now + PROBES.delay(1, 1.0));
        }
    }

    /// The service's health since `start`: only if it answered others does the silence of one call
    /// say something about one booking.
    pub fn health_since(&self, start: Instant) -> ServiceHealth {
        let state = self.state.lock();
        if state.next_probe.is_some() {
            ServiceHealth::CircuitOpen
        } else if state.last_success.is_some_and(|at| at > start) {
            ServiceHealth::AnsweringOthers
        } else {
            ServiceHealth::Silent
        }
    }
}
