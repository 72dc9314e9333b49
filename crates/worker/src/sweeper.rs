//! The sweeper: turns overdue holds into releases, and executes due tasks where no worker does.

use std::sync::Arc;
use std::time::Duration;

use bookingq_core::backoff::Backoff;
use bookingq_core::retry::Retry;
use bookingq_store::{Scope, Store, Swept};
use futures::future::BoxFuture;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::WorkerError;
use crate::config::SweepConfig;
use crate::processing::claims::Finished;
use crate::processing::{ClaimLoop, Wake};
use crate::runtime::Runtime;
use crate::store_monitor::open;

/// Holds expired in one store call.
const STEP: usize = bookingq_core::limits::MAX_STORE_BATCH;
/// Longest time between two sweeps: also the heartbeat.
const EVERY: Duration = Duration::from_millis(500);
/// Time between two looks whether the store is to be compacted.
const COMPACT_EVERY: Duration = Duration::from_secs(60);
/// Longest that a sweeper that has swept everything compacts the store yet.
const COMPACT_WITHIN: Duration = Duration::from_secs(60);
/// Sweeps in a row that may fail before `SweepMode::Once` gives up.
const ONCE_FAILURES: u32 = 5;
/// Waits after a failed sweep.
const BACKOFF: Backoff =
    Backoff { initial: Duration::from_millis(100), max: Duration::from_secs(2) };

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
    pub fn run(
        self,
        mode: SweepMode,
        stop: CancellationToken,
    ) -> BoxFuture<'static, Result<SweepReport, WorkerError>> {
        // Boxed here, or every crate that sweeps would compile all of it again.
        Box::pin(async move {
            let end = match mode {
                SweepMode::For(time) => Some(Instant::now() + time),
                SweepMode::Once | SweepMode::UntilStopped => None,
            };
            let SweepConfig { id, admin, tasks, grace } = self.config;
            let mut runtime = Runtime::start(&id, admin, self.store).await?;
            let never = "the store was never reached";
            tokio::select! {
                opened = open(&*runtime.store, &runtime.metrics, &runtime.readiness) => opened?,
                () = stop.cancelled() => return Ok(SweepReport::default()),
                () = until(end) => return Err(WorkerError::Swept(never.to_owned())),
            }
            let (over, wake) = (stop.child_token(), Wake::new(Arc::clone(&runtime.queue)));
            let claims = match tasks {
                None => None,
                Some(tasks) => {
                    let claims = ClaimLoop {
                        executor: runtime.executor(&tasks)?,
                        lease: tasks.lease,
                        scope: Scope::DueOnly,
                        wake: Arc::clone(&wake),
                    };
                    Some(tokio::spawn(claims.run(over.clone(), grace)))
                }
            };
            let mut compacts = tokio::spawn(compact(Arc::clone(&runtime.store), mode));
            let sweep = SweepRun { runtime: &runtime, mode, end, stop: &stop, wake: &wake };
            let mut report = sweep.run().await;
            if let Some(claims) = claims {
                if mode == SweepMode::Once {
                    sweep.until_nothing_is_due(grace).await;
                }
                over.cancel();
                report.tasks = claims.await.unwrap_or_default();
            }
            if mode == SweepMode::Once {
                tokio::time::timeout(COMPACT_WITHIN, &mut compacts).await.ok();
            }
            // Ended anywhere, it loses nothing, and the next sweeper does it.
            compacts.abort();
            let SweepReport { sweeps, expired, errors, .. } = report;
            info!(sweeps, expired, errors, "swept");
            if sweeps == 0 && errors > 0 {
                return Err(WorkerError::Swept("no sweep succeeded; see the log".to_owned()));
            }
            Ok(report)
        })
    }
}

/// Compacts the store, beside the sweeps and for as long as they last.
async fn compact(store: Arc<dyn Store>, mode: SweepMode) {
    loop {
        if let Err(error) = store.compact().await {
            warn!(%error, "cannot compact the store; trying again later");
        }
        if mode == SweepMode::Once {
            return;
        }
        tokio::time::sleep(COMPACT_EVERY).await;
    }
}

/// A run of sweeps.
struct SweepRun<'a> {
    runtime: &'a Runtime,
    mode: SweepMode,
    end: Option<Instant>,
    stop: &'a CancellationToken,
    /// Notified when there are releases to claim.
    wake: &'a Wake,
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
            self.wake.due();
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
