//! One worker from its start to its leaving.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use bookingq_store::group::GroupCommit;
use bookingq_store::{Scope, Store};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;
use tracing::{error, info, warn};

use crate::admin::Readiness;
use crate::config::WorkerConfig;
use crate::downstream::booking::BookingClient;
use crate::downstream::ticket::TicketClient;
use crate::follow::Follower;
use crate::follow::hub::Hub;
use crate::follow::line_view::LineView;
use crate::metrics::Metrics;
use crate::notifier::Notifier;
use crate::processing::claims::Finished;
use crate::processing::renewals::renew_leases;
use crate::processing::{ClaimLoop, Executor, ExecutorConfig};
use crate::server::{self, SERVICE_NAME, Settings, server_tls};
use crate::service::gate::Gate;
use crate::service::parse::Parser;
use crate::service::{Handlers, Service};
use crate::{WorkerError, admin, keeper};

/// Starts workers.
pub struct Worker;

/// A running worker. Dropped, it goes on until the runtime ends; end it with [`drain`](Self::drain)
/// or [`kill`](Self::kill).
pub struct WorkerHandle {
    id: String,
    grpc: SocketAddr,
    admin: Option<SocketAddr>,
    grace: Duration,
    linger: Duration,
    store: Arc<dyn Store>,
    readiness: Arc<Readiness>,
    health: HealthReporter,
    confirmations: TaskTracker,
    /// Stop claiming.
    stop: CancellationToken,
    /// End streams, and let connections finish.
    leave: CancellationToken,
    /// Drop every connection at once.
    cut: CancellationToken,
    claims: JoinHandle<Option<Finished>>,
    server: JoinHandle<Result<(), WorkerError>>,
    background: JoinSet<()>,
}

/// How leaving went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DrainReport {
    /// Tasks that were in hand when leaving began, and how many of them were cut off and given
    /// back.
    pub tasks: Finished,
    /// How long it took.
    pub took: Duration,
}

impl Worker {
    /// Binds the ports and starts everything. The store need not be up: requests are answered
    /// `STORE_UNAVAILABLE` until it is, and the worker is not ready.
    ///
    /// # Errors
    /// When a port can't be bound, or an endpoint or TLS file can't be used.
    pub async fn start(
        config: WorkerConfig,
        store: Arc<dyn Store>,
    ) -> Result<WorkerHandle, WorkerError> {
        let metrics = Metrics::new(store.queue().as_str(), &config.id)?;
        let group = GroupCommit::new(Arc::clone(&store));
        let queue = || store.queue().clone();
        let booking = BookingClient::new(queue(), &config.booking)?;
        let ticket =
            config.ticket.as_ref().map(|ticket| TicketClient::new(queue(), ticket)).transpose()?;
        let executor_config = ExecutorConfig { hold: config.hold, retry: config.retry };
        let executor =
            Executor::new(executor_config, group.clone(), booking, ticket, metrics.clone());
        let (line, hub) = (Arc::new(LineView::new()), Hub::new());
        let (wake, readiness) = (Arc::new(Notify::new()), Arc::new(Readiness::default()));
        let mut background = JoinSet::new();

        if let Some(realtime) = &config.realtime {
            let (store, line) = (Arc::clone(&store), Arc::clone(&line));
            let notifier =
                Notifier::new(config.id.clone(), store, line, realtime, metrics.clone())?;
            background.spawn(notifier.run());
        }
        let anew = Arc::new(AtomicBool::new(false));
        let follower = Follower {
            store: Arc::clone(&store),
            line: Arc::clone(&line),
            hub: Arc::clone(&hub),
            wake: Arc::clone(&wake),
            anew: Arc::clone(&anew),
            metrics: metrics.clone(),
        };
        background.spawn(follower.run());
        background.spawn(Arc::clone(&hub).tell_positions(Arc::clone(&line)));
        background.spawn(renew_leases(Arc::clone(&executor), config.lease));
        background.spawn(keeper::read_queue(
            Arc::clone(&store),
            Arc::clone(&line),
            anew,
            metrics.clone(),
        ));
        let admin = start_admin(&config, &metrics, &readiness, &mut background).await?;

        let (stop, leave, cut) =
            (CancellationToken::new(), CancellationToken::new(), CancellationToken::new());
        let confirmations = TaskTracker::new();
        let service = Service {
            parser: Parser::new(store.queue().clone()),
            store: group,
            gate: Gate::new(config.limits.requests, config.limits.watches),
            line,
            hub,
            executor: Arc::clone(&executor),
            confirmations: confirmations.clone(),
            wake: Arc::clone(&wake),
            lease: config.lease,
            leaving: leave.clone(),
        };
        let (health, health_service) = tonic_health::server::health_reporter();
        set_serving(&health, ServingStatus::NotServing).await;
        let settings = Settings {
            limits: config.limits,
            tls: config.tls.as_ref().map(server_tls).transpose()?,
            connections: metrics.connections.clone(),
            intake_refused: metrics.intake_refused.clone(),
        };
        let listener = bind(config.listen).await?;
        let grpc = listener
            .local_addr()
            .map_err(|cause| WorkerError::Bind { address: config.listen, cause })?;
        let serve = server::serve(
            listener,
            Handlers::new(service),
            health_service,
            settings,
            leave.clone(),
            cut.clone(),
        );
        let server = tokio::spawn(serve);
        let claim_loop = ClaimLoop {
            executor,
            concurrency: config.concurrency,
            lease: config.lease,
            scope: Scope::Everything,
            wake,
        };
        let begin = Begin {
            store: Arc::clone(&store),
            metrics,
            readiness: Arc::clone(&readiness),
            health: health.clone(),
            patience: config.grace.saturating_sub(Duration::from_secs(1)),
        };
        let claims = tokio::spawn(begin.then_claim(claim_loop, stop.clone()));
        info!(worker = config.id, queue = %store.queue(), %grpc, "worker started");
        Ok(WorkerHandle {
            id: config.id,
            grpc,
            admin,
            grace: config.grace,
            linger: config.linger.min(config.grace / 2),
            store,
            readiness,
            health,
            confirmations,
            stop,
            leave,
            cut,
            claims,
            server,
            background,
        })
    }
}

/// What happens before the first claim.
struct Begin {
    store: Arc<dyn Store>,
    metrics: Metrics,
    readiness: Arc<Readiness>,
    health: HealthReporter,
    /// How long tasks in hand may take once claiming has stopped.
    patience: Duration,
}

impl Begin {
    /// Opens the store, says that this worker serves, claims until told to stop. `None` if it never
    /// came to that.
    async fn then_claim(self, claims: ClaimLoop, stop: CancellationToken) -> Option<Finished> {
        tokio::select! {
            opened = keeper::open(&*self.store, &self.metrics, &self.readiness) => {
                if let Err(error) = opened {
                    error!(%error, "this worker can't serve");
                    return None;
                }
            }
            () = stop.cancelled() => return None,
        }
        set_serving(&self.health, ServingStatus::Serving).await;
        Some(claims.run(stop, self.patience).await)
    }
}

impl WorkerHandle {
    /// The gRPC port.
    pub fn grpc_addr(&self) -> SocketAddr {
        self.grpc
    }

    /// The port of `/metrics` and the probes, if there is one.
    pub fn admin_addr(&self) -> Option<SocketAddr> {
        self.admin
    }

    /// Waits until the worker can't go on by itself: its port failed, or the store's data is of a
    /// newer release.
    ///
    /// # Errors
    /// Why.
    pub async fn failed(&mut self) -> WorkerError {
        tokio::select! {
            ended = &mut self.server => match ended {
                Ok(Ok(())) => WorkerError::Serve("the gRPC port was closed".to_owned()),
                Ok(Err(error)) => error,
                Err(panic) => WorkerError::Serve(panic.to_string()),
            },
            ended = &mut self.claims => match ended {
                Ok(_) => WorkerError::Serve("the store can't be used; see the log".to_owned()),
                Err(panic) => WorkerError::Serve(panic.to_string()),
            },
        }
    }

    /// Leaves: not ready at once, no more claims, the port open for `linger` because endpoints lag,
    /// streams and connections ended, tasks finished or given back; all within the grace.
    pub async fn drain(mut self) -> DrainReport {
        let start = Instant::now();
        info!(worker = self.id, "leaving");
        self.readiness.leaving();
        set_serving(&self.health, ServingStatus::NotServing).await;
        self.stop.cancel();
        tokio::time::sleep(self.linger).await;
        self.leave.cancel();
        self.confirmations.close();
        let left = |start: Instant| self.grace.saturating_sub(start.elapsed());
        let claims = tokio::time::timeout(left(start), &mut self.claims).await;
        let tasks = claims.ok().and_then(Result::ok).flatten().unwrap_or_default();
        if tokio::time::timeout(left(start), self.confirmations.wait()).await.is_err() {
            warn!(left = self.confirmations.len(), "confirmations are left to other workers");
        }
        let _ = tokio::time::timeout(left(start), &mut self.server).await;
        let given_up = Notifier::give_up(&self.id, &*self.store);
        let _ = tokio::time::timeout(Duration::from_millis(500), given_up).await;
        let report = DrainReport { tasks, took: start.elapsed() };
        info!(worker = self.id, in_hand = tasks.in_hand, cut_off = tasks.cut_off, took = ?report.took, "left");
        self.end();
        report
    }

    /// Ends everything at once, as SIGKILL would: nothing is finished, given back or said.
    pub fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.cut.cancel();
        self.claims.abort();
        self.server.abort();
        self.background.abort_all();
    }
}

async fn bind(address: SocketAddr) -> Result<TcpListener, WorkerError> {
    TcpListener::bind(address).await.map_err(|cause| WorkerError::Bind { address, cause })
}

async fn start_admin(
    config: &WorkerConfig,
    metrics: &Metrics,
    readiness: &Arc<Readiness>,
    background: &mut JoinSet<()>,
) -> Result<Option<SocketAddr>, WorkerError> {
    let Some(address) = config.admin else { return Ok(None) };
    let listener = bind(address).await?;
    let bound = listener.local_addr().map_err(|cause| WorkerError::Bind { address, cause })?;
    let serve = admin::serve(listener, metrics.clone(), Arc::clone(readiness));
    background.spawn(async move {
        if let Err(error) = serve.await {
            error!(%error, "the admin port failed");
        }
    });
    Ok(Some(bound))
}

async fn set_serving(health: &HealthReporter, status: ServingStatus) {
    health.set_service_status("", status).await;
    health.set_service_status(SERVICE_NAME, status).await;
}
