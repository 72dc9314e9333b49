//! One queue of a run, from its start to its report.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bookingq_api::{DurationString, Plan};
use bookingq_check::{Answers, Audit, AuditTerms, Violation};
use bookingq_crowd::{CrowdConfig, CrowdReport, GatewayAccess};
use bookingq_store::{Snapshot, Store};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::backend::Backend;
use crate::config::UpArgs;
use crate::console::Console;
use crate::crowd::{RunningCrowd, settle};
use crate::error::{RunOutcome, UpError};
use crate::gateway::ServedQueue;
use crate::items::ItemEvidence;
use crate::report::{Replicas, RunReport, RunSummary};
use crate::scaling::Scaler;
use crate::screen::Sparkline;
use crate::services::Services;
use crate::sweeping;
use crate::view::QueueView;
use crate::worker_pool::WorkerPool;

/// Distance between the first ports of two queues.
pub const PORTS_PER_QUEUE: u16 = 100;
/// Sold out items that are read for the view.
const ITEMS: usize = 128;
/// Between two readings.
const PULSE: Duration = Duration::from_secs(1);

/// One queue with everything that serves it.
pub struct QueueRun {
    plan: Arc<Plan>,
    services: Arc<Services>,
    store: Arc<dyn Store>,
    store_kind: &'static str,
    pool: WorkerPool,
    scaler: Scaler,
    /// The sweeper, and what stops it.
    sweeper: Option<(CancellationToken, JoinHandle<()>)>,
    audit: Audit,
    console: Console,
    start: Instant,
    depth: Sparkline,
    last: Option<Snapshot>,
    /// Whether they are no longer those of the manifest.
    rules_changed: bool,
    replicas: Vec<Replicas>,
}

impl QueueRun {
    /// Starts services, store, workers and sweeper.
    ///
    /// # Errors
    /// [`UpError`], of the part that cannot be started.
    pub async fn start(
        plan: Plan,
        config: &UpArgs,
        base_port: u16,
        backend: &Backend,
        directory: &Path,
        console: Console,
    ) -> Result<Self, UpError> {
        let plan = Arc::new(plan);
        let store = backend.store(&plan, &console).await?;
        let before = store.snapshot().await?.totals.enqueued;
        if before > 0 && (config.crowd.is_some() || config.report.is_some()) {
            return Err(UpError::OldData { queue: plan.queue.clone(), enqueued: before });
        }
        let access = (backend.redis_access(), backend.kafka_access());
        let services = Services::start(&plan, config.simulate.as_deref(), access).await?;
        let services = Arc::new(services);
        let (runner, store_kind) = backend.runner(&store, directory)?;
        let scaler = Scaler::new(&plan.scaling, config.workers);
        let args = services.worker_args(&plan, SocketAddr::from(([127, 0, 0, 1], base_port)));
        let mut pool = WorkerPool::new(runner.clone(), args, base_port, console.clone())?;
        let sweeper = if plan.sweep.is_some() {
            let stop = CancellationToken::new();
            let task = sweeping::start(&runner, &plan, &services, &console, stop.clone())?;
            Some((stop, task))
        } else {
            None
        };
        if let Some(address) = services.simulator.admin_address() {
            console.report(format!(
                "{}: the simulated Booking Service's ledger is at http://{address}/ledger",
                plan.queue
            ));
        }
        pool.resize(scaler.replicas());
        let terms = AuditTerms {
            hold: Some(plan.hold),
            rules: Some(plan.rules.clone()),
            ..AuditTerms::default()
        };
        Ok(Self {
            audit: Audit::start(Arc::clone(&store), terms),
            plan,
            services,
            store,
            store_kind,
            pool,
            scaler,
            sweeper,
            console,
            start: Instant::now(),
            depth: Sparkline::default(),
            last: None,
            rules_changed: false,
            replicas: Vec::new(),
        })
    }

    /// What a gateway needs to serve the queue.
    pub fn served(&self) -> ServedQueue {
        let booking = self.services.simulator.booking.as_ref();
        let items = booking.map(|booking| booking.ledger().items().clone()).unwrap_or_default();
        // Without items, the simulated Booking Service has one stock of no name.
        let items = items.keys().filter(|item| !item.is_empty()).map(ToString::to_string);
        ServedQueue {
            name: self.plan.queue.clone(),
            workers: self.pool.addresses(),
            items: items.collect(),
        }
    }

    /// Serves until the time is over, or before that every client of the crowd has seen its end, or
    /// `stop`; then drains, verifies and reports. The crowd comes `through` a gateway at these
    /// addresses, if there is one, and to the workers otherwise.
    ///
    /// # Errors
    /// When the store does not answer at the end, or the report cannot be written.
    pub async fn run(
        mut self,
        config: UpArgs,
        through: Option<(GatewayAccess, watch::Receiver<Vec<SocketAddr>>)>,
        stop: CancellationToken,
    ) -> Result<RunOutcome, UpError> {
        let mut crowd = config.crowd.map(|clients| {
            let queue = self.plan.queue.clone();
            let mut crowd = CrowdConfig::new(queue, clients, config.arrive.get());
            crowd.items = config.items.clone().unwrap_or(crowd.items);
            crowd.quantities = config.quantities.clone().unwrap_or(crowd.quantities);
            let (gateway, endpoints) = through.unzip();
            crowd.gateway = gateway;
            RunningCrowd::start(crowd, endpoints.unwrap_or_else(|| self.pool.addresses()))
        });
        let end = config.time.map(|time| self.start + time.get());
        let mut pulse = tokio::time::interval(PULSE);
        pulse.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                () = until(end) => break,
                () = all_decided(crowd.as_mut()), if end.is_some() => {
                    settle(&*self.store).await;
                    break;
                }
                _ = pulse.tick() => self.pulse(&config, crowd.as_ref()).await,
            }
        }
        self.console
            .report(format!("{}: the workers finish their tasks and stop", self.plan.queue));
        let (crowd, answers) = match crowd {
            Some(crowd) => {
                let (report, answers) = crowd.stop().await?;
                (Some(report), answers)
            }
            None => (None, Answers::new(0, 0)),
        };
        self.stop_sweeper().await;
        self.conclude(config.report.as_deref(), crowd, &answers).await
    }

    /// Ends what was started, when the run does not come about: the sweeper, then the workers,
    /// which drain.
    pub async fn end(mut self) {
        self.stop_sweeper().await;
        self.pool.stop().await;
    }

    async fn stop_sweeper(&mut self) {
        if let Some((stop, task)) = self.sweeper.take() {
            stop.cancel();
            // One that panicked has stopped as well.
            let _ = task.await;
        }
    }

    /// Reads the store, resizes the pool and shows both.
    async fn pulse(&mut self, config: &UpArgs, crowd: Option<&RunningCrowd>) {
        let snapshot = self.store.snapshot().await.ok();
        if let Some(decision) = self.scaler.decide(snapshot.as_ref()) {
            let backlog = snapshot.as_ref().map_or(0, |snapshot| snapshot.backlog);
            let (from, to) = (decision.situation.current, decision.replicas);
            self.console.report(format!(
                "{}: {from} -> {to} workers ({:?}; {backlog} waiting)",
                self.plan.queue, decision.reason
            ));
        }
        // Even without a decision: a worker that has drained makes room for the next one.
        self.pool.resize(self.scaler.replicas());
        self.record_replicas();
        if let Some(snapshot) = &snapshot {
            self.record_workforce(snapshot).await;
            self.depth.push(snapshot.backlog + snapshot.parked);
            self.rules_changed |= snapshot.rules != self.plan.rules;
        }
        let closed = self.store.closed_items(ITEMS).await.unwrap_or_default();
        let endpoints = self.pool.addresses().borrow().clone();
        let booking = self.services.simulator.booking.as_ref();
        let view = QueueView {
            queue: self.plan.queue.as_str(),
            elapsed: self.start.elapsed(),
            time: config.time.map(DurationString::get),
            snapshot: snapshot.as_ref(),
            rates: rates(self.last.as_ref(), snapshot.as_ref()),
            depth: &self.depth,
            wanted: self.scaler.replicas(),
            endpoints: &endpoints,
            closed: &closed,
            stocks: booking.map(|booking| booking.ledger().items().clone()).unwrap_or_default(),
            crowd: crowd.map(|crowd| crowd.progress.view()),
        };
        self.console.show(self.plan.queue.as_str(), view.view());
        self.last = snapshot;
    }

    fn record_replicas(&mut self) {
        let (wanted, ready) = (self.scaler.replicas(), self.pool.ready());
        let changed =
            self.replicas.last().is_none_or(|last| (last.wanted, last.ready) != (wanted, ready));
        if changed {
            let second = (self.start.elapsed().as_secs_f64() * 10.0).round() / 10.0;
            self.replicas.push(Replicas { second, wanted, ready });
        }
    }

    /// Records the workers in the store when they have changed, for gateways and `top`. What fails
    /// is tried again at the next reading.
    async fn record_workforce(&self, snapshot: &Snapshot) {
        let now = self.scaler.workforce(self.pool.ready());
        if snapshot.workforce.as_ref() != Some(&now) && !snapshot.epoch.is_empty() {
            let _ = self.store.set_workforce(&now).await;
        }
    }

    async fn conclude(
        self,
        file: Option<&Path>,
        crowd: Option<CrowdReport>,
        answers: &Answers,
    ) -> Result<RunOutcome, UpError> {
        self.pool.stop().await;
        let booking = self.services.simulator.booking.as_ref();
        let ledger = async { Ok(booking.map(|booking| booking.ledger().copy())) };
        let mut verification = self.audit.verify(answers, ledger, None).await?;
        if self.rules_changed {
            self.console.report("the rules of the sale were changed: they were not checked");
            verification.violations.forget(Violation::UnpacedClaim);
            verification.violations.forget(Violation::SentAway);
        }
        let items = match (booking, &crowd) {
            (Some(booking), Some(crowd)) => {
                let evidence = ItemEvidence {
                    stocks: &booking.ledger().items().clone(),
                    demand: &crowd.demand,
                    rules: &self.plan.rules,
                    end: bookingq_sim::ledger::now(),
                };
                evidence.report()
            }
            _ => Vec::new(),
        };
        let summary = RunSummary {
            queue: self.plan.queue.to_string(),
            store: Some(self.store_kind),
            time: self.start.elapsed(),
            replicas: self.replicas,
            items,
            crowd,
        };
        let report = RunReport::new(summary, answers, Some(verification));
        report.conclude(file, &self.console)?;
        Ok(report.outcome())
    }
}

/// Bookings joining and leaving the line each second, between two snapshots.
fn rates(last: Option<&Snapshot>, now: Option<&Snapshot>) -> (f64, f64) {
    let (Some(last), Some(now)) = (last, now) else { return (0.0, 0.0) };
    let seconds = now.now.since(last.now).as_secs_f64().max(0.001);
    let rate = |before: u64, after: u64| after.saturating_sub(before) as f64 / seconds;
    (
        rate(last.totals.enqueued, now.totals.enqueued),
        rate(last.totals.dispatched, now.totals.dispatched),
    )
}

/// Every client of the crowd has seen the end of its booking; never without a crowd.
async fn all_decided(crowd: Option<&mut RunningCrowd>) {
    match crowd {
        Some(crowd) => crowd.finished().await,
        None => std::future::pending().await,
    }
}

async fn until(end: Option<Instant>) {
    match end {
        Some(end) => tokio::time::sleep_until(end).await,
        None => std::future::pending().await,
    }
}
