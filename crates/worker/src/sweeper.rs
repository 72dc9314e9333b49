//! The sweeper: turns overdue holds into releases, and does what is due where no worker does.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bookingq_core::backoff::Backoff;
use bookingq_store::group::GroupCommit;
use bookingq_store::{Scope, Store, Swept};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::admin::{self, Readiness};
use crate::config::Downstream;
use crate::downstream::booking::BookingClient;
use crate::follow::line_view::LineView;
use crate::metrics::Metrics;
use crate::processing::claims::Finished;
use crate::processing::renewals::renew_leases;
use crate::processing::{ClaimLoop, Executor, ExecutorConfig};
use crate::{WorkerError, keeper};
use bookingq_core::backoff::RetryPolicy;

/// Holds turned in one step.
const STEP: usize = bookingq_core::limits::MAX_STORE_BATCH;
/// Longest sleep between two sweeps: also the heartbeat.
const EVERY: Duration = Duration::from_millis(500);
/// Waits after a sweep that failed.
const BACKOFF: Backoff =
    Backoff { initial: Duration::from_millis(100), max: Duration::from_secs(2) };

/// What a sweeper is told.
#[derive(Debug, Clone)]
pub struct SweepConfig {
    /// Names this sweeper in logs and metrics.
    pub id: String,
    /// The Booking Service: with it, the sweeper also does what is due (releases, retries, dead
    /// workers' tasks).
    pub booking: Option<Downstream>,
    /// Tasks at once.
    pub concurrency: usize,
    /// How long a claimed task is ours without a sign of life.
    pub lease: Duration,
    /// Time to pay, for a reservation that a dead worker left behind.
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
    /// For so long.
    For(Duration),
    /// Until told to stop.
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
    metrics: Metrics,
}

impl Sweeper {
    /// Prepares it.
    ///
    /// # Errors
    /// Never in practice: only if metrics clashed.
    pub fn new(config: SweepConfig, store: Arc<dyn Store>) -> Result<Self, WorkerError> {
        let metrics = Metrics::new(store.queue().as_str(), &config.id)?;
        Ok(Self { config, store, metrics })
    }

    /// Sweeps as long as `mode` says, or until `stop`.
    ///
    /// # Errors
    /// When an endpoint, TLS file or port can't be used, the store's data is of a newer release, or
    /// no sweep succeeded.
    pub async fn run(
        self,
        mode: SweepMode,
        stop: CancellationToken,
    ) -> Result<SweepReport, WorkerError> {
        let end = match mode {
            SweepMode::For(time) => Some(Instant::now() + time),
            SweepMode::Once | SweepMode::UntilStopped => None,
        };
        let over = stop.child_token();
        let readiness = Arc::new(Readiness::default());
        let mut background = JoinSet::new();
        self.start_admin(&readiness, &mut background).await?;
        tokio::select! {
            opened = keeper::open(&*self.store, &self.metrics, &readiness) => opened?,
            () = over.cancelled() => return Ok(SweepReport::default()),
            () = until(end) => return Err(WorkerError::Swept("the store was never reached".to_owned())),
        }
        let wake = Arc::new(Notify::new());
        let claims = self.start_claims(&wake, &over, &mut background)?;
        let mut report = SweepReport::default();
        self.sweep(mode, end, &stop, &wake, &mut report).await;
        if mode == SweepMode::Once && claims.is_some() {
            self.until_nothing_is_due(&stop).await;
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

    async fn sweep(
        &self,
        mode: SweepMode,
        end: Option<Instant>,
        stop: &CancellationToken,
        wake: &Notify,
        report: &mut SweepReport,
    ) {
        let mut failures = 0;
        while !stop.is_cancelled() && end.is_none_or(|end| Instant::now() < end) {
            let pause = match self.store.sweep(STEP).await {
                Ok(swept) => {
                    failures = 0;
                    report.sweeps += 1;
                    report.expired += swept.expired as u64;
                    self.metrics.expired_holds.inc_by(swept.expired as u64);
                    if swept.expired > 0 {
                        debug!(expired = swept.expired, "holds have expired");
                        wake.notify_one();
                    }
                    match pause(swept) {
                        None => continue,
                        Some(_) if mode == SweepMode::Once => return,
                        Some(pause) => pause,
                    }
                }
                Err(error) => {
                    failures += 1;
                    report.errors += 1;
                    self.metrics.store_failed(&error);
                    warn!(%error, "can't sweep");
                    if mode == SweepMode::Once && failures >= 5 {
                        return;
                    }
                    BACKOFF.delay(failures, rand::random())
                }
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = until(end) => {}
                () = stop.cancelled() => {}
            }
        }
    }

    /// Waits until every due task has been taken and done, at most for the grace.
    async fn until_nothing_is_due(&self, stop: &CancellationToken) {
        let none_due = async {
            while !matches!(self.store.snapshot().await, Ok(snapshot) if snapshot.due == 0) {
                tokio::time::sleep(EVERY / 10).await;
            }
        };
        tokio::select! {
            _ = tokio::time::timeout(self.config.grace, none_due) => {}
            () = stop.cancelled() => {}
        }
    }

    fn start_claims(
        &self,
        wake: &Arc<Notify>,
        over: &CancellationToken,
        background: &mut JoinSet<()>,
    ) -> Result<Option<tokio::task::JoinHandle<Finished>>, WorkerError> {
        let Some(booking) = &self.config.booking else { return Ok(None) };
        let booking = BookingClient::new(self.store.queue().clone(), booking)?;
        let config = ExecutorConfig { hold: self.config.hold, retry: self.config.retry };
        let store = GroupCommit::new(Arc::clone(&self.store));
        let executor = Executor::new(config, store, booking, None, self.metrics.clone());
        background.spawn(renew_leases(Arc::clone(&executor), self.config.lease));
        let claims = ClaimLoop {
            executor,
            concurrency: self.config.concurrency,
            lease: self.config.lease,
            scope: Scope::DueOnly,
            wake: Arc::clone(wake),
        };
        Ok(Some(tokio::spawn(claims.run(over.clone(), self.config.grace))))
    }

    async fn start_admin(
        &self,
        readiness: &Arc<Readiness>,
        background: &mut JoinSet<()>,
    ) -> Result<(), WorkerError> {
        let line = Arc::new(LineView::new());
        // Nobody follows the outbox here.
        let read =
            keeper::read_queue(Arc::clone(&self.store), line, Arc::default(), self.metrics.clone());
        background.spawn(read);
        let Some(address) = self.config.admin else { return Ok(()) };
        let listener = TcpListener::bind(address)
            .await
            .map_err(|cause| WorkerError::Bind { address, cause })?;
        let serve = admin::serve(listener, self.metrics.clone(), Arc::clone(readiness));
        background.spawn(async move {
            if let Err(error) = serve.await {
                warn!(%error, "the admin port failed");
            }
        });
        Ok(())
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
