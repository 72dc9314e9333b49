//! A load run: a crowd for a queue that runs elsewhere, checked as far as its data can be read.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bookingq_check::{Audit, AuditError, CallRecorder};
use bookingq_client::WorkerEndpoints;
use bookingq_core::QueueName;
use bookingq_crowd::{Crowd, CrowdConfig, CrowdProgress, CrowdReport, ProgressView};
use bookingq_sim::inspect::{LedgerError, RemoteLedger};
use bookingq_sim::ledger::LedgerCopy;
use bookingq_store::RedisConfig;
use bookingq_store::{Snapshot, Store};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, sleep};
use tokio_util::sync::CancellationToken;

use crate::Run;
use crate::backend::when_open;
use crate::console::{Console, ConsoleView};
use crate::error::{RunOutcome, UpError};
use crate::report::{CLOCK_MARGIN_MS, LoadSummary, RunReport};
use crate::screen::{bar, bold, dim};

/// Between two updates of the screen.
const PULSE: Duration = Duration::from_secs(1);
/// How long the store may take to answer for the first time.
const OPENING: Duration = Duration::from_secs(10);
/// How long tasks may still be in flight after the last client has seen its end.
const SETTLING: Duration = Duration::from_secs(10);
/// Width of the bar.
const BAR: usize = 30;

/// A load run.
#[derive(Debug)]
pub struct LoadConfig {
    /// Who comes.
    pub crowd: CrowdConfig,
    /// Where the workers are.
    pub endpoints: WorkerEndpoints,
    /// Where the queue's data is, to check it; `None`: only the clients' answers are checked.
    pub store: Option<RedisConfig>,
    /// The ledger of a simulated Booking Service.
    pub ledger: Option<RemoteLedger>,
    /// How long it lasts at most; `None`: until every booking has ended.
    pub time: Option<Duration>,
    /// Where the report goes.
    pub report: Option<PathBuf>,
    /// What goes to standard output.
    pub printing: Printing,
}

/// What goes to standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Printing {
    /// Progress and summary for a person.
    Text,
    /// The report, as one line of JSON at the end; the rest goes to standard error.
    Json,
}

/// Why a load run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LoadEnd {
    EveryBookingEnded,
    TimeOver,
    Stopped,
}

/// Runs until every booking has ended, the time is over, or `stop`, then checks and reports.
///
/// # Errors
/// [`UpError`] when it could not begin, when the store or the ledger does not answer at the end, or
/// when the report cannot be written.
pub fn run(config: LoadConfig, stop: CancellationToken) -> Run {
    // Boxed here, or the binary would compile all of it again.
    Box::pin(run_load(config, stop))
}

async fn run_load(mut config: LoadConfig, stop: CancellationToken) -> Result<RunOutcome, UpError> {
    let console = match config.printing {
        Printing::Text => Console::new(),
        Printing::Json => Console::on_standard_error(),
    };
    let endpoints = config.endpoints.resolve(OPENING).await?;
    let store = match config.store {
        Some(redis) => Some(open(redis, &console).await?),
        None => None,
    };
    let audit = store.as_ref().map(|store| Audit::start(Arc::clone(store), None));
    let recorder = CallRecorder::start(CLOCK_MARGIN_MS);
    config.crowd.recorder = Some(recorder.clone());
    let queue = config.crowd.queue.clone();
    let crowd = RunningCrowd::start(config.crowd, endpoints, console.clone());
    let start = crowd.start;
    let (end, crowd) = crowd.finish(config.time, &stop).await;
    let crowd = crowd.ok_or(UpError::Crowd)?;
    let answers = recorder.finish().map_err(AuditError::from)?;
    let verification = match (audit, &store) {
        (Some(audit), Some(store)) => {
            if end == LoadEnd::EveryBookingEnded {
                settle(&**store).await;
            }
            Some(audit.verify(&answers, copy(config.ledger, &queue), None).await?)
        }
        _ => None,
    };
    let summary = LoadSummary {
        queue: queue.to_string(),
        store: store.map(|_| "redis"),
        time: start.elapsed(),
        replicas: Vec::new(),
        crowd: Some(crowd),
    };
    let report = RunReport::new(summary, &answers, verification);
    conclude(&report, config.report.as_deref(), config.printing, &console)
}

/// Opens the store, and warns of what is unsafe about it.
async fn open(config: RedisConfig, console: &Console) -> Result<Arc<dyn Store>, UpError> {
    let store: Arc<dyn Store> = bookingq_store::open(config)?;
    for warning in when_open(|| store.open()).await?.warnings {
        console.report(format!("warning: {warning}"));
    }
    let before = when_open(|| store.snapshot()).await?.totals.enqueued;
    if before > 0 {
        console.report(format!(
            "the queue has had {before} bookings before; they are counted and checked too"
        ));
    }
    Ok(store)
}

/// Waits for a while until nothing is in flight, so that the checks are exact. A store that does
/// not answer shows when they read it.
async fn settle(store: &dyn Store) {
    let until = Instant::now() + SETTLING;
    while Instant::now() < until {
        match store.snapshot().await {
            Ok(Snapshot { in_flight: 0, .. }) => return,
            _ => sleep(PULSE / 5).await,
        }
    }
}

async fn copy(
    ledger: Option<RemoteLedger>,
    queue: &QueueName,
) -> Result<Option<LedgerCopy>, LedgerError> {
    match ledger {
        Some(ledger) => ledger.copy(queue).await.map(Some),
        None => Ok(None),
    }
}

fn conclude(
    report: &RunReport,
    file: Option<&Path>,
    printing: Printing,
    console: &Console,
) -> Result<RunOutcome, UpError> {
    let mut lines = report.summary();
    if let Some(file) = file {
        report.write(file)?;
        lines.push(format!("  report: {}", file.display()));
    }
    console.conclude(&lines);
    if printing == Printing::Json {
        println!("{}", report.line()?);
    }
    Ok(report.outcome())
}

/// The crowd while it runs.
struct RunningCrowd {
    queue: QueueName,
    clients: u32,
    start: Instant,
    progress: Arc<CrowdProgress>,
    leave: CancellationToken,
    task: JoinHandle<CrowdReport>,
    console: Console,
}

impl RunningCrowd {
    fn start(
        config: CrowdConfig,
        endpoints: watch::Receiver<Vec<SocketAddr>>,
        console: Console,
    ) -> Self {
        let (queue, clients, leave) =
            (config.queue.clone(), config.clients, CancellationToken::new());
        let crowd = Crowd::new(config);
        let progress = crowd.progress();
        let task = tokio::spawn(crowd.run(endpoints, leave.clone()));
        Self { queue, clients, start: Instant::now(), progress, leave, task, console }
    }

    /// Shows its progress until it ends. The report is `None` if the crowd panicked.
    async fn finish(
        mut self,
        time: Option<Duration>,
        stop: &CancellationToken,
    ) -> (LoadEnd, Option<CrowdReport>) {
        let mut pulse = tokio::time::interval(PULSE);
        pulse.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let over = async {
            match time {
                Some(time) => sleep(time).await,
                None => std::future::pending().await,
            }
        };
        tokio::pin!(over);
        let end = loop {
            tokio::select! {
                report = &mut self.task => return (LoadEnd::EveryBookingEnded, report.ok()),
                () = stop.cancelled() => break LoadEnd::Stopped,
                () = &mut over => break LoadEnd::TimeOver,
                _ = pulse.tick() => self.console.show(self.queue.as_str(), self.view()),
            }
        };
        let ProgressView { finished, refused, .. } = self.progress.view();
        let unserved = u64::from(self.clients).saturating_sub(finished + refused);
        let why = if end == LoadEnd::TimeOver { "the time is over" } else { "stopped" };
        self.console
            .report(format!("{why}; {unserved} clients leave before their bookings have ended"));
        self.leave.cancel();
        (end, self.task.await.ok())
    }

    fn view(&self) -> ConsoleView {
        let ProgressView {
            arrived,
            acknowledged,
            refused,
            held,
            paid,
            paid_late,
            left,
            finished,
            ..
        } = self.progress.view();
        let errors: u64 = self.progress.errors().values().sum();
        let clients = self.clients;
        let line = format!(
            "{} arrived={arrived}/{clients} in_line_or_past={acknowledged} refused={refused} held={held} paid={paid} too_late={paid_late} left={left} ended={finished} errors={errors}",
            self.queue
        );
        let time = format!("{:.0} s", self.start.elapsed().as_secs_f64());
        let lines = vec![
            format!("{}  {}", bold(self.queue.as_str()), dim(&time)),
            format!(
                "  came       {}  {arrived} of {clients}",
                bar(arrived, u64::from(clients), BAR)
            ),
            format!("  ended      {}  {finished}", bar(finished, u64::from(clients), BAR)),
            format!(
                "  reserved {held}, paid {paid}, too late {paid_late}, left {left}, refused a place {refused}"
            ),
            format!("  answered with an error: {errors}"),
        ];
        ConsoleView { lines, line }
    }
}
