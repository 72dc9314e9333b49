//! One worker from its start to the end of its drain.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bookingq_follow::{FollowEvent, OutboxFollower};
use bookingq_store::{Scope, Store};
use futures::future::BoxFuture;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic_health::ServingStatus;
use tracing::{error, info, warn};

use crate::config::WorkerConfig;
use crate::downstream::channel::DownstreamError;
use crate::feed::QueueFeed;
use crate::notifier::RealtimeNotifier;
use crate::operator_readings::publish_readings;
use crate::processing::claims::Finished;
use crate::processing::{ClaimLoop, Executor, Wake};
use crate::runtime::Runtime;
use crate::server::{GrpcServer, set_serving};
use crate::service::parse::Parser;
use crate::service::{BookingReader, MAX_FOLLOWERS, WorkerService};
use crate::ticket_probes::TicketProbes;
use crate::{WorkerError, notifier_hold, store_monitor};

/// Starts workers.
pub struct Worker;

/// A running worker. Dropped, it runs until the tokio runtime ends; end it with
/// [`drain`](Self::drain) or [`kill`](Self::kill).
pub struct WorkerHandle {
    id: String,
    grace: Duration,
    linger: Duration,
    runtime: Runtime,
    server: GrpcServer,
    confirmations: TaskTracker,
    /// Stops claiming.
    stop: CancellationToken,
    /// Ends streams, and lets connections finish.
    draining: CancellationToken,
    claims: JoinHandle<Option<Finished>>,
}

/// How a drain went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DrainReport {
    /// Tasks in hand when the drain began, and how many of them were cut off and given back.
    pub tasks: Finished,
    /// How long it took.
    pub took: Duration,
}

impl Worker {
    /// Binds the ports and starts everything. The store need not be up: requests are answered
    /// `STORE_UNAVAILABLE` until it is, and the worker is not ready.
    ///
    /// # Errors
    /// When a port cannot be bound, or an endpoint or TLS file cannot be used.
    pub fn start(
        config: WorkerConfig,
        store: Arc<dyn Store>,
    ) -> BoxFuture<'static, Result<WorkerHandle, WorkerError>> {
        // Boxed here, or every crate that starts a worker would compile all of it again.
        Box::pin(start(config, store))
    }
}

async fn start(config: WorkerConfig, store: Arc<dyn Store>) -> Result<WorkerHandle, WorkerError> {
    let mut runtime = Runtime::start(&config.id, config.admin, store).await?;
    let executor = runtime.executor(&config.tasks)?;
    let wake = Wake::new(Arc::clone(&runtime.queue));
    let feed = follow(&mut runtime, &config, &wake)?;
    probe_tickets(&mut runtime, &config, &executor);
    let service = service(&runtime, &config, &executor, &wake, feed);
    let (confirmations, draining) = (service.confirmations.clone(), service.draining.clone());
    let server = GrpcServer::start(&config, service, &runtime.metrics).await?;
    let stop = CancellationToken::new();
    let lease = config.tasks.lease;
    let scope = if config.await_rules { Scope::OnceRuled } else { Scope::Everything };
    let claim_loop = ClaimLoop { executor, lease, scope, wake };
    let limit = config.grace.saturating_sub(Duration::from_secs(1));
    let (store, metrics) = (Arc::clone(&runtime.store), Arc::clone(&runtime.metrics));
    let (readiness, health) = (Arc::clone(&runtime.readiness), server.health.clone());
    let stopped = stop.clone();
    // Opens the store, reports that this worker serves, and claims. `None` if it was stopped before
    // the store was open.
    let claims = tokio::spawn(async move {
        let open = store_monitor::open(&*store, &metrics, &readiness);
        if let Err(error) = stopped.run_until_cancelled(open).await? {
            error!(%error, "this worker cannot serve");
            return None;
        }
        set_serving(&health, ServingStatus::Serving).await;
        Some(claim_loop.run(stopped, limit).await)
    });
    info!(worker = config.id, queue = %runtime.store.queue(), grpc = %server.address, "worker started");
    Ok(WorkerHandle {
        id: config.id,
        grace: config.grace,
        linger: config.linger.min(config.grace / 2),
        runtime,
        server,
        confirmations,
        stop,
        draining,
        claims,
    })
}

/// What the methods of the gRPC service share.
fn service(
    runtime: &Runtime,
    config: &WorkerConfig,
    executor: &Arc<Executor>,
    wake: &Arc<Wake>,
    feed: Arc<QueueFeed>,
) -> WorkerService {
    let queue = runtime.store.queue().clone();
    WorkerService {
        parser: Parser::new(queue.clone()),
        reader: Arc::new(BookingReader {
            queue,
            store: runtime.group.clone(),
            followed: Arc::clone(&runtime.queue),
            metrics: Arc::clone(&runtime.metrics),
        }),
        store: runtime.group.clone(),
        readings: Arc::clone(&runtime.readings),
        requests: Semaphore::new(config.limits.requests),
        watches: Arc::new(Semaphore::new(config.limits.watches)),
        followers: Arc::new(Semaphore::new(MAX_FOLLOWERS)),
        feed,
        executor: Arc::clone(executor),
        confirmations: TaskTracker::new(),
        wake: Arc::clone(wake),
        lease: config.tasks.lease,
        draining: CancellationToken::new(),
    }
}

/// Starts the probes of closed items, if there is a Ticket Service.
fn probe_tickets(runtime: &mut Runtime, config: &WorkerConfig, executor: &Arc<Executor>) {
    if executor.has_ticket_service() {
        let (id, queue) = (config.id.clone(), Arc::clone(&runtime.queue));
        let probes = TicketProbes::new(id, Arc::clone(executor), queue);
        runtime.background.spawn(probes.run());
    }
}

/// Starts what competes for the notifier lease: the notifier, or what publishes readings without
/// one.
fn notify(runtime: &mut Runtime, config: &WorkerConfig) -> Result<(), DownstreamError> {
    if let Some(realtime) = &config.realtime {
        let notifier = RealtimeNotifier::new(config.id.clone(), runtime, realtime)?;
        runtime.background.spawn(notifier.run());
    }
    if runtime.store.wants_readings() {
        let (store, hold) = (&runtime.store, &runtime.notifier);
        if config.realtime.is_none() {
            let competing = notifier_hold::compete(config.id.clone(), store.clone(), hold.clone());
            runtime.background.spawn(competing);
        }
        runtime.background.spawn(publish_readings(store.clone(), hold.clone()));
    }
    Ok(())
}

/// Starts what follows the outbox: the line, the watchers, the followers, and the notifier.
fn follow(
    runtime: &mut Runtime,
    config: &WorkerConfig,
    wake: &Arc<Wake>,
) -> Result<Arc<QueueFeed>, DownstreamError> {
    let queue = runtime.store.queue().clone();
    let readings = Arc::clone(&runtime.readings);
    let feed = QueueFeed::new(queue, Arc::clone(&runtime.queue), readings);
    runtime.background.spawn(Arc::clone(&feed).run_ticks());
    notify(runtime, config)?;
    let (wake, metrics) = (Arc::clone(wake), Arc::clone(&runtime.metrics));
    let events_to = Arc::clone(&feed);
    let follower = OutboxFollower {
        store: Arc::clone(&runtime.store),
        queue: Arc::clone(&runtime.queue),
        resync: Arc::clone(&runtime.resync),
        observer: move |event: FollowEvent<'_>| match event {
            FollowEvent::Loaded(through) => {
                events_to.loaded(through);
                wake.due();
            }
            FollowEvent::Received(events) => {
                events_to.received(events);
                wake.received(events);
            }
            FollowEvent::Gap => {
                metrics.store.outbox_gaps.inc();
                events_to.lost();
            }
            FollowEvent::Failed(error) => metrics.store_failed(error),
        },
    };
    runtime.background.spawn(follower.run());
    runtime.background.spawn(Arc::clone(&runtime.queue).publish_positions());
    runtime.background.spawn(store_monitor::follow_items(
        Arc::clone(&runtime.store),
        Arc::clone(&runtime.queue),
        Arc::clone(&runtime.metrics),
    ));
    Ok(feed)
}

impl WorkerHandle {
    /// The gRPC port.
    pub fn grpc_addr(&self) -> SocketAddr {
        self.server.address
    }

    /// The port of `/metrics` and the probes, if there is one.
    pub fn admin_addr(&self) -> Option<SocketAddr> {
        self.runtime.admin
    }

    /// Waits until the worker cannot continue: its port failed, or the store's data is of a newer
    /// release. Returns the cause.
    pub async fn failed(&mut self) -> WorkerError {
        tokio::select! {
            ended = &mut self.server.task => match ended {
                Ok(Ok(())) => WorkerError::Serve("the gRPC port was closed".to_owned()),
                Ok(Err(error)) => error,
                Err(panic) => WorkerError::Serve(panic.to_string()),
            },
            ended = &mut self.claims => match ended {
                Ok(_) => WorkerError::Serve("the store cannot be used; see the log".to_owned()),
                Err(panic) => WorkerError::Serve(panic.to_string()),
            },
        }
    }

    /// Drains: not ready at once, no more claims, the port open for `linger` because endpoints lag,
    /// then streams and connections end and tasks are finished or given back; all within the grace.
    pub async fn drain(mut self) -> DrainReport {
        let start = Instant::now();
        let end = start + self.grace;
        info!(worker = self.id, "draining");
        self.runtime.readiness.set_draining();
        set_serving(&self.server.health, ServingStatus::NotServing).await;
        self.stop.cancel();
        tokio::time::sleep(self.linger).await;
        self.draining.cancel();
        self.confirmations.close();
        let claims = timeout_at(end, &mut self.claims).await;
        let tasks = claims.ok().and_then(Result::ok).flatten().unwrap_or_default();
        if timeout_at(end, self.confirmations.wait()).await.is_err() {
            warn!(left = self.confirmations.len(), "other workers must finish some confirmations");
        }
        let _ = timeout_at(end, &mut self.server.task).await;
        let given_up = RealtimeNotifier::give_up(&self.id, &*self.runtime.store);
        let _ = tokio::time::timeout(Duration::from_millis(500), given_up).await;
        let took = start.elapsed();
        info!(worker = self.id, in_hand = tasks.in_hand, cut_off = tasks.cut_off, ?took, "drained");
        self.end();
        DrainReport { tasks, took }
    }

    /// Ends everything at once, as SIGKILL would: no task is finished or given back.
    pub fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.server.cut.cancel();
        self.claims.abort();
        self.server.task.abort();
        self.runtime.background.abort_all();
    }
}
