//! A worker with a simulated Booking Service that answers at once, all in this process.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use bookingq_core::{Admission, BookingState, EventSeq, OutboxEvent, QueueName};
use bookingq_crowd::latency::Latency;
use bookingq_proto::v1;
use bookingq_sim::BookingSim;
use bookingq_sim::ledger::Ledger;
use bookingq_sim::spec::BookingSpec;
use bookingq_store::{RedisConfig, Store, StoreConfig};
use bookingq_worker::{Worker, WorkerConfig, WorkerHandle};
use tokio::runtime::Handle;
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;

use super::load::{GrpcLoad, LoadChannels, LoadClient, short_error};
use crate::bookings::fresh_queue;
const CONCURRENCY: usize = 64;
/// A run that takes longer has lost a booking.
const LIMIT: Duration = Duration::from_secs(300);

/// A worker of a new queue.
pub struct WorkerUnderTest {
    queue: QueueName,
    /// Another connection, for what the run observes.
    store: Arc<dyn Store>,
    handle: WorkerHandle,
    booking: BookingSim,
}

impl WorkerUnderTest {
    /// Starts it on the runtime of the servers and waits until it serves.
    pub async fn start(
        redis: &str,
        admission: Admission,
        stock: u64,
        servers: &Handle,
    ) -> Result<Self> {
        let queue = fresh_queue()?;
        let config = RedisConfig::new(redis, queue.clone()).into();
        Self::start_on(config, queue, admission, stock, servers).await
    }

    /// The same on a store of any kind.
    pub async fn start_on(
        config: StoreConfig,
        queue: QueueName,
        admission: Admission,
        stock: u64,
        servers: &Handle,
    ) -> Result<Self> {
        let store = bookingq_store::open(config.clone())?;
        store.open().await?;
        store.set_admission(admission).await?;
        let started = servers.spawn(async move {
            let listen = SocketAddr::from(([127, 0, 0, 1], 0));
            let booking =
                BookingSim::start(BookingSpec { stock, ..BookingSpec::default() }, listen).await?;
            let mut settings =
                WorkerConfig::new("bench", listen, format!("http://{}", booking.address()));
            settings.tasks.concurrency = CONCURRENCY;
            let handle = Worker::start(settings, bookingq_store::open(config)?).await?;
            anyhow::Ok((booking, handle))
        });
        let (booking, handle) = started.await??;
        Ok(Self { queue, store, handle, booking })
    }
    pub fn queue(&self) -> &QueueName {
        &self.queue
    }
    pub fn ledger(&self) -> impl std::ops::Deref<Target = Ledger> + '_ {
        self.booking.ledger()
    }
    pub fn address(&self) -> SocketAddr {
        self.handle.grpc_addr()
    }

    /// Takes `count` bookings through their life: enqueued over gRPC, reserved by the worker, paid
    /// over gRPC as soon as the outbox shows the hold, confirmed by the worker. Returns the latency
    /// of each payment.
    pub async fn whole_lives(&self, channels: &LoadChannels, count: u64) -> Result<GrpcLoad> {
        let before = self.store.latest_event().await?;
        let start = Instant::now();
        let (reserved, waiting) = mpsc::channel(4096);
        let mut lives = JoinSet::new();
        lives.spawn(announce_reserved(Arc::clone(&self.store), before, count, reserved));
        let waiting = Arc::new(Mutex::new(waiting));
        let mut payers = JoinSet::new();
        for turn in 0..channels.in_flight {
            payers.spawn(pay(channels.client(turn), self.queue.to_string(), Arc::clone(&waiting)));
        }
        let run = async {
            channels.enqueue(&self.queue, 0, count).await?;
            while let Some(announced) = lives.join_next().await {
                announced??;
            }
            let mut latency = Latency::new();
            while let Some(payer) = payers.join_next().await {
                latency.merge(&payer??);
            }
            anyhow::Ok(latency)
        };
        let latency = tokio::time::timeout(LIMIT, run)
            .await
            .context("a booking was not decided in time")??;
        let load = GrpcLoad { elapsed: start.elapsed(), latency };
        let sold = self.booking.ledger().totals();
        ensure!(sold.confirmed == count, "the Booking Service sold {} of {count}", sold.confirmed);
        Ok(load)
    }
    pub async fn stop(self) {
        self.handle.kill();
        self.booking.shutdown().await;
    }
}

/// Sends the client of each booking that the outbox shows as reserved.
async fn announce_reserved(
    store: Arc<dyn Store>,
    mut after: EventSeq,
    count: u64,
    reserved: mpsc::Sender<String>,
) -> Result<()> {
    let mut seen = 0;
    while seen < count {
        let events = store.events(after, 4096, Duration::from_secs(1)).await?;
        ensure!(!events.gap, "the outbox lost entries while it was read");
        after = events.next;
        for event in events.events.into_iter().filter_map(OutboxEvent::into_booking) {
            match event.to {
                BookingState::Reserved => {
                    seen += 1;
                    reserved.send(event.client.to_string()).await?;
                }
                state @ (BookingState::Releasing | BookingState::Failed) => {
                    bail!("the booking of {} is {state}", event.client)
                }
                _ => {}
            }
        }
    }
    Ok(())
}

/// Pays for one client after the other, until the sender is gone.
async fn pay(
    mut client: LoadClient,
    queue: String,
    waiting: Arc<Mutex<mpsc::Receiver<String>>>,
) -> Result<Latency> {
    let mut latency = Latency::new();
    loop {
        let next = waiting.lock().await.recv().await;
        let Some(client_id) = next else { return Ok(latency) };
        let payment_id = format!("payment-of-{client_id}");
        let request = v1::ConfirmPaymentRequest {
            queue: queue.clone(),
            client_id,
            booking_id: String::new(),
            payment_id,
            reacquire: false,
        };
        let start = Instant::now();
        client.confirm_payment(request).await.map_err(|status| short_error(&status))?;
        latency.record(start.elapsed());
    }
}
