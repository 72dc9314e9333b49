//! `bookingq up`: `BookingQueue` manifests on this computer. The same workers, planner and sweeper
//! as in a cluster.
//!
//! ```text
//!   manifest ──> plan ──> site (one for each queue): starts the parts, and each second reads, decides and shows
//!                          |- services   the shop's services, simulated where the manifest says so
//!                          |- backend    the embedded store, or Redis (redis_server starts one)
//!                          |- fleet      workers: in this process, or processes that may be killed   (process)
//!                          |- sweeping   the sweeper
//!                          |- scaling    the planner of the core, once a second
//!                          |- audit      of bookingq-check: follows the outbox and verifies at the end
//!                          '- crowd      of bookingq-crowd, through the workers' gRPC ports
//!   load ──> a crowd for a queue that runs elsewhere: audit, report
//!   console, screen, view   what a person sees meanwhile        report   what is left at the end
//! ```

mod backend;
pub mod config;
mod console;
mod fleet;
pub mod load;
pub mod manifest;
mod patience;
mod process;
mod redis_server;
pub mod report;
mod scaling;
pub mod screen;
mod services;
mod site;
mod sweeping;
mod view;

use std::path::PathBuf;

use bookingq_api::Plan;
use bookingq_check::AuditError;
use bookingq_client::EndpointsError;
use bookingq_core::{Invalid, QueueName};
use bookingq_sim::SimError;
use bookingq_store::StoreError;
use bookingq_worker::WorkerError;
use tokio_util::sync::CancellationToken;

pub use crate::config::{CrowdSize, FleetSize, StoreChoice, UpConfig};
use crate::console::Console;
use crate::manifest::ManifestError;
use crate::site::Site;

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Every promise was kept, as far as anybody could see.
    Sound,
    /// An invariant was broken; what and where has been told.
    Broken,
}

/// Why a run could not be.
#[derive(Debug, thiserror::Error)]
pub enum UpError {
    /// The manifest.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The manifest does not have that queue.
    #[error("--queue is {asked}, which the manifest does not have; allowed: {present}")]
    NoSuchQueue {
        /// What was asked for.
        asked: QueueName,
        /// What there is.
        present: String,
    },
    /// A crowd or a report speaks of one queue.
    #[error("--crowd and --report are for one queue; choose with --queue: {present}")]
    SeveralQueues {
        /// What there is.
        present: String,
    },
    /// A simulation is not understood.
    #[error("{endpoint}: {problem}")]
    Simulation {
        /// Which.
        endpoint: String,
        /// What is wrong with it.
        problem: Invalid,
    },
    /// Nothing is simulated that could be made worse.
    #[error(
        "--simulate changes a simulated Booking Service; allowed: with spec.booking.endpoint simulate://booking"
    )]
    NothingToSimulate,
    /// TLS files are in Secrets, which only a cluster has.
    #[error(
        "{endpoint} needs the Secret {secret}; `up` has no Secrets: allowed are endpoints without tls.secretName"
    )]
    NoSecrets {
        /// Of which service.
        endpoint: String,
        /// Which.
        secret: String,
    },
    /// A port for the workers cannot be had.
    #[error(
        "port {port} cannot be had: {cause}; choose others with --base-port (0: any free ones)"
    )]
    Port {
        /// Which.
        port: u16,
        /// Why.
        cause: std::io::Error,
    },
    /// No Redis to start.
    #[error(
        "redis-server cannot be started: {0}; install it (Debian: apt-get install redis-server), or choose --store embedded or --store redis://HOST:PORT"
    )]
    NoRedis(std::io::Error),
    /// Redis does not answer.
    #[error("the store cannot be used: {0}")]
    Store(#[from] StoreError),
    /// Data of an earlier run.
    #[error(
        "queue {queue} has {enqueued} bookings of an earlier run in this store, so no report could add up; allowed: a store without them (in Redis, delete the keys booking-*:{{{queue}}}*)"
    )]
    OldData {
        /// Which queue.
        queue: QueueName,
        /// How many.
        enqueued: u64,
    },
    /// A simulated service cannot be started.
    #[error(transparent)]
    Sim(#[from] SimError),
    /// The sweeper cannot be started.
    #[error(transparent)]
    Worker(#[from] WorkerError),
    /// The run cannot be checked.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// The workers' name does not resolve.
    #[error(transparent)]
    Endpoints(#[from] EndpointsError),
    /// It panicked: what it saw is lost with it.
    #[error("the crowd broke off: this is a defect of bookingq")]
    Crowd,
    /// A report that is not JSON.
    #[error("the report cannot be shown: {0}")]
    Json(serde_json::Error),
    /// A file of our own.
    #[error("{}: {cause}", file.display())]
    File {
        /// Which.
        file: PathBuf,
        /// Why.
        cause: std::io::Error,
    },
}

/// Runs until the time is over or `stop`.
///
/// # Errors
/// [`UpError`] when it could not start; nothing is left running then.
pub async fn run(config: UpConfig, stop: CancellationToken) -> Result<Outcome, UpError> {
    let plans = chosen(manifest::read(&config.file)?, &config)?;
    let directory = directory(&config)?;
    let console = Console::new();
    let backend = backend::Backend::start(&config.store, directory.path(), &console).await?;
    let mut outcome = Outcome::Sound;
    let mut sites = tokio::task::JoinSet::new();
    let mut base_port = config.base_port;
    let whole = stop.child_token();
    for plan in plans {
        let site =
            Site::start(plan, &config, base_port, &backend, directory.path(), console.clone())
                .await?;
        base_port =
            if base_port == 0 { 0 } else { base_port.saturating_add(site::PORTS_OF_A_QUEUE) };
        sites.spawn(site.run(config.clone(), whole.clone()));
    }
    while let Some(ended) = sites.join_next().await {
        // A panic of one site is a defect; the others are not torn down for it.
        if !matches!(ended, Ok(Ok(Outcome::Sound))) {
            outcome = Outcome::Broken;
        }
        if let Ok(Err(error)) = ended {
            console.tell(format!("error: {error}"));
        }
    }
    backend.stop().await;
    if config.store == StoreChoice::Embedded {
        console.tell("the embedded store's data is gone now");
    }
    Ok(outcome)
}

/// The queues to run.
fn chosen(mut plans: Vec<Plan>, config: &UpConfig) -> Result<Vec<Plan>, UpError> {
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
    /// The user's.
    Kept(PathBuf),
}

impl Directory {
    fn path(&self) -> &std::path::Path {
        match self {
            Self::Temporary(directory) => directory.path(),
            Self::Kept(path) => path,
        }
    }
}

fn directory(config: &UpConfig) -> Result<Directory, UpError> {
    match &config.logs {
        Some(path) => std::fs::create_dir_all(path)
            .map(|()| Directory::Kept(path.clone()))
            .map_err(|cause| UpError::File { file: path.clone(), cause }),
        None => tempfile::Builder::new()
            .prefix("bookingq-up-")
            .tempdir()
            .map(Directory::Temporary)
            .map_err(|cause| UpError::File { file: std::env::temp_dir(), cause }),
    }
}
