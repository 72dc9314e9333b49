//! `bookingq up`: `BookingQueue` manifests on this computer. The same workers, planner and sweeper
//! as in a cluster.
//!
//! ```text
//!   manifest ──> plan ──> queue_run (one per queue): starts the parts, reads every second
//!                          |- services      the services it calls, some of them simulated
//!                          |- backend       the embedded store, or Redis
//!                          |- runner        in this process, or as supervised processes
//!                          |- worker_pool   the workers
//!                          |- sweeping      the sweeper
//!                          |- scaling       the autoscaler of the core, once a second
//!                          |- audit         of bookingq-check: follows the outbox, verifies
//!                          '- crowd         of bookingq-crowd, through the workers' gRPC ports
//!           '─> gateway (one for all queues): the page, HTTP and WebSockets
//!   load ──> a crowd for a queue that runs elsewhere: audit, report
//!   console, screen, view   the output meanwhile         report, items   the report at the end
//! ```

mod backend;
pub mod config;
mod console;
mod crowd;
mod error;
mod gateway;
pub mod items;
pub mod load;
pub mod manifest;
mod queue_run;
pub mod report;
mod runner;
mod scaling;
pub mod screen;
mod services;
mod sweeping;
mod view;
mod worker_pool;

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::pin::Pin;

use bookingq_api::Plan;
use tokio_util::sync::CancellationToken;

use crate::backend::Backend;
pub use crate::config::{StoreChoice, StoreFlags, Through, UpArgs};
use crate::console::Console;
pub use crate::error::{RunOutcome, UpError};
use crate::gateway::RunningGateway;
use crate::queue_run::QueueRun;

/// Locked in the directory of the logs by the run that uses it.
const LOCK: &str = "up.lock";

/// Runs until the time is over or `stop`.
///
/// # Errors
/// [`UpError`] when it could not start; nothing is left running then.
pub fn run(config: UpArgs, stop: CancellationToken) -> Run {
    // Boxed here, or the binary would compile all of it again.
    Box::pin(run_manifest(config, stop))
}

/// A run, from its start to its outcome.
pub type Run = Pin<Box<dyn Future<Output = Result<RunOutcome, UpError>> + Send>>;

async fn run_manifest(config: UpArgs, stop: CancellationToken) -> Result<RunOutcome, UpError> {
    let text = manifest::text(&config.file)?;
    let plans = chosen(manifest::parse(&config.file, &text)?, &config)?;
    if config.through == Through::Gateway {
        gateway::check_open_files(config.crowd.unwrap_or(0))?;
    }
    let directory = directory(&config)?;
    let console = Console::new();
    note_stores(&text, &plans, &config);
    let backend = match Backend::start(&config, directory.path(), &console, &stop).await {
        Err(_) if stop.is_cancelled() => return Ok(RunOutcome::Sound),
        backend => backend?,
    };
    let starting = start_queues(plans, &config, &backend, directory.path(), &console, &stop);
    let (started, gateway) = match starting.await {
        Ok(Some(started)) => started,
        ended => {
            backend.stop().await;
            return ended.map(|_| RunOutcome::Sound);
        }
    };
    let mut outcome = RunOutcome::Sound;
    let mut runs = tokio::task::JoinSet::new();
    let whole = stop.child_token();
    for run in started {
        let gateway = gateway.as_ref().filter(|_| config.through == Through::Gateway);
        let through = gateway.map(RunningGateway::access);
        runs.spawn(run.run(config.clone(), through, whole.clone()));
    }
    while let Some(ended) = runs.join_next().await {
        // A panic of one run is a defect; the others go on.
        if !matches!(ended, Ok(Ok(RunOutcome::Sound))) {
            outcome = RunOutcome::Broken;
        }
        if let Ok(Err(error)) = ended {
            console.report(format!("error: {error}"));
        }
    }
    if let Some(gateway) = gateway {
        gateway.stop();
    }
    backend.stop().await;
    if *config.store() == StoreChoice::Embedded {
        console.report("the data of the embedded store is gone now");
    }
    Ok(outcome)
}

/// The queues of a run, and their gateway.
type StartedQueues = (Vec<QueueRun>, Option<RunningGateway>);

/// Starts the queues, and their gateway. `None` if `stop` came before all were started. If
/// not all of them start, those that did are ended before it returns, while their store still runs.
async fn start_queues(
    plans: Vec<Plan>,
    config: &UpArgs,
    backend: &Backend,
    directory: &Path,
    console: &Console,
    stop: &CancellationToken,
) -> Result<Option<StartedQueues>, UpError> {
    let mut started = Vec::new();
    let starting = start_all(plans, config, backend, directory, console, &mut started);
    // Dropped where it waits, which it does for no queue whose workers run.
    let ended = match stop.run_until_cancelled(starting).await {
        Some(Ok(gateway)) => return Ok(Some((started, gateway))),
        Some(Err(error)) => Err(error),
        None => Ok(None),
    };
    for run in started {
        run.end().await;
    }
    ended
}

/// Starts the queues, each of which is in `started` once its workers run, and their gateway.
async fn start_all(
    plans: Vec<Plan>,
    config: &UpArgs,
    backend: &Backend,
    directory: &Path,
    console: &Console,
    started: &mut Vec<QueueRun>,
) -> Result<Option<RunningGateway>, UpError> {
    let mut base_port = config.base_port;
    for plan in plans {
        let run =
            QueueRun::start(plan, config, base_port, backend, directory, console.clone()).await?;
        base_port =
            if base_port == 0 { 0 } else { base_port.saturating_add(queue_run::PORTS_PER_QUEUE) };
        started.push(run);
    }
    if config.no_gateway {
        return Ok(None);
    }
    let queues = started.iter().map(QueueRun::served).collect();
    let (port, base_port) = (config.gateway_port, config.base_port);
    RunningGateway::start(queues, port, base_port, console).await.map(Some)
}

/// Says on standard error that the store of a manifest is not used, unless `--store` or its
/// variable chooses one.
fn note_stores(text: &str, plans: &[Plan], config: &UpArgs) {
    if config.store.is_some() {
        return;
    }
    for (queue, field, kind) in manifest::named_stores(text) {
        if plans.iter().any(|plan| plan.queue.as_str() == queue) {
            eprintln!(
                "note: {queue} has {field}, but up keeps it in the embedded store; --store {kind} \
                 starts a server of that kind, and --store {kind}://HOST:PORT uses one that runs"
            );
        }
    }
}

/// The queues to run.
fn chosen(mut plans: Vec<Plan>, config: &UpArgs) -> Result<Vec<Plan>, UpError> {
    let present = plans.iter().map(|plan| plan.queue.as_str()).collect::<Vec<_>>().join(", ");
    if let Some(asked) = &config.queue {
        plans.retain(|plan| plan.queue == *asked);
        if plans.is_empty() {
            return Err(UpError::NoSuchQueue { asked: asked.clone(), present });
        }
    }
    let single = config.crowd.is_some() || config.report.is_some();
    if single && plans.len() > 1 { Err(UpError::SeveralQueues { present }) } else { Ok(plans) }
}

/// Where logs and Redis's files go.
enum Directory {
    /// Gone when dropped.
    Temporary(tempfile::TempDir),
    /// The user's; locked until dropped.
    Kept(PathBuf, #[allow(dead_code, reason = "holds the lock")] Option<File>),
}

impl Directory {
    fn path(&self) -> &Path {
        match self {
            Self::Temporary(directory) => directory.path(),
            Self::Kept(path, _) => path,
        }
    }
}

fn directory(config: &UpArgs) -> Result<Directory, UpError> {
    match &config.logs {
        Some(path) => {
            let failed = |cause| UpError::File { file: path.clone(), cause };
            std::fs::create_dir_all(path).map_err(failed)?;
            let lock = File::create(path.join(LOCK)).map_err(failed)?;
            match lock.try_lock() {
                Ok(()) => Ok(Directory::Kept(path.clone(), Some(lock))),
                Err(TryLockError::WouldBlock) => {
                    Err(UpError::LogsInUse { directory: path.clone() })
                }
                // A file system without locks.
                Err(TryLockError::Error(_)) => Ok(Directory::Kept(path.clone(), None)),
            }
        }
        None => tempfile::Builder::new()
            .prefix("bookingq-up-")
            .tempdir()
            .map(Directory::Temporary)
            .map_err(|cause| UpError::File { file: std::env::temp_dir(), cause }),
    }
}
