//! One gateway from its start to the end of its drain.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bookingq_client::{CallPolicy, ChannelConfig, ChannelPool, EndpointsError, WorkerEndpoints};
use bookingq_core::backoff::Backoff;
use bookingq_serve::{MetricsRegistry, Readiness, ServeError, admin_router};
use futures::future::BoxFuture;
use prometheus::IntGauge;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tonic::transport::ClientTlsConfig;
use tracing::{error, info};

use crate::access_log::RequestLog;
use crate::auth::CookieStyle;
use crate::backend::{self, BackendAuth};
use crate::config::{BackendConfig, GatewayConfig, QueueConfig, WorkersAt, WorkersConfig};
use crate::fanout::{Fanout, FanoutSettings};
use crate::feed::PlaceFeed;
use crate::http_metrics::HttpMetrics;
use crate::joins::Joins;
use crate::keys::{KeyStore, KeyStoreError};
use crate::limits::AddressLimits;
use crate::limits::limit_metrics::LimitMetrics;
use crate::listener::{ConnectionLimit, HttpPort};
use crate::metrics::GatewayMetrics;
use crate::origin::AllowedOrigins;
use crate::page::WaitingPage;
use crate::queue_reader::QueueReader;
use crate::state::{GatewayState, QueueGateway};
use crate::workers::QueueWorkers;
use crate::{admin, realtime, router, upstream};

/// How long the name of the workers may be unknown at the start.
const LOOKUP: Duration = Duration::from_secs(30);
/// Connections to each worker for unary calls.
const CHANNELS: usize = 2;
/// Calls to the workers of one queue at once, over all handlers.
const CALLS: usize = 1024;
/// Tries of one call, as a multiple of its deadline.
const TRIES: u32 = 3;
const BACKOFF: Backoff =
    Backoff { initial: Duration::from_millis(50), max: Duration::from_secs(1) };
/// Connections of the admin port.
const ADMIN_CONNECTIONS: usize = 256;
/// Connections of the backend port.
const BACKEND_CONNECTIONS: usize = 256;
/// Time for requests in progress once the sockets are closed.
const LAST_REQUESTS: Duration = Duration::from_secs(5);

/// Starts gateways.
pub struct Gateway;

/// Why a gateway cannot start or continue.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// A port, a TLS file or a metric.
    #[error(transparent)]
    Process(#[from] ServeError),
    /// The workers of a queue.
    #[error(transparent)]
    Workers(#[from] EndpointsError),
    /// The keys.
    #[error(transparent)]
    Keys(#[from] KeyStoreError),
    /// A port closed, or a task ended with a panic; the log says which.
    #[error("a port or a task of the gateway ended unexpectedly; see the log")]
    Closed,
}

/// A running gateway. Dropped, it ends without a drain.
pub struct GatewayHandle {
    id: String,
    drain: Duration,
    linger: Duration,
    public: HttpPort,
    backend: Option<HttpPort>,
    grpc: Option<SocketAddr>,
    admin: Option<HttpPort>,
    readiness: Arc<Readiness>,
    state: Arc<GatewayState>,
    stop: CancellationToken,
    background: JoinSet<()>,
}

impl Gateway {
    /// Binds the ports and starts everything. The workers need not be up; the gateway is ready once
    /// every queue is followed that does not hibernate.
    ///
    /// # Errors
    /// When a port cannot be bound, keys or a TLS file cannot be used, or the name of the workers
    /// stays unknown.
    pub fn start(config: GatewayConfig) -> BoxFuture<'static, Result<GatewayHandle, GatewayError>> {
        // Boxed here, or every crate that starts a gateway would compile all of it again.
        Box::pin(start(config))
    }
}

async fn start(config: GatewayConfig) -> Result<GatewayHandle, GatewayError> {
    let labels = [("gateway", config.id.as_str())];
    let registry =
        MetricsRegistry::new("bookingqueue_gateway", &labels).map_err(ServeError::from)?;
    let metrics = GatewayMetrics::new(&registry).map_err(ServeError::from)?;
    let stop = CancellationToken::new();
    let mut background = JoinSet::new();
    let fanout = Fanout::new(metrics, FanoutSettings::default());
    background.spawn(Arc::clone(&fanout).run());
    let limit = ConnectionLimit::new(config.max_connections);
    let limits = limits(&config, &registry)?;
    let state = state(&config, &fanout, &stop, limit.streams(), limits).await?;
    for queue in state.queues.values().filter(|queue| !queue.settings.hibernates) {
        background.spawn(upstream::follow(Arc::clone(&queue.feed), queue.workers.clone()));
    }
    let grpc = serve_realtime(&config, &state, &mut background).await?;
    let readiness = Readiness::pending("waiting for the workers of each queue");
    let http = HttpMetrics::new(&registry).map_err(ServeError::from)?;
    let admin = serve_admin(&config, &registry, &state, &readiness, http.admin.clone()).await?;
    let log = RequestLog { which: config.access_log, metrics: http.clone() };
    let router = router::public(Arc::clone(&state), log.clone());
    let tls = config.tls.clone();
    let public = HttpPort::start(config.listen, tls, limit, router, http.public).await?;
    let backend = match &config.backend {
        Some(backend) => Some(serve_backend(backend, &state, log).await?),
        None => None,
    };
    background.spawn(become_ready(Arc::clone(&state), Arc::clone(&readiness)));
    let queues: Vec<_> = config.queues.iter().map(|queue| queue.name.as_str()).collect();
    info!(gateway = config.id, ?queues, public = %public.address(), "gateway started");
    Ok(GatewayHandle {
        id: config.id,
        drain: config.drain,
        linger: config.linger,
        public,
        backend,
        grpc,
        admin,
        readiness,
        state,
        stop,
        background,
    })
}

/// Ready once a worker of each queue that has workers is followed.
async fn become_ready(state: Arc<GatewayState>, readiness: Arc<Readiness>) {
    for queue in state.queues.values().filter(|queue| !queue.settings.hibernates) {
        queue.feed.followed().await;
    }
    readiness.set_ready();
    // A task of the background that ends means a failure.
    std::future::pending::<()>().await;
}

async fn state(
    config: &GatewayConfig,
    fanout: &Arc<Fanout>,
    stop: &CancellationToken,
    max_streams: usize,
    limits: AddressLimits,
) -> Result<Arc<GatewayState>, GatewayError> {
    let mut queues = HashMap::new();
    for queue in &config.queues {
        let queue = start_queue(queue, &config.workers, fanout, stop).await?;
        queues.insert(queue.name.clone(), Arc::new(queue));
    }
    let of = |queue: &QueueConfig| queue.settings.origins.clone();
    let origins = config.queues.iter().map(of);
    let origins = origins.fold(AllowedOrigins::default(), |all, more| all.with(&more));
    let cookies = if config.insecure_cookies { CookieStyle::Insecure } else { CookieStyle::Secure };
    Ok(Arc::new(GatewayState {
        queues,
        keys: KeyStore::start(config.keys.clone())?,
        fanout: Arc::clone(fanout),
        max_streams,
        issuer: config.issuer.clone(),
        place_lifetime: config.place_lifetime,
        cookies,
        origins,
        limits,
    }))
}

fn limits(
    config: &GatewayConfig,
    registry: &MetricsRegistry,
) -> Result<AddressLimits, GatewayError> {
    let metrics = LimitMetrics::new(registry).map_err(ServeError::from)?;
    let limits = AddressLimits::new(config.trusted_proxies.clone(), metrics);
    Ok(if config.address_limits { limits } else { limits.unlimited() })
}

async fn start_queue(
    queue: &QueueConfig,
    calls: &WorkersConfig,
    fanout: &Arc<Fanout>,
    stop: &CancellationToken,
) -> Result<QueueGateway, GatewayError> {
    let QueueConfig { name, workers, settings } = queue.clone();
    let (tls, origin) = match &workers {
        WorkersAt::Url(url) => (tls_of(url, calls)?, url.to_string().parse().ok()),
        WorkersAt::Addresses(_) => (None, None),
    };
    let channels = ChannelConfig {
        tls,
        origin,
        connections: CHANNELS,
        calls_at_once: CALLS,
        ..ChannelConfig::default()
    };
    let policy = CallPolicy {
        deadline: calls.timeout,
        limit: Some(calls.timeout * TRIES),
        backoff: BACKOFF,
        stop: stop.clone(),
    };
    let addresses = match workers {
        // A queue that hibernates has no workers, and the name of none has no address. It answers
        // without them, and its gateways are replaced when it wakes.
        _ if settings.hibernates => watch::Sender::default().subscribe(),
        WorkersAt::Url(url) => url.resolve(LOOKUP).await?,
        WorkersAt::Addresses(addresses) => addresses,
    };
    let pool = ChannelPool::new(channels, addresses);
    let workers = QueueWorkers { pool, policy: Arc::new(policy) };
    let feed = PlaceFeed::new(name.clone(), workers.clone(), Arc::clone(fanout));
    let reader = QueueReader::new(
        name.clone(),
        settings.title.clone(),
        workers.clone(),
        settings.hibernates,
    );
    let joins = Joins::start(workers.clone());
    let page = WaitingPage::new(&name, &settings);
    Ok(QueueGateway { name, settings, workers, feed, joins, reader, page })
}

/// The TLS settings of a `https://` URL.
fn tls_of(
    url: &WorkerEndpoints,
    calls: &WorkersConfig,
) -> Result<Option<ClientTlsConfig>, ServeError> {
    if !url.tls {
        return Ok(None);
    }
    let mut tls = calls.tls.clone();
    tls.server_name.get_or_insert_with(|| url.host.clone());
    tls.load().map(Some)
}

async fn serve_realtime(
    config: &GatewayConfig,
    state: &GatewayState,
    background: &mut JoinSet<()>,
) -> Result<Option<SocketAddr>, GatewayError> {
    let Some(listen) = config.grpc else { return Ok(None) };
    let (listener, address) = bookingq_serve::listen(listen).await?;
    let feeds: Vec<_> = state.queues.values().map(|queue| Arc::clone(&queue.feed)).collect();
    background.spawn(async move {
        if let Err(error) = realtime::serve(listener, feeds).await {
            error!(%error, "the RealtimeService ended");
        }
    });
    Ok(Some(address))
}

/// In the accept loop of the other ports, which ends a page whose reader does not read.
async fn serve_admin(
    config: &GatewayConfig,
    registry: &MetricsRegistry,
    state: &Arc<GatewayState>,
    readiness: &Arc<Readiness>,
    open: IntGauge,
) -> Result<Option<HttpPort>, GatewayError> {
    let Some(listen) = config.admin else { return Ok(None) };
    let router = admin_router(registry.clone(), Arc::clone(readiness));
    let router = router.merge(admin::routes(&config.id, Arc::clone(state)));
    let limit = ConnectionLimit::new(ADMIN_CONNECTIONS);
    Ok(Some(HttpPort::start(listen, None, limit, router, open).await?))
}

async fn serve_backend(
    backend: &BackendConfig,
    state: &Arc<GatewayState>,
    log: RequestLog,
) -> Result<HttpPort, GatewayError> {
    let certificate = backend.tls.as_ref().is_some_and(|tls| tls.client_ca.is_some());
    let auth = if certificate { BackendAuth::Certificate } else { BackendAuth::Token };
    let open = log.metrics.backend.clone();
    let router = backend::router(Arc::clone(state), auth, log);
    let limit = ConnectionLimit::new(BACKEND_CONNECTIONS);
    Ok(HttpPort::start(backend.listen, backend.tls.clone(), limit, router, open).await?)
}

impl GatewayHandle {
    /// The public port.
    pub fn public_addr(&self) -> SocketAddr {
        self.public.address()
    }

    /// The backend port, if it is served.
    pub fn backend_addr(&self) -> Option<SocketAddr> {
        self.backend.as_ref().map(HttpPort::address)
    }

    /// The port of the RealtimeService, if it is served.
    pub fn grpc_addr(&self) -> Option<SocketAddr> {
        self.grpc
    }

    /// The port of `/metrics` and the probes, if it is served.
    pub fn admin_addr(&self) -> Option<SocketAddr> {
        self.admin.as_ref().map(HttpPort::address)
    }

    /// What the handlers share.
    pub fn state(&self) -> &Arc<GatewayState> {
        &self.state
    }

    /// Waits until this gateway cannot continue. Returns the cause.
    pub async fn failed(&mut self) -> GatewayError {
        // The tasks of the background end only with a panic, or when a port has failed.
        if let Some(Err(panic)) = self.background.join_next().await {
            error!(%panic, "a task of the gateway ended");
        }
        GatewayError::Closed
    }

    /// Drains: not ready at once, the ports open for the linger because endpoints lag, then the
    /// sockets are closed evenly over the drain, and requests in progress finish.
    pub async fn drain(mut self) {
        let begin = Instant::now();
        info!(gateway = self.id, connections = self.public.connections().count(), "draining");
        self.readiness.set_draining();
        tokio::time::sleep(self.linger).await;
        self.public.stop_accepting();
        self.state.fanout.drain(self.drain).await;
        self.public.finish();
        if let Some(backend) = &self.backend {
            backend.finish();
        }
        let end = Instant::now() + LAST_REQUESTS;
        let _ = timeout_at(end, self.public.empty()).await;
        if let Some(backend) = &self.backend {
            let _ = timeout_at(end, backend.empty()).await;
        }
        info!(gateway = self.id, took = ?begin.elapsed(), "drained");
        self.end();
    }

    /// Ends everything at once, as SIGKILL would: sockets are cut.
    pub fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.state.fanout.cut();
        self.public.kill();
        for port in [&self.backend, &self.admin].into_iter().flatten() {
            port.kill();
        }
        self.stop.cancel();
        self.background.abort_all();
    }
}

impl Drop for GatewayHandle {
    fn drop(&mut self) {
        self.end();
    }
}
