//! WatchStatus streams, one for each client, with the last position that each received.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use bookingq_core::{ClientId, QueueName, Timestamp};
use bookingq_crowd::latency::Latency;
use bookingq_proto::v1;
use bookingq_sim::ledger::now;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

use super::truth::Truth;
use crate::grpc::{LoadChannels, LoadClient, short_error};

/// Streams that are being opened at once.
const OPENING: usize = 256;
/// Longest wait until all are open.
const LIMIT: Duration = Duration::from_secs(180);

/// Open streams. They end when dropped.
pub struct Streams {
    shown: Arc<ShownPositions>,
    _reading: JoinSet<()>,
}

/// The last positions that clients received.
struct ShownPositions {
    /// By queue number, from 1 on: the position (0: none yet), and the client's number.
    positions: Vec<(AtomicU64, AtomicU64)>,
    /// By queue number: when the item was first shown as sold out, in milliseconds; 0: not yet.
    sold_out: Vec<AtomicU64>,
    messages: AtomicU64,
    /// Why the first stream broke.
    broken: Mutex<Option<String>>,
}

impl Streams {
    /// Opens one for each client from 0 on; together they have the first queue numbers of the
    /// queue. Returns when each has received a position.
    pub async fn open(channels: &LoadChannels, queue: &QueueName, clients: u64) -> Result<Self> {
        let shown = Arc::new(ShownPositions {
            positions: (0..=clients).map(|_| Default::default()).collect(),
            sold_out: (0..=clients).map(|_| AtomicU64::default()).collect(),
            messages: AtomicU64::new(0),
            broken: Mutex::default(),
        });
        let opening = Arc::new(Semaphore::new(OPENING));
        let mut reading = JoinSet::new();
        for number in 0..clients {
            let permit = Arc::clone(&opening).acquire_owned().await?;
            let (client, shown) = (channels.client(number as usize), Arc::clone(&shown));
            let queue = queue.to_string();
            reading.spawn(async move {
                if let Err(error) = watch(client, queue, number, &shown, permit).await {
                    shown.broken.lock().get_or_insert_with(|| format!("{error:#}"));
                }
            });
        }
        let start = Instant::now();
        while shown.positions.iter().skip(1).any(|(position, _)| position.load(Relaxed) == 0) {
            shown.check()?;
            ensure!(start.elapsed() < LIMIT, "a stream received no position within {LIMIT:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(Self { shown, _reading: reading })
    }
    /// Fails if a stream broke.
    pub fn check(&self) -> Result<()> {
        self.shown.check()
    }
    pub fn messages(&self) -> u64 {
        self.shown.messages.load(Relaxed)
    }
    pub fn client(&self, number: u64) -> Result<ClientId> {
        let (_, client) =
            self.shown.positions.get(number as usize).context("an unknown queue number")?;
        Ok(ClientId::new(&format!("client-{}", client.load(Relaxed)))?)
    }

    /// The time from `closed` on until each client that knows knew that the item is sold out.
    pub fn known_as_sold_out(&self, closed: Timestamp) -> Latency {
        let mut latency = Latency::new();
        for at in self.shown.sold_out.iter().map(|at| at.load(Relaxed)).filter(|at| *at > 0) {
            latency.record(Timestamp(at).since(closed));
        }
        latency
    }

    /// Records how old each position is now: `ages[n]` for clients up to `ends[n]` places from the
    /// front.
    pub fn look(&self, truth: &Truth, ends: &[u64; 3], ages: &mut [Latency; 3]) {
        let left = truth.left();
        for (number, (shown, _)) in (0..).zip(&self.shown.positions).skip(1 + left as usize) {
            let age = truth.age(number, shown.load(Relaxed), Instant::now());
            let group = ends.iter().position(|end| number - left <= *end);
            if let (Some(age), Some(group)) = (age, group) {
                ages[group].record(age);
            }
        }
    }
}

impl ShownPositions {
    fn check(&self) -> Result<()> {
        match &*self.broken.lock() {
            Some(error) => bail!("a stream broke: {error}"),
            None => Ok(()),
        }
    }
}

async fn watch(
    mut client: LoadClient,
    queue: String,
    number: u64,
    shown: &ShownPositions,
    opening: OwnedSemaphorePermit,
) -> Result<()> {
    let request = v1::WatchStatusRequest { queue, client_id: format!("client-{number}") };
    let stream = client.watch_status(request).await.map_err(|status| short_error(&status))?;
    let mut stream = stream.into_inner();
    let mut opening = Some(opening);
    while let Some(update) = stream.message().await.map_err(|status| short_error(&status))? {
        let booking = update.booking.context("an update without a booking")?;
        let seen = shown.positions.get(booking.queue_number as usize);
        let (position, client) = seen.context("a queue number beyond the clients")?;
        position.store(booking.position, Relaxed);
        client.store(number, Relaxed);
        if booking.item_status.is_some() {
            let sold_out = &shown.sold_out[booking.queue_number as usize];
            let _ = sold_out.compare_exchange(0, now().0, Relaxed, Relaxed);
        }
        shown.messages.fetch_add(1, Relaxed);
        opening.take();
    }
    Ok(())
}
