//! The sweeper: turns overdue holds into releases, and executes due tasks where no worker does.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bookingq_core::backoff::{Backoff, RetryPolicy};
use bookingq_core::retry::Retry;
use bookingq_store::{Scope, Store, Swept};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::config::Downstream;
use crate::processing::ClaimLoop;
use crate::processing::claims::Finished;
use crate::runtime::{Runtime, TaskConfig};
use crate::{WorkerError, store_monitor};

/// Holds expired in one store call.
const STEP: usize = bookingq_core::limits::MAX_STORE_BATCH;
/// Longest time between two sweeps: also the heartbeat.
const EVERY: Duration = Duration::from_millis(500);
/// Sweeps in a row that may fail before `SweepMode::Once` gives up.
const ONCE_FAILURES: u32 = 5;
/// Waits after a failed sweep.
const BACKOFF: Backoff =
    Backoff { initial: Duration::from_millis(100), max: Duration::from_secs(2) };

/// How to sweep a queue.
#[derive(Debug, Clone)]
pub struct SweepConfig {
    /// Names this sweeper in logs and metrics.
    pub id: String,
    /// The Booking Service: with it, the sweeper also executes due tasks (releases, retries, tasks
    /// of dead workers).
    pub booking: Option<Downstream>,
    /// Tasks at once.
    pub concurrency: usize,
    /// Length of a task's lease; renewed at a third of it.
    pub lease: Duration,
    /// Time to pay, for a reservation that a dead worker was making.
    pub hold: Duration,
    /// Retries.
    pub retry: RetryPolicy,
    /// How long tasks in hand may take once the sweep is over.
    pub grace: Duration,
    /// Port of `/healthz`, `/readyz` and `/metrics`; none in-process.
    pub admin: Option<SocketAddr>,
}

/// How long to sweep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SweepMode {
    /// Until nothing is overdue.
    Once,
    /// For this long.
    For(Duration),
    /// Until stopped.
    UntilStopped,
}

/// What a sweeper did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SweepReport {
    /// Sweeps that succeeded.
    pub sweeps: u64,
    /// Holds turned into releases.
    pub expired: u64,
    /// Sweeps that failed.
    pub errors: u64,
    /// Tasks in hand at the end.
    pub tasks: Finished,
}

/// Sweeps one queue.
pub struct Sweeper {
    config: SweepConfig,
    store: Arc<dyn Store>,
}

impl Sweeper {
    /// A sweeper of the store's queue.
    pub fn new(config: SweepConfig, store: Arc<dyn Store>) -> Self {
        Self { config, store }
    }

    /// Sweeps as long as `mode` says, or until `stop`.
    ///
    /// # Errors
    /// When an endpoint, TLS file or port cannot be used, the store's data is of a newer release,
    /// or no sweep succeeded.
    pub async fn run(
        self,
        mode: SweepMode,
        stop: CancellationToken,
    ) -> Result<SweepReport, WorkerError> {
        let end = match mode {
            SweepMode::For(time) => Some(Instant::now() + time),
            SweepMode::Once | SweepMode::UntilStopped => None,
        };
        let mut runtime = Runtime::start(&self.config.id, self.config.admin, self.store).await?;
        tokio::select! {
            opened = store_monitor::open(&*runtime.store, &runtime.metrics, &runtime.readiness) => {
                opened?;
            }
            () = stop.cancelled() => return Ok(SweepReport::default()),
            () = until(end) => return Err(WorkerError::Swept("the store was never reached".to_owned())),
        }
        let (over, wake) = (stop.child_token(), Arc::new(Notify::new()));
        let claims = start_claims(&self.config, &mut runtime, &wake, &over)?;
        let sweep = SweepRun { runtime: &runtime, mode, end, stop: &stop, wake: &wake };
        let mut report = sweep.run().await;
        if mode == SweepMode::Once && claims.is_some() {
            sweep.until_nothing_is_due(self.config.grace).await;
        }
        over.cancel();
        if let Some(claims) = claims {
            report.tasks = claims.await.unwrap_or_default();
        }
        info!(sweeps = report.sweeps, expired = report.expired, errors = report.errors, "swept");
        if report.sweeps == 0 && report.errors > 0 {
            return Err(WorkerError::Swept("no sweep succeeded; see the log".to_owned()));
        }
        Ok(report)
    }
}

/// Claims due tasks, if there is a Booking Service to execute them.
fn start_claims(
    config: &SweepConfig,
    runtime: &mut Runtime,
    wake: &Arc<Notify>,
    over: &CancellationToken,
) -> Result<Option<JoinHandle<Finished>>, WorkerError> {
    let Some(booking) = &config.booking else { return Ok(None) };
    let SweepConfig { lease, hold, retry, .. } = *config;
    let claims = ClaimLoop {
        executor: runtime.executor(&TaskConfig { booking, ticket: None, lease, hold, retry })?,
        concurrency: config.concurrency,
        lease,
        scope: Scope::DueOnly,
        wake: Arc::clone(wake),
    };
    Ok(Some(tokio::spawn(claims.run(over.clone(), config.grace))))
}

/// A run of sweeps.
struct SweepRun<'a> {
    runtime: &'a Runtime,
    mode: SweepMode,
    end: Option<Instant>,
    stop: &'a CancellationToken,
    /// Notified when there are releases to claim.
    wake: &'a Notify,
}

impl SweepRun<'_> {
    async fn run(&self) -> SweepReport {
        let mut report = SweepReport::default();
        let mut retry = Retry::forever(BACKOFF);
        while !self.stop.is_cancelled() && self.end.is_none_or(|end| Instant::now() < end) {
            let pause = match self.runtime.store.sweep(STEP).await {
                Ok(swept) => {
                    retry.reset();
                    self.count(swept, &mut report);
                    match pause(swept) {
                        None => continue,
                        Some(_) if self.mode == SweepMode::Once => break,
                        Some(pause) => pause,
                    }
                }
                Err(error) => {
                    report.errors += 1;
                    self.runtime.metrics.store_failed(&error);
                    warn!(%error, "cannot sweep");
                    let delay = retry.next_delay(Duration::ZERO, rand::random());
                    if self.mode == SweepMode::Once && retry.failures() >= ONCE_FAILURES {
                        break;
                    }
                    delay.unwrap_or(BACKOFF.max)
                }
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = until(self.end) => {}
                () = self.stop.cancelled() => {}
            }
        }
        report
    }

    fn count(&self, swept: Swept, report: &mut SweepReport) {
        report.sweeps += 1;
        report.expired += swept.expired as u64;
        self.runtime.metrics.tasks.expired_holds.inc_by(swept.expired as u64);
        if swept.expired > 0 {
            debug!(expired = swept.expired, "holds have expired");
            self.wake.notify_one();
        }
    }

    /// Waits until every due task has been claimed and executed, at most for `limit`.
    async fn until_nothing_is_due(&self, limit: Duration) {
        let store = &self.runtime.store;
        let none_due = async {
            while !matches!(store.snapshot().await, Ok(snapshot) if snapshot.due == 0) {
                tokio::time::sleep(EVERY / 10).await;
            }
        };
        tokio::select! {
            _ = tokio::time::timeout(limit, none_due) => {}
            () = self.stop.cancelled() => {}
        }
    }
}

/// How long to wait before the next sweep; `None`: not at all.
fn pause(swept: Swept) -> Option<Duration> {
    if swept.more {
        return None;
    }
    // A hold that is overdue in a moment is swept in that moment; a millisecond more, so that it is
    // overdue by then.
    let next = swept.next_deadline.map_or(EVERY, |next| next + Duration::from_millis(1));
    Some(next.min(EVERY))
}

async fn until(end: Option<Instant>) {
    match end {
        Some(end) => tokio::time::sleep_until(end).await,
        None => std::future::pending().await,
    }
}
