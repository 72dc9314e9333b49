//! The load generator: many simulated clients that call real workers, which may come and go.
//!
//! ```text
//!   Crowd::run ── arrivals ──> client, one small task each:
//!       |                        join ── updates ──> hold: pay | leave | wait ──> final
//!       |                        |  plan: what it wants, and its behaviour
//!       |                        '─ caller ── bookingq-client: shared channels to the workers,
//!       |                             |        or gateway: HTTP and WebSockets
//!       |                             '──> Recorder: every call with its answer (call)
//!       '── report <── latencies <── client; progress: counters for a live view
//! ```
//!
//! The crowd only behaves and records. `bookingq-check` decides whether the answers were right.

pub mod behaviour;
pub mod call;
mod caller;
mod client;
mod config;
mod demand;
mod gateway;
pub mod latency;
mod plan;
mod progress;
mod report;
mod updates;
mod weights;

use std::net::SocketAddr;
use std::sync::Arc;

use bookingq_client::{CallPolicy, ChannelConfig, ChannelPool};
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::caller::{Connections, CrowdContext};
use self::client::SimulatedClient;
use self::gateway::GatewayPool;
use self::plan::arrivals;

pub use self::behaviour::{ActionTiming, Arrivals, Behaviour, Behaviours, Following, Repeats};
pub use self::call::Recorder;
pub use self::config::CrowdConfig;
pub use self::demand::{CrowdDemand, Wanted};
pub use self::gateway::GatewayAccess;
pub use self::progress::{CrowdCounters, ProgressView};
pub use self::report::{CrowdLatency, CrowdReport};
pub use self::weights::Weights;

/// A crowd that has not arrived yet.
#[derive(Debug)]
pub struct Crowd {
    config: CrowdConfig,
    progress: Arc<CrowdCounters>,
    closed: CancellationToken,
}

impl Crowd {
    /// Prepares it; nothing runs yet.
    pub fn new(config: CrowdConfig) -> Self {
        Self { config, progress: Arc::default(), closed: CancellationToken::new() }
    }

    /// Its counters, also while it runs.
    pub fn progress(&self) -> Arc<CrowdCounters> {
        self.progress.clone()
    }

    /// Cancel it to let no further clients arrive; those present go on.
    pub fn closed(&self) -> CancellationToken {
        self.closed.clone()
    }

    /// Runs until every client's booking is final, or until `stop`. `endpoints` are the workers'
    /// gRPC addresses, or, with [`CrowdConfig::gateway`], the gateways' public addresses; they may
    /// change at any time, and may be empty for a while.
    pub async fn run(
        self,
        endpoints: watch::Receiver<Vec<SocketAddr>>,
        stop: CancellationToken,
    ) -> CrowdReport {
        let Self { config, progress, closed } = self;
        let watches = config.clients as usize;
        let channels = ChannelConfig { watches, ..config.channels.clone() };
        let policy = CallPolicy {
            deadline: config.timeout,
            limit: None,
            backoff: config.backoff,
            stop: stop.clone(),
        };
        let connections = match &config.gateway {
            None => Connections::Workers(ChannelPool::new(channels, endpoints)),
            Some(access) => {
                let calls_at_once = channels.calls_at_once;
                let pool = GatewayPool::new(endpoints, access.clone(), calls_at_once);
                Connections::Gateways(pool)
            }
        };
        let context = Arc::new(CrowdContext {
            connections,
            policy: Arc::new(policy),
            config,
            progress,
            latencies: report::CrowdLatencies::default(),
        });
        arrive(&context, &closed, &stop).await;
        context.latencies.report(&context.progress)
    }
}

/// Starts each client at its time, and waits for all of them.
async fn arrive(context: &Arc<CrowdContext>, closed: &CancellationToken, stop: &CancellationToken) {
    let config = &context.config;
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
        match SimulatedClient::new(Arc::clone(context), index) {
            Ok(client) => {
                let stop = stop.clone();
                clients.spawn(async move {
                    stop.run_until_cancelled_owned(client.run()).await;
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
