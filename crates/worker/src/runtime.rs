//! What a worker and a sweeper have in common: the store and its monitor, metrics, admin port, and
//! the executor of tasks.

use std::net::SocketAddr;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};

use bookingq_follow::FollowedQueue;
use bookingq_serve::{AdminPort, Readiness, ServeError};
use bookingq_store::Store;
use bookingq_store::group::GroupCommit;
use tokio::task::JoinSet;
use tracing::error;

use crate::WorkerError;
use crate::config::TaskConfig;
use crate::metrics::WorkerMetrics;
use crate::notifier_hold::NotifierHold;
use crate::processing::Executor;
use crate::processing::renewals::renew_leases;
use crate::store_monitor::StoreMonitor;
use crate::store_readings::StoreReadings;

/// The running parts. Dropped, all of them end.
pub(crate) struct Runtime {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) group: GroupCommit,
    pub(crate) metrics: Arc<WorkerMetrics>,
    /// Ready once the store has been opened.
    pub(crate) readiness: Arc<Readiness>,
    /// The queue as this process follows it.
    pub(crate) queue: Arc<FollowedQueue>,
    /// The data that the store has, and its clock.
    pub(crate) readings: Arc<StoreReadings>,
    /// Whether this process has the notifier lease.
    pub(crate) notifier: Arc<NotifierHold>,
    /// Set when the store has lost data: everything derived from it must be read again.
    pub(crate) resync: Arc<AtomicBool>,
    /// What executes tasks, once there is one.
    executor: Arc<OnceLock<Arc<Executor>>>,
    /// The admin port, if there is one.
    pub(crate) admin: Option<SocketAddr>,
    pub(crate) background: JoinSet<()>,
}

impl Runtime {
    /// Binds the admin port and starts to monitor the store. `id` labels the metrics.
    ///
    /// # Errors
    /// When the admin port cannot be bound.
    pub(crate) async fn start(
        id: &str,
        admin: Option<SocketAddr>,
        store: Arc<dyn Store>,
    ) -> Result<Self, ServeError> {
        let metrics = WorkerMetrics::new(store.queue().as_str(), id)?;
        let mut runtime = Self {
            group: GroupCommit::new(Arc::clone(&store)),
            store,
            metrics,
            readiness: Readiness::pending("the store has not been reached yet"),
            queue: FollowedQueue::new(),
            readings: Arc::default(),
            notifier: Arc::default(),
            resync: Arc::default(),
            executor: Arc::default(),
            admin: None,
            background: JoinSet::new(),
        };
        let monitor = StoreMonitor {
            store: Arc::clone(&runtime.store),
            queue: Arc::clone(&runtime.queue),
            readings: Arc::clone(&runtime.readings),
            resync: Arc::clone(&runtime.resync),
            metrics: Arc::clone(&runtime.metrics),
            executor: Arc::clone(&runtime.executor),
        };
        runtime.background.spawn(monitor.run());
        if let Some(address) = admin {
            let port = AdminPort::bind(address).await?;
            runtime.admin = Some(port.address());
            let serve = port.serve(runtime.metrics.registry(), Arc::clone(&runtime.readiness));
            runtime.background.spawn(async move {
                if let Err(error) = serve.await {
                    error!(%error, "probes and metrics are not served any more");
                }
            });
        }
        Ok(runtime)
    }

    /// An executor whose leases are renewed.
    ///
    /// # Errors
    /// When an endpoint or TLS file cannot be used.
    pub(crate) fn executor(&mut self, config: &TaskConfig) -> Result<Arc<Executor>, WorkerError> {
        let (store, metrics) = (self.group.clone(), Arc::clone(&self.metrics));
        let executor = Arc::new(Executor::new(config, store, metrics)?);
        self.background.spawn(renew_leases(Arc::clone(&executor), config.lease));
        self.executor.get_or_init(|| Arc::clone(&executor));
        Ok(executor)
    }
}
