//! The load generator: many simulated clients that call real workers, which may come and go.
//!
//! ```text
//!   Crowd::run ── arrivals ──> client (one light task each): join ── updates ──> hold: pay | leave | wait ──> final
//!       |                         |  behaviour: its plan    |  caller ── pool: shared channels to the workers
//!       |                         |                         '──> Recorder: every call with its answer (call)
//!       '── report <── notes <────'  progress: counters for a live view
//! ```
//!
//! The crowd only behaves and records. `bookingq-check` decides whether the answers were right.

pub mod behaviour;
pub mod call;
mod caller;
mod client;
pub mod latency;
mod pool;
mod progress;
mod report;
mod updates;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bookingq_core::backoff::Backoff;
use bookingq_core::{Details, QueueName};
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::behaviour::arrivals;
use self::client::SimulatedClient;
use self::pool::Pool;
use self::report::Notes;

pub use self::behaviour::{Arrivals, Behaviour, Behaviours, Habits, Manners};
pub use self::call::Recorder;
pub use self::pool::Connecting;
pub use self::progress::{Progress, ProgressView};
pub use self::report::{CrowdLatency, CrowdReport};
pub use self::updates::Following;

/// Who comes, when, and how they behave.
#[derive(Debug, Clone)]
pub struct CrowdConfig {
    /// The queue they join.
    pub queue: QueueName,
    /// How many clients come.
    pub clients: u32,
    /// They all arrive within this time.
    pub arrive: Duration,
    /// How their arrivals are spread over that time.
    pub arrivals: Arrivals,
    /// Clients present at once, at most; the next one arrives when another has finished.
    pub present: usize,
    /// What each of them books.
    pub details: Details,
    /// How common each behaviour is.
    pub behaviours: Behaviours,
    /// When they act.
    pub manners: Manners,
    /// What some clients of every behaviour do as well.
    pub habits: Habits,
    /// How they follow their bookings.
    pub following: Following,
    /// Client ids begin with this; at most 100 bytes without control characters.
    pub prefix: String,
    /// Seeds every draw: arrivals, behaviours and moments.
    pub seed: u64,
    /// Deadline of each call, from the moment it is sent.
    pub timeout: Duration,
    /// Calls in flight of all clients together, at most. Without this limit, calls that time out
    /// in an overloaded worker's queue would be repeated until nothing else is done.
    pub calls_at_once: usize,
    /// Wait before a call is repeated or a watch is opened again.
    pub backoff: Backoff,
    /// How they connect.
    pub connecting: Connecting,
    /// Takes every call with its answer.
    pub recorder: Option<Arc<dyn Recorder>>,
}

impl CrowdConfig {
    /// `clients` that arrive within `arrive` and behave as people do.
    pub fn new(queue: QueueName, clients: u32, arrive: Duration) -> Self {
        Self {
            queue,
            clients,
            arrive,
            arrivals: Arrivals::Random,
            present: Semaphore::MAX_PERMITS,
            details: Details::default(),
            behaviours: Behaviours::default(),
            manners: Manners::default(),
            habits: Habits::default(),
            following: Following::Watch,
            prefix: "client".to_owned(),
            seed: 1,
            timeout: Duration::from_secs(10),
            calls_at_once: 1024,
            backoff: Backoff { initial: Duration::from_millis(100), max: Duration::from_secs(5) },
            connecting: Connecting::default(),
            recorder: None,
        }
    }
}

/// What all clients share.
#[derive(Debug)]
struct Shared {
    config: CrowdConfig,
    pool: Pool,
    progress: Arc<Progress>,
    notes: Notes,
}

/// A crowd that is about to arrive.
#[derive(Debug)]
pub struct Crowd {
    shared: Arc<Shared>,
    closed: CancellationToken,
}

impl Crowd {
    /// Prepares it; nothing runs yet.
    pub fn new(config: CrowdConfig) -> Self {
        let pool = Pool::new(config.clients, config.calls_at_once, config.connecting.clone());
        let shared = Shared { config, pool, progress: Arc::default(), notes: Notes::default() };
        Self { shared: Arc::new(shared), closed: CancellationToken::new() }
    }

    /// Its counters, also while it runs.
    pub fn progress(&self) -> Arc<Progress> {
        self.shared.progress.clone()
    }

    /// Cancel it to let no further clients arrive; those present go on.
    pub fn closed(&self) -> CancellationToken {
        self.closed.clone()
    }

    /// Runs until every client's booking is final, or until `stop`. `endpoints` are the workers'
    /// gRPC addresses; they may change at any time, and may be empty for a while.
    pub async fn run(
        self,
        endpoints: watch::Receiver<Vec<SocketAddr>>,
        stop: CancellationToken,
    ) -> CrowdReport {
        let Self { shared, closed } = self;
        tokio::select! {
            // The pool first, so that the first client finds the workers in it.
            biased;
            () = shared.pool.follow(endpoints) => {}
            () = arrive(&shared, &closed, &stop) => {}
        }
        shared.notes.report(&shared.progress)
    }
}

/// Starts each client at its time, and waits for all of them.
async fn arrive(shared: &Arc<Shared>, closed: &CancellationToken, stop: &CancellationToken) {
    let config = &shared.config;
    let clients = TaskTracker::new();
    let present = Arc::new(Semaphore::new(config.present.clamp(1, Semaphore::MAX_PERMITS)));
    let start = Instant::now();
    for (index, time) in (0..).zip(arrivals(config)) {
        let next = async {
            sleep_until(start + time).await;
            Arc::clone(&present).acquire_owned().await
        };
        let permit = tokio::select! {
            () = stop.cancelled() => break,
            () = closed.cancelled() => break,
            permit = next => permit,
        };
        match SimulatedClient::new(Arc::clone(shared), index) {
            Ok(client) => {
                let stop = stop.clone();
                clients.spawn(async move {
                    stop.run_until_cancelled_owned(client.live()).await;
                    drop(permit);
                });
            }
            Err(invalid) => {
                tracing::error!(%invalid, "the crowd's prefix does not make a client id");
            }
        }
    }
    clients.close();
    clients.wait().await;
}
