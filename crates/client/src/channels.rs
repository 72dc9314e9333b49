//! The channel pool: shared connections to every worker there is, for workers that come and go.

use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;

use bookingq_proto::v1::booking_worker_service_client::BookingWorkerServiceClient;
use tokio::sync::{Semaphore, SemaphorePermit, watch};
use tokio::time::{Instant, interval_at};
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::transport::{Channel, ClientTlsConfig, Endpoint, Uri};

/// The generated client, bound to one connection.
pub(crate) type GrpcClient = BookingWorkerServiceClient<Channel>;

/// Watches planned for one connection: far below the number of streams that a worker allows on a
/// connection, because a stream beyond that limit would wait without an error.
const WATCHES_PER_CHANNEL: usize = 1000;
const MAX_WATCH_CHANNELS: usize = 64;
const CONNECT: Duration = Duration::from_secs(2);
const KEEP_ALIVE: Duration = Duration::from_secs(10);
pub(crate) const NEVER: Duration = Duration::from_secs(365 * 24 * 3600);

/// How to connect to workers.
#[derive(Debug, Clone)]
pub struct ChannelConfig {
    /// TLS with the name in the workers' certificates; plain text if absent.
    pub tls: Option<ClientTlsConfig>,
    /// Sent as `:authority` instead of the worker's address, for proxies that route by host.
    pub origin: Option<Uri>,
    /// Replace all connections after this time. Behind one address that stands for many workers, a
    /// connection stays with one of them, and new workers would get no share. Open watches keep
    /// their connection.
    pub renewal: Option<Duration>,
    /// Connections to each worker for unary calls.
    pub connections: usize,
    /// Watches expected at the same time. They have connections of their own, one for each 1,000,
    /// so that a payment never queues behind them.
    pub watches: usize,
    /// Unary calls in flight at most, over all clients of the pool. Without this limit, calls that
    /// time out in the queue of an overloaded worker would be retried until they are all the load.
    pub calls_at_once: usize,
}

impl Default for ChannelConfig {
    fn default() -> Self {
        let calls_at_once = Semaphore::MAX_PERMITS;
        Self { tls: None, origin: None, renewal: None, connections: 1, watches: 1, calls_at_once }
    }
}

impl ChannelConfig {
    fn endpoint(&self, address: SocketAddr) -> Result<Endpoint, tonic::transport::Error> {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let mut endpoint = Endpoint::from_shared(format!("{scheme}://{address}"))?
            .connect_timeout(CONNECT)
            .http2_keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(KEEP_ALIVE / 2)
            .tcp_nodelay(true);
        if let Some(origin) = &self.origin {
            endpoint = endpoint.origin(origin.clone());
        }
        match &self.tls {
            Some(tls) => endpoint.tls_config(tls.clone()),
            None => Ok(endpoint),
        }
    }

    fn watch_channels(&self) -> usize {
        self.watches.div_ceil(WATCHES_PER_CHANNEL).clamp(1, MAX_WATCH_CHANNELS)
    }
}

/// What a channel is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ChannelUse {
    Call,
    Watch,
}

/// The connections to one worker, made at their first use.
#[derive(Debug)]
struct WorkerChannels {
    address: SocketAddr,
    calls: Vec<GrpcClient>,
    watches: Vec<GrpcClient>,
}

impl WorkerChannels {
    fn new(address: SocketAddr, config: &ChannelConfig) -> Option<Self> {
        let endpoint = config.endpoint(address);
        let endpoint = endpoint
            .inspect_err(|error| tracing::error!(%address, %error, "cannot connect to the worker"))
            .ok()?;
        let channels =
            |count| (0..count).map(|_| GrpcClient::new(endpoint.connect_lazy())).collect();
        let (calls, watches) =
            (channels(config.connections.max(1)), channels(config.watch_channels()));
        Some(Self { address, calls, watches })
    }
}

/// Connections to all current workers, shared by any number of clients.
#[derive(Debug)]
pub struct ChannelPool {
    workers: watch::Sender<Vec<Arc<WorkerChannels>>>,
    config: ChannelConfig,
    permits: Semaphore,
    /// Ends the task that follows the addresses.
    _stop: DropGuard,
}

impl ChannelPool {
    /// Follows `addresses`, the workers' gRPC addresses, until the pool is dropped. They may change
    /// at any time and may be empty for a while; when the sender is gone, the last ones stay.
    /// Nothing is connected before the first call.
    pub fn new(config: ChannelConfig, addresses: watch::Receiver<Vec<SocketAddr>>) -> Arc<Self> {
        let stop = CancellationToken::new();
        let permits = Semaphore::new(config.calls_at_once.max(1));
        let renewal = config.renewal.unwrap_or(NEVER).max(CONNECT);
        let pool = Arc::new(Self {
            workers: watch::Sender::default(),
            config,
            permits,
            _stop: stop.clone().drop_guard(),
        });
        let current = addresses.borrow().clone();
        pool.replace(&current, &[]);
        let task = follow(Arc::downgrade(&pool), addresses, renewal);
        tokio::spawn(stop.run_until_cancelled_owned(task));
        pool
    }

    /// The number of current workers.
    pub(crate) fn len(&self) -> usize {
        self.workers.borrow().len()
    }

    /// The channel of this `turn`, with the permit to use it until the call ends: consecutive turns
    /// go to different workers first, and then to their next connections. Waits while too many
    /// calls are in flight, or while there is no worker.
    pub(crate) async fn pick(
        &self,
        turn: usize,
        for_use: ChannelUse,
    ) -> (GrpcClient, Option<SemaphorePermit<'_>>) {
        // The semaphore is never closed.
        let permit = self.permits.acquire().await.ok();
        loop {
            let mut workers = self.workers.subscribe();
            if let Some(channel) = self.try_pick(turn, for_use) {
                return (channel, permit);
            }
            // The sender lives as long as this pool.
            let _ = workers.changed().await;
        }
    }

    fn try_pick(&self, turn: usize, for_use: ChannelUse) -> Option<GrpcClient> {
        let workers = self.workers.borrow();
        let worker = workers.get(turn.checked_rem(workers.len())?)?;
        let channels = match for_use {
            ChannelUse::Call => &worker.calls,
            ChannelUse::Watch => &worker.watches,
        };
        channels.get((turn / workers.len()) % channels.len()).cloned()
    }

    /// Takes over the channels of workers that are `known` and connects to the others.
    fn replace(&self, addresses: &[SocketAddr], known: &[Arc<WorkerChannels>]) {
        let known = |address| known.iter().find(|worker| worker.address == address).cloned();
        let new = |address| WorkerChannels::new(address, &self.config).map(Arc::new);
        let workers = addresses
            .iter()
            .filter_map(|&address| known(address).or_else(|| new(address)))
            .collect();
        self.workers.send_replace(workers);
    }
}

async fn follow(
    pool: Weak<ChannelPool>,
    mut addresses: watch::Receiver<Vec<SocketAddr>>,
    renewal: Duration,
) {
    let mut renewals = interval_at(Instant::now() + renewal, renewal);
    loop {
        let renew = tokio::select! {
            // Disabled once the sender is gone.
            Ok(()) = addresses.changed() => false,
            _ = renewals.tick() => true,
        };
        let Some(pool) = pool.upgrade() else { return };
        let current = addresses.borrow_and_update().clone();
        let known = if renew { Vec::new() } else { pool.workers.borrow().clone() };
        pool.replace(&current, &known);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn addresses<const N: usize>(ports: [u16; N]) -> Vec<SocketAddr> {
        ports.map(|port| SocketAddr::from(([127, 0, 0, 1], port))).to_vec()
    }

    #[tokio::test(start_paused = true)]
    async fn a_worker_that_stays_keeps_its_channels() {
        let (sender, receiver) = watch::channel(Vec::new());
        let pool = ChannelPool::new(ChannelConfig::default(), receiver);
        assert!(pool.try_pick(3, ChannelUse::Call).is_none());
        sender.send_replace(addresses([1, 2]));
        tokio::time::sleep(CONNECT).await;
        let kept = pool.workers.borrow()[1].clone();
        assert!((0..20).all(|turn| pool.try_pick(turn, ChannelUse::Watch).is_some()));
        sender.send_replace(addresses([2]));
        tokio::time::sleep(CONNECT).await;
        assert!(Arc::ptr_eq(&kept, &pool.workers.borrow()[0]));
        sender.send_replace(Vec::new());
        tokio::time::sleep(CONNECT).await;
        assert!(pool.try_pick(0, ChannelUse::Watch).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn connections_are_replaced_after_the_renewal_time_even_if_the_sender_is_gone() {
        let renewal = Some(Duration::from_secs(30));
        let (sender, receiver) = watch::channel(addresses([1]));
        let pool = ChannelPool::new(ChannelConfig { renewal, ..Default::default() }, receiver);
        drop(sender);
        let first = || pool.workers.borrow().first().cloned().unwrap();
        let young = first();
        tokio::time::sleep(Duration::from_secs(29)).await;
        assert!(Arc::ptr_eq(&young, &first()));
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert!(!Arc::ptr_eq(&young, &first()));
    }
}
