//! Shared channels to workers that come and go.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bookingq_proto::v1::booking_worker_service_client::BookingWorkerServiceClient;
use tokio::sync::{Semaphore, SemaphorePermit, watch};
use tokio::time::{Instant, interval_at};
use tonic::transport::{Channel, ClientTlsConfig, Endpoint};

/// A client of one worker.
pub type WorkerClient = BookingWorkerServiceClient<Channel>;

/// Channels for calls to each worker.
const CALL_CHANNELS: usize = 4;
/// Watches for each channel: far below the number of streams that a worker allows on a connection,
/// because one stream too many would wait in silence.
const WATCHES_PER_CHANNEL: usize = 1000;
const MOST_WATCH_CHANNELS: usize = 64;
const CONNECT: Duration = Duration::from_secs(2);
const KEEP_ALIVE: Duration = Duration::from_secs(10);

const NEVER: Duration = Duration::from_secs(365 * 24 * 3600);

/// How the crowd connects.
#[derive(Debug, Clone, Default)]
pub struct Connecting {
    /// TLS, with the name in the workers' certificates; plain text without it.
    pub tls: Option<ClientTlsConfig>,
    /// New calls and watches use new connections after this time. Behind an address that stands
    /// for many workers a connection stays with one of them, and new workers would get no share.
    /// Open watches stay where they are.
    pub renewal: Option<Duration>,
}

impl Connecting {
    fn endpoint(&self, address: SocketAddr) -> Result<Endpoint, tonic::transport::Error> {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let endpoint = Endpoint::from_shared(format!("{scheme}://{address}"))?
            .connect_timeout(CONNECT)
            .http2_keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(KEEP_ALIVE / 2)
            .tcp_nodelay(true);
        match &self.tls {
            Some(tls) => endpoint.tls_config(tls.clone()),
            None => Ok(endpoint),
        }
    }
}

/// What a channel is for. Watches have their own, so that a payment never waits behind them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    Call,
    Watch,
}

#[derive(Debug)]
struct Worker {
    address: SocketAddr,
    calls: Vec<WorkerClient>,
    watches: Vec<WorkerClient>,
}

impl Worker {
    fn new(address: SocketAddr, connecting: &Connecting, watch_channels: usize) -> Option<Self> {
        let endpoint = connecting.endpoint(address);
        let endpoint = endpoint
            .inspect_err(|error| tracing::error!(%address, %error, "no way to connect"))
            .ok()?;
        let channels =
            |count| (0..count).map(|_| WorkerClient::new(endpoint.connect_lazy())).collect();
        Some(Self { address, calls: channels(CALL_CHANNELS), watches: channels(watch_channels) })
    }
}

/// The present workers.
#[derive(Debug)]
pub struct Pool {
    workers: watch::Sender<Vec<Arc<Worker>>>,
    connecting: Connecting,
    watch_channels: usize,
    turns: Semaphore,
}

impl Pool {
    /// For `clients` clients that make at most `calls_at_once` calls at once.
    pub fn new(clients: u32, calls_at_once: usize, connecting: Connecting) -> Self {
        let watch_channels =
            (clients as usize).div_ceil(WATCHES_PER_CHANNEL).clamp(1, MOST_WATCH_CHANNELS);
        let turns = Semaphore::new(calls_at_once.max(1));
        Self { workers: watch::Sender::default(), connecting, watch_channels, turns }
    }

    /// Waits until another call may be sent. Drop the permit when the call has ended.
    pub async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        // The semaphore is never closed.
        self.turns.acquire().await.ok()
    }

    /// A channel; different for different `turn`s, worker first. Waits while there is no worker:
    /// that is no failed call, because nothing was sent.
    pub async fn pick(&self, turn: usize, r#use: Use) -> WorkerClient {
        let mut workers = self.workers.subscribe();
        loop {
            if let Some(channel) = self.try_pick(turn, r#use) {
                return channel;
            }
            // The sender lives as long as this pool.
            let _ = workers.changed().await;
        }
    }

    fn try_pick(&self, turn: usize, r#use: Use) -> Option<WorkerClient> {
        let workers = self.workers.borrow();
        let worker = workers.get(turn.checked_rem(workers.len())?)?;
        let channels = match r#use {
            Use::Call => &worker.calls,
            Use::Watch => &worker.watches,
        };
        channels.get((turn / workers.len()) % channels.len()).cloned()
    }

    /// Follows the list of workers without end. Workers that stay keep their channels until the
    /// next renewal.
    pub async fn follow(&self, mut endpoints: watch::Receiver<Vec<SocketAddr>>) {
        let renewal = self.connecting.renewal.unwrap_or(NEVER).max(CONNECT);
        let mut renewals = interval_at(Instant::now() + renewal, renewal);
        loop {
            let addresses = endpoints.borrow_and_update().clone();
            let known = self.workers.borrow().clone();
            self.set(&addresses, &known);
            tokio::select! {
                // When no more changes can come, the present workers stay.
                Ok(()) = endpoints.changed() => {}
                _ = renewals.tick() => self.set(&addresses, &[]),
            }
        }
    }

    /// Workers at `addresses`, with the channels of those that are `known`.
    fn set(&self, addresses: &[SocketAddr], known: &[Arc<Worker>]) {
        let known = |address| known.iter().find(|worker| worker.address == address).cloned();
        let new =
            |address| Worker::new(address, &self.connecting, self.watch_channels).map(Arc::new);
        let workers = addresses
            .iter()
            .filter_map(|&address| known(address).or_else(|| new(address)))
            .collect();
        self.workers.send_replace(workers);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test]
    async fn turns_go_around_workers_first_and_channels_next() {
        let pool = Pool::new(10, 1, Connecting::default());
        assert!(pool.try_pick(3, Use::Call).is_none());
        let addresses =
            [SocketAddr::from(([127, 0, 0, 1], 1)), SocketAddr::from(([127, 0, 0, 1], 2))];
        pool.set(&addresses, &[]);
        let kept = pool.workers.borrow()[1].clone();
        assert!((0..20).all(|turn| pool.try_pick(turn, Use::Watch).is_some()));
        let known = pool.workers.borrow().clone();
        pool.set(&addresses[1..], &known);
        assert!(
            Arc::ptr_eq(&kept, &pool.workers.borrow()[0]),
            "a worker that stays keeps its channels"
        );
        pool.set(&[], &known);
        assert!(pool.try_pick(0, Use::Watch).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_arrives_before_the_first_worker_waits_for_it() {
        let pool = Pool::new(10, 1, Connecting::default());
        let second = Duration::from_secs(1);
        assert!(tokio::time::timeout(second, pool.pick(0, Use::Call)).await.is_err());
        let ready = async { pool.set(&[SocketAddr::from(([127, 0, 0, 1], 1))], &[]) };
        let (picked, ()) =
            tokio::join!(tokio::time::timeout(second, pool.pick(0, Use::Call)), ready);
        assert!(picked.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn connections_are_renewed_after_a_while() {
        let renewal = Some(Duration::from_secs(30));
        let pool = Pool::new(10, 1, Connecting { renewal, ..Connecting::default() });
        let (_sender, endpoints) = watch::channel(vec![SocketAddr::from(([127, 0, 0, 1], 1))]);
        let first = || pool.workers.borrow().first().cloned();
        let aged = async |seconds| {
            let following = pool.follow(endpoints.clone());
            tokio::time::timeout(Duration::from_secs(seconds), following).await.unwrap_err();
            first().unwrap()
        };
        let young = aged(29).await;
        assert!(Arc::ptr_eq(&young, &aged(29).await));
        assert!(!Arc::ptr_eq(&young, &aged(31).await));
    }
}
