//! What a worker and a sweeper have in common: the store and its monitor, metrics, admin port, and
//! the executor of tasks.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use bookingq_core::backoff::RetryPolicy;
use bookingq_follow::FollowedQueue;
use bookingq_serve::{AdminPort, Readiness, ServeError};
use bookingq_store::Store;
use bookingq_store::group::GroupCommit;
use tokio::task::JoinSet;
use tracing::error;

use crate::WorkerError;
use crate::config::Downstream;
use crate::downstream::booking::BookingClient;
use crate::downstream::ticket::TicketClient;
use crate::metrics::WorkerMetrics;
use crate::processing::renewals::renew_leases;
use crate::processing::{Executor, ExecutorConfig};
use crate::store_monitor::monitor;

/// The running parts. Dropped, all of them end.
pub(crate) struct Runtime {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) group: GroupCommit,
    pub(crate) metrics: Arc<WorkerMetrics>,
    /// Ready once the store has been opened.
    pub(crate) readiness: Arc<Readiness>,
    /// The queue as this process follows it.
    pub(crate) queue: Arc<FollowedQueue>,
    /// Set when the store has lost data: everything derived from it must be read again.
    pub(crate) resync: Arc<AtomicBool>,
    /// The admin port, if there is one.
    pub(crate) admin: Option<SocketAddr>,
    pub(crate) background: JoinSet<()>,
}

/// How tasks are executed.
pub(crate) struct TaskConfig<'a> {
    pub(crate) booking: &'a Downstream,
    pub(crate) ticket: Option<&'a Downstream>,
    pub(crate) lease: Duration,
    pub(crate) hold: Duration,
    pub(crate) retry: RetryPolicy,
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
            resync: Arc::default(),
            admin: None,
            background: JoinSet::new(),
        };
        runtime.background.spawn(monitor(
            Arc::clone(&runtime.store),
            Arc::clone(&runtime.queue),
            Arc::clone(&runtime.resync),
            Arc::clone(&runtime.metrics),
        ));
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
    pub(crate) fn executor(
        &mut self,
        config: &TaskConfig<'_>,
    ) -> Result<Arc<Executor>, WorkerError> {
        let queue = || self.store.queue().clone();
        let booking = BookingClient::new(queue(), config.booking)?;
        let ticket = config.ticket.map(|ticket| TicketClient::new(queue(), ticket)).transpose()?;
        let executor = Executor::new(
            ExecutorConfig { hold: config.hold, retry: config.retry },
            self.group.clone(),
            booking,
            ticket,
            Arc::clone(&self.metrics),
        );
        self.background.spawn(renew_leases(Arc::clone(&executor), config.lease));
        Ok(executor)
    }
}
