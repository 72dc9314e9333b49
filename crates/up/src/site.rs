//! One queue of a run, from its start to its report.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bookingq_api::Plan;
use bookingq_check::{Audit, AuditError, CallRecorder};
use bookingq_crowd::{Crowd, CrowdConfig, CrowdReport, Progress};
use bookingq_store::{Snapshot, Store};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::backend::Backend;
use crate::config::{CrowdSize, UpConfig};
use crate::console::Console;
use crate::fleet::{Fleet, Home};
use crate::report::{CLOCK_MARGIN_MS, LoadSummary, Replicas, RunReport};
use crate::scaling::Scaler;
use crate::screen::Sparkline;
use crate::services::Services;
use crate::view::Moment;
use crate::{Outcome, UpError, sweeping};

/// Ports that lie between the first workers of two queues.
pub const PORTS_OF_A_QUEUE: u16 = 100;
/// Between two readings.
const PULSE: Duration = Duration::from_secs(1);

/// One queue with everything that serves it.
pub struct Site {
    plan: Arc<Plan>,
    services: Arc<Services>,
    store: Arc<dyn Store>,
    store_word: &'static str,
    fleet: Fleet,
    scaler: Scaler,
    sweeper: Option<Part<()>>,
    audit: Audit,
    console: Console,
    start: Instant,
    depth: Sparkline,
    last: Option<Snapshot>,
    replicas: Vec<Replicas>,
}

/// Something that runs until it is told to leave.
struct Part<T> {
    leave: CancellationToken,
    task: JoinHandle<T>,
}

impl<T> Part<T> {
    /// Tells it, and waits. `None` if it panicked.
    async fn end(self) -> Option<T> {
        self.leave.cancel();
        self.task.await.ok()
    }
}

/// The crowd while it runs.
struct Visitors {
    part: Part<CrowdReport>,
    progress: Arc<Progress>,
    recorder: Arc<CallRecorder>,
}

impl Site {
    /// Starts services, store, workers and sweeper.
    ///
    /// # Errors
    /// [`UpError`], of whatever could not be started.
    pub async fn start(
        plan: Plan,
        config: &UpConfig,
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
        let services = Arc::new(Services::start(&plan, config.simulate.as_deref()).await?);
        let (home, store_word) = home(backend, &store, config, directory);
        let scaler = Scaler::new(&plan.scaling, config.fleet);
        let mut fleet = Fleet::new(
            home.clone(),
            Arc::clone(&plan),
            Arc::clone(&services),
            base_port,
            console.clone(),
        )?;
        let sweeper = plan.sweep.as_ref().map(|_| start_sweeper(&home, &plan, &services, &console));
        if let Some(address) = services.simulator.admin_address() {
            console.tell(format!(
                "{}: the simulated Booking Service's ledger is at http://{address}/ledger",
                plan.queue
            ));
        }
        fleet.resize(scaler.replicas());
        Ok(Self {
            audit: Audit::start(Arc::clone(&store), Some(plan.hold)),
            plan,
            services,
            store,
            store_word,
            fleet,
            scaler,
            sweeper,
            console,
            start: Instant::now(),
            depth: Sparkline::default(),
            last: None,
            replicas: Vec::new(),
        })
    }

    /// Serves until the time is over or `stop`, then leaves in order, judges and reports.
    ///
    /// # Errors
    /// When the store does not answer at the end, or the report cannot be written.
    pub async fn run(
        mut self,
        config: UpConfig,
        stop: CancellationToken,
    ) -> Result<Outcome, UpError> {
        let visitors = config.crowd.map(|size| self.invite(size));
        let end = config.time.map(|time| self.start + time);
        let mut pulse = tokio::time::interval(PULSE);
        pulse.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                () = until(end) => break,
                _ = pulse.tick() => self.pulse(&config, visitors.as_ref()).await,
            }
        }
        self.console.tell(format!(
            "{}: the workers finish what they have in hand and leave",
            self.plan.queue
        ));
        let (crowd, recorder) = match visitors {
            Some(Visitors { part, recorder, .. }) => (part.end().await, recorder),
            None => (None, CallRecorder::start(CLOCK_MARGIN_MS)),
        };
        if let Some(sweeper) = self.sweeper.take() {
            sweeper.end().await;
        }
        self.conclude(config.report.as_deref(), crowd, &recorder).await
    }

    /// Lets the crowd come.
    fn invite(&self, size: CrowdSize) -> Visitors {
        let recorder = CallRecorder::start(CLOCK_MARGIN_MS);
        let config = CrowdConfig {
            recorder: Some(recorder.clone()),
            ..CrowdConfig::new(self.plan.queue.clone(), size.clients, size.arrive)
        };
        let crowd = Crowd::new(config);
        let progress = crowd.progress();
        let leave = CancellationToken::new();
        let task = tokio::spawn(crowd.run(self.fleet.addresses(), leave.clone()));
        Visitors { part: Part { leave, task }, progress, recorder }
    }

    /// Reads, decides, shows.
    async fn pulse(&mut self, config: &UpConfig, visitors: Option<&Visitors>) {
        let snapshot = self.store.snapshot().await.ok();
        if let Some(decision) = self.scaler.decide(snapshot.as_ref()) {
            let backlog = snapshot.as_ref().map_or(0, |snapshot| snapshot.backlog);
            let (from, to) = (decision.situation.current, decision.replicas);
            self.console.tell(format!(
                "{}: {from} -> {to} workers ({:?}; {backlog} waiting)",
                self.plan.queue, decision.reason
            ));
        }
        // Also when nothing changed: a slot that has left makes room for the next.
        self.fleet.resize(self.scaler.replicas());
        self.note_replicas();
        if let Some(snapshot) = &snapshot {
            self.depth.push(snapshot.backlog);
        }
        let doors = self.fleet.addresses().borrow().clone();
        let view = Moment {
            queue: self.plan.queue.as_str(),
            elapsed: self.start.elapsed(),
            time: config.time,
            snapshot: snapshot.as_ref(),
            rates: rates(self.last.as_ref(), snapshot.as_ref()),
            depth: &self.depth,
            wanted: self.scaler.replicas(),
            doors: &doors,
            ledger: self.services.simulator.booking().map(|booking| booking.shop().totals()),
            crowd: visitors.map(|visitors| visitors.progress.view()),
        };
        self.console.show(self.plan.queue.as_str(), view.view());
        self.last = snapshot;
    }

    fn note_replicas(&mut self) {
        let (wanted, ready) = (self.scaler.replicas(), self.fleet.ready());
        let changed =
            self.replicas.last().is_none_or(|last| (last.wanted, last.ready) != (wanted, ready));
        if changed {
            let second = (self.start.elapsed().as_secs_f64() * 10.0).round() / 10.0;
            self.replicas.push(Replicas { second, wanted, ready });
        }
    }

    async fn conclude(
        self,
        file: Option<&Path>,
        crowd: Option<CrowdReport>,
        recorder: &CallRecorder,
    ) -> Result<Outcome, UpError> {
        self.fleet.end().await;
        let booking = self.services.simulator.booking();
        let answers = recorder.finish().map_err(AuditError::from)?;
        let ledger = async { Ok(booking.map(|booking| booking.shop().copy())) };
        let verification = self.audit.verify(&answers, ledger, None).await?;
        let summary = LoadSummary {
            queue: self.plan.queue.to_string(),
            store: Some(self.store_word),
            time: self.start.elapsed(),
            replicas: self.replicas,
            crowd,
        };
        let report = RunReport::new(summary, &answers, Some(verification));
        let mut lines = report.summary();
        if let Some(file) = file {
            report.write(file)?;
            lines.push(format!("  report: {}", file.display()));
        }
        self.console.conclude(&lines);
        Ok(report.outcome())
    }
}

/// Where the workers of a queue run, and the store's word in the report.
fn home(
    backend: &Backend,
    store: &Arc<dyn Store>,
    config: &UpConfig,
    directory: &Path,
) -> (Home, &'static str) {
    match backend {
        Backend::Embedded => (Home::Here(Arc::clone(store)), "embedded"),
        Backend::Redis { url, .. } => {
            let (program, directory) = (config.program.clone(), directory.to_owned());
            (Home::Processes { program, url: url.clone(), directory }, "redis")
        }
    }
}

fn start_sweeper(
    home: &Home,
    plan: &Arc<Plan>,
    services: &Arc<Services>,
    console: &Console,
) -> Part<()> {
    let leave = CancellationToken::new();
    let task = sweeping::start(home, plan, services, console, leave.clone());
    Part { leave, task }
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

async fn until(end: Option<Instant>) {
    match end {
        Some(end) => tokio::time::sleep_until(end).await,
        None => std::future::pending().await,
    }
}
