//! A crowd that visits a queue which runs elsewhere, and, where it is told how, judges what became
//! of it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bookingq_client::WorkerEndpoints;
use bookingq_core::QueueName;
use bookingq_sim::crowd::{Progress, ProgressView};
use bookingq_sim::inspect::{LedgerError, RemoteLedger};
use bookingq_sim::ledger::LedgerCopy;
use bookingq_sim::{Crowd, CrowdConfig, CrowdReport};
use bookingq_store::redis::{RedisConfig, RedisStore};
use bookingq_store::{Snapshot, Store};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, sleep};
use tokio_util::sync::CancellationToken;

use crate::audit::Audit;
use crate::console::{Console, View};
use crate::patience::insist;
use crate::report::{Course, Report};
use crate::screen::{bar, bold, dim};
use crate::{Outcome, UpError};

/// Between two readings.
const PULSE: Duration = Duration::from_secs(1);
/// How long the store may take to answer for the first time.
const OPENING: Duration = Duration::from_secs(10);
/// How long tasks may still be in somebody's hands after the last client has seen its end.
const SETTLING: Duration = Duration::from_secs(10);
/// Width of the bar.
const BAR: usize = 30;

/// A whole visit.
#[derive(Debug)]
pub struct VisitConfig {
    /// Who comes.
    pub crowd: CrowdConfig,
    /// Where to.
    pub endpoints: WorkerEndpoints,
    /// Where the queue's data is, to check it; `None`: only what clients see is judged.
    pub store: Option<RedisConfig>,
    /// The ledger of the Booking Service, if it is a simulated one.
    pub ledger: Option<RemoteLedger>,
    /// The end, for whoever is still there; `None`: when every booking has ended.
    pub time: Option<Duration>,
    /// Where the report goes.
    pub report: Option<PathBuf>,
    /// What goes to standard output.
    pub printing: Printing,
}

/// What goes to standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Printing {
    /// What a person reads.
    Text,
    /// The report, as one line of JSON at the end; the rest goes to standard error.
    Json,
}

/// Why a visit ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    EveryBookingEnded,
    TimeOver,
    Stopped,
}

/// Sends the crowd; ends when every booking has ended, when the time is over, or at `stop`, and
/// then judges and reports.
///
/// # Errors
/// [`UpError`] when it could not begin, when the store or the ledger does not answer at the end, or
/// when the report cannot be written.
pub async fn visit(config: VisitConfig, stop: CancellationToken) -> Result<Outcome, UpError> {
    let console = match config.printing {
        Printing::Text => Console::new(),
        Printing::Json => Console::aside(),
    };
    let endpoints = config.endpoints.resolve(OPENING).await?;
    let store = match config.store {
        Some(redis) => Some(open(redis, &console).await?),
        None => None,
    };
    let audit = store.as_ref().map(|store| Audit::start(Arc::clone(store)));
    let queue = config.crowd.queue.clone();
    let visitors = Visitors::come(config.crowd, endpoints, console.clone());
    let start = visitors.start;
    let (end, crowd) = visitors.stay(config.time, &stop).await;
    let mut crowd = crowd.ok_or(UpError::Crowd)?;
    let verdict = match (audit, &store) {
        (Some(audit), Some(store)) => {
            if end == End::EveryBookingEnded {
                settle(&**store).await;
            }
            let acknowledged = std::mem::take(&mut crowd.acknowledged);
            Some(audit.judge(acknowledged, copy(config.ledger, &queue)).await?)
        }
        _ => None,
    };
    let course = Course {
        queue: queue.to_string(),
        store: store.map(|_| "redis"),
        time: start.elapsed(),
        replicas: Vec::new(),
        crowd: Some(crowd),
    };
    conclude(&Report::new(course, verdict), config.report.as_deref(), config.printing, &console)
}

/// The store; tells what is unsafe about it.
async fn open(config: RedisConfig, console: &Console) -> Result<Arc<dyn Store>, UpError> {
    let store: Arc<dyn Store> = Arc::new(RedisStore::connect(config)?);
    for warning in insist(OPENING, || store.open()).await?.warnings {
        console.tell(format!("warning: {warning}"));
    }
    let before = insist(OPENING, || store.snapshot()).await?.totals.enqueued;
    if before > 0 {
        console.tell(format!(
            "the queue has had {before} bookings before; they are counted and checked too"
        ));
    }
    Ok(store)
}

/// Waits, but not for ever, until nothing is in anybody's hands: then everything can be compared
/// exactly. A store that does not answer shows when it is asked for the evidence.
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
    report: &Report,
    file: Option<&Path>,
    printing: Printing,
    console: &Console,
) -> Result<Outcome, UpError> {
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
struct Visitors {
    queue: QueueName,
    clients: u32,
    start: Instant,
    progress: Arc<Progress>,
    leave: CancellationToken,
    task: JoinHandle<CrowdReport>,
    console: Console,
}

impl Visitors {
    fn come(
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

    /// Shows how far they are until they leave. The report is `None` if the crowd panicked.
    async fn stay(
        mut self,
        time: Option<Duration>,
        stop: &CancellationToken,
    ) -> (End, Option<CrowdReport>) {
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
                report = &mut self.task => return (End::EveryBookingEnded, report.ok()),
                () = stop.cancelled() => break End::Stopped,
                () = &mut over => break End::TimeOver,
                _ = pulse.tick() => self.console.show(self.queue.as_str(), self.view()),
            }
        };
        let ProgressView { finished, refused, .. } = self.progress.view();
        let unserved = u64::from(self.clients).saturating_sub(finished + refused);
        let why = if end == End::TimeOver { "the time is over" } else { "stopped" };
        self.console.tell(format!("{why}; {unserved} clients had not come to an end, and go now"));
        self.leave.cancel();
        (end, self.task.await.ok())
    }

    fn view(&self) -> View {
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
        View { lines, line }
    }
}
