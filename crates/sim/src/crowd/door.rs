//! The way in: shared channels to workers that come and go.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bookingq_proto::v1::booking_worker_service_client::BookingWorkerServiceClient;
use parking_lot::RwLock;
use tokio::sync::{Semaphore, SemaphorePermit, watch};
use tonic::transport::{Channel, Endpoint};

/// A client of one worker.
pub(super) type WorkerClient = BookingWorkerServiceClient<Channel>;

/// Channels for calls to each worker.
const CALL_CHANNELS: usize = 4;
/// Watches meant for one channel: far below the number of streams a worker allows on a connection, because a stream that
/// is too many would wait in silence.
const WATCHES_PER_CHANNEL: usize = 1000;
const MOST_WATCH_CHANNELS: usize = 64;
const CONNECT: Duration = Duration::from_secs(2);
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// What a channel is for. Watches have their own, so that a payment never waits behind them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
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
    fn new(address: SocketAddr, watch_channels: usize) -> Option<Self> {
        let endpoint = Endpoint::from_shared(format!("http://{address}")).ok()?;
        let endpoint = endpoint
            .connect_timeout(CONNECT)
            .http2_keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(KEEP_ALIVE / 2)
            .tcp_nodelay(true);
        let channels = |count| (0..count).map(|_| WorkerClient::new(endpoint.connect_lazy())).collect();
        Some(Self { address, calls: channels(CALL_CHANNELS), watches: channels(watch_channels) })
    }
}

/// All workers there are just now.
#[derive(Debug)]
pub(super) struct Door {
    workers: RwLock<Vec<Arc<Worker>>>,
    watch_channels: usize,
    turns: Semaphore,
}

impl Door {
    /// For a crowd of so many, of which so many may call at once.
    pub(super) fn new(clients: u32, calls_at_once: usize) -> Self {
        let watch_channels = (clients as usize).div_ceil(WATCHES_PER_CHANNEL).clamp(1, MOST_WATCH_CHANNELS);
        Self { workers: RwLock::default(), watch_channels, turns: Semaphore::new(calls_at_once.max(1)) }
    }

    /// Waits for a turn to send a call; it is given back when the answer drops it.
    pub(super) async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        // The semaphore is never closed.
        self.turns.acquire().await.ok()
    }

    /// A channel; different for different `turn`s, worker first. `None` while there is no worker.
    pub(super) fn pick(&self, turn: usize, r#use: Use) -> Option<WorkerClient> {
        let workers = self.workers.read();
        let worker = workers.get(turn.checked_rem(workers.len())?)?;
        let channels = match r#use {
            Use::Call => &worker.calls,
            Use::Watch => &worker.watches,
        };
        channels.get((turn / workers.len()) % channels.len()).cloned()
    }

    /// Follows the list of workers for ever. Channels to workers that stay are kept.
    pub(super) async fn follow(&self, mut endpoints: watch::Receiver<Vec<SocketAddr>>) {
        loop {
            let addresses = endpoints.borrow_and_update().clone();
            self.set(&addresses);
            if endpoints.changed().await.is_err() {
                // Nobody will tell of workers any more: those there are stay.
                return std::future::pending().await;
            }
        }
    }

    fn set(&self, addresses: &[SocketAddr]) {
        let before = self.workers.read().clone();
        let known = |address| before.iter().find(|worker| worker.address == address).cloned();
        let workers = addresses.iter().filter_map(|&address| {
            known(address).or_else(|| Worker::new(address, self.watch_channels).map(Arc::new))
        });
        let workers = workers.collect();
        *self.workers.write() = workers;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn turns_go_around_workers_first_and_channels_next() {
        let door = Door::new(10, 1);
        assert!(door.pick(3, Use::Call).is_none());
        let addresses = [SocketAddr::from(([127, 0, 0, 1], 1)), SocketAddr::from(([127, 0, 0, 1], 2))];
        door.set(&addresses);
        let kept = door.workers.read()[1].clone();
        assert!((0..20).all(|turn| door.pick(turn, Use::Watch).is_some()));
        door.set(&addresses[1..]);
        assert!(Arc::ptr_eq(&kept, &door.workers.read()[0]), "a worker that stays keeps its channels");
        door.set(&[]);
        assert!(door.pick(0, Use::Watch).is_none());
    }
}
