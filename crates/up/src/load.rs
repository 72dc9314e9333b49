//! A load run: a crowd for a queue that runs elsewhere, checked as far as its data can be read.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bookingq_check::{Audit, AuditError, AuditTerms};
use bookingq_client::WorkerEndpoints;
use bookingq_core::QueueName;
use bookingq_crowd::{CrowdConfig, CrowdCounters, ProgressView};
use bookingq_sim::inspect::{LedgerError, RemoteLedger};
use bookingq_sim::ledger::LedgerCopy;
use bookingq_store::{RedisConfig, Store};
use tokio::time::{Instant, MissedTickBehavior, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::Run;
use crate::backend::{open, when_open};
use crate::console::{Console, ConsoleView};
use crate::crowd::{RunningCrowd, settle};
use crate::error::{RunOutcome, UpError};
use crate::items::ItemEvidence;
use crate::report::{RunReport, RunSummary};
use crate::screen::{bar, bold, dim};

/// Between two updates of the screen.
const PULSE: Duration = Duration::from_secs(1);
/// How long the store may take to answer for the first time.
const OPENING: Duration = Duration::from_secs(10);
/// Without a time limit.
const NEVER: Duration = Duration::from_secs(30 * 365 * 24 * 3600);
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

async fn run_load(config: LoadConfig, stop: CancellationToken) -> Result<RunOutcome, UpError> {
    let console = match config.printing {
        Printing::Text => Console::new(),
        Printing::Json => Console::on_standard_error(),
    };
    let endpoints = config.endpoints.resolve(OPENING).await?;
    let store = match config.store {
        Some(redis) => Some(open_used(redis, &console).await?),
        None => None,
    };
    let audit = store.as_ref().map(|store| Audit::start(Arc::clone(store), AuditTerms::default()));
    let mut view = LoadView {
        queue: config.crowd.queue.clone(),
        clients: config.crowd.clients,
        start: Instant::now(),
        console: console.clone(),
    };
    let mut crowd = RunningCrowd::start(config.crowd, endpoints);
    let end = view.show_until_end(&mut crowd, config.time, &stop).await;
    let time = view.start.elapsed();
    let (crowd, answers) = crowd.stop().await?;
    let items = match (&config.ledger, &store) {
        (Some(ledger), Some(store)) => {
            let evidence = ItemEvidence {
                stocks: &ledger.items().await.map_err(AuditError::from)?,
                demand: &crowd.demand,
                rules: &when_open(|| store.snapshot()).await?.rules,
                end: bookingq_sim::ledger::now(),
            };
            evidence.report()
        }
        _ => Vec::new(),
    };
    let verification = match (audit, &store) {
        (Some(audit), Some(store)) => {
            if end == LoadEnd::EveryBookingEnded {
                settle(&**store).await;
            }
            Some(audit.verify(&answers, copy(config.ledger, &view.queue), None).await?)
        }
        _ => None,
    };
    let summary = RunSummary {
        queue: view.queue.to_string(),
        store: store.map(|_| "redis"),
        time,
        replicas: Vec::new(),
        items,
        crowd: Some(crowd),
    };
    let report = RunReport::new(summary, &answers, verification);
    report.conclude(config.report.as_deref(), &console)?;
    if config.printing == Printing::Json {
        println!("{}", report.line()?);
    }
    Ok(report.outcome())
}

/// Opens a store that may have been used before.
async fn open_used(config: RedisConfig, console: &Console) -> Result<Arc<dyn Store>, UpError> {
    let store = open(config, console).await?;
    let before = when_open(|| store.snapshot()).await?.totals.enqueued;
    if before > 0 {
        console.report(format!(
            "the queue has had {before} bookings before; they are counted and checked too"
        ));
    }
    Ok(store)
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

/// The view of a running crowd.
struct LoadView {
    queue: QueueName,
    clients: u32,
    start: Instant,
    console: Console,
}

impl LoadView {
    /// Shows the crowd's progress until it ends or is to end.
    async fn show_until_end(
        &mut self,
        crowd: &mut RunningCrowd,
        time: Option<Duration>,
        stop: &CancellationToken,
    ) -> LoadEnd {
        let mut pulse = tokio::time::interval(PULSE);
        pulse.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let over = self.start + time.unwrap_or(NEVER);
        let end = loop {
            tokio::select! {
                () = crowd.finished() => return LoadEnd::EveryBookingEnded,
                () = stop.cancelled() => break LoadEnd::Stopped,
                () = sleep_until(over) => break LoadEnd::TimeOver,
                _ = pulse.tick() => {
                    self.console.show(self.queue.as_str(), self.view(&crowd.progress));
                }
            }
        };
        let ProgressView { finished, refused, .. } = crowd.progress.view();
        let unserved = u64::from(self.clients).saturating_sub(finished + refused);
        let why = if end == LoadEnd::TimeOver { "the time is over" } else { "stopped" };
        self.console
            .report(format!("{why}; {unserved} clients leave before their bookings have ended"));
        end
    }

    fn view(&self, progress: &CrowdCounters) -> ConsoleView {
        let ProgressView {
            arrived,
            acknowledged,
            refused,
            held,
            paid,
            paid_late,
            parked,
            left,
            finished,
            ..
        } = progress.view();
        let errors: u64 = progress.errors().values().sum();
        let clients = self.clients;
        let line = format!(
            "{} arrived={arrived}/{clients} in_line_or_past={acknowledged} refused={refused} \
             parked={parked} held={held} paid={paid} too_late={paid_late} left={left} \
             ended={finished} errors={errors}",
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
                "  reserved {held}, paid {paid}, too late {paid_late}, left {left}, refused a place \
                 {refused}"
            ),
            format!("  {parked} wait for what is sold out at the moment"),
            format!("  answered with an error: {errors}"),
        ];
        ConsoleView { lines, line }
    }
}
