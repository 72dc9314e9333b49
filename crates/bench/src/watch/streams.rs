//! WatchStatus streams, one for each client, and what each was told last.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use bookingq_core::{ClientId, QueueName};
use bookingq_crowd::latency::Latency;
use bookingq_proto::v1;
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::truth::Truth;
use crate::grpc::{Channels, plainly};

/// Streams that are being opened at once.
const OPENING: usize = 256;
/// Longest wait until all are open.
const LIMIT: Duration = Duration::from_secs(180);

/// Open streams. They end when dropped.
pub struct Streams {
    shown: Arc<Shown>,
    _reading: JoinSet<()>,
}

/// What clients were told last.
struct Shown {
    /// By queue number, from 1 on: the position, 0 before anything is known.
    positions: Vec<AtomicU64>,
    /// By queue number: the number in the client's name.
    clients: Vec<AtomicU64>,
    told: AtomicU64,
    /// The first stream that broke, and why.
    broken: Mutex<Option<String>>,
}

impl Streams {
    /// Opens one for each client from 0 on, all of whom have the first queue numbers of their queue.
    /// Returns when each was told something.
    pub async fn open(channels: &Channels, queue: &QueueName, clients: u64) -> Result<Self> {
        let numbers = || (0..=clients).map(|_| AtomicU64::new(0)).collect();
        let shown = Arc::new(Shown {
            positions: numbers(),
            clients: numbers(),
            told: AtomicU64::new(0),
            broken: Mutex::default(),
        });
        let opening = Arc::new(Semaphore::new(OPENING));
        let mut reading = JoinSet::new();
        for number in 0..clients {
            let permit = Arc::clone(&opening).acquire_owned().await?;
            let (client, shown, queue) =
                (channels.client(number as usize), Arc::clone(&shown), queue.to_string());
            reading.spawn(async move {
                if let Err(error) = watch(client, queue, number, &shown, permit).await {
                    shown.broken.lock().get_or_insert_with(|| format!("{error:#}"));
                }
            });
        }
        let start = Instant::now();
        let known =
            || shown.positions.iter().skip(1).all(|position| position.load(Ordering::Relaxed) > 0);
        while !known() {
            if let Some(error) = &*shown.broken.lock() {
                anyhow::bail!("a stream broke: {error}");
            }
            ensure!(
                start.elapsed() < LIMIT,
                "not all streams were told something within {LIMIT:?}"
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(Self { shown, _reading: reading })
    }

    /// Messages that came so far.
    pub fn told(&self) -> u64 {
        self.shown.told.load(Ordering::Relaxed)
    }

    /// Whose queue number it is.
    pub fn client(&self, number: u64) -> Result<ClientId> {
        let number = self.shown.clients.get(number as usize).context("a number of nobody")?;
        Ok(ClientId::new(&format!("client-{}", number.load(Ordering::Relaxed)))?)
    }

    /// How old everybody's position is now, by where they stand: `ages[n]` is of those up to
    /// `ends[n]` places from the front.
    pub fn look(&self, truth: &Truth, ends: &[u64; 3], ages: &mut [Latency; 3]) {
        let left = truth.left();
        for (number, told) in self.shown.positions.iter().enumerate().skip(1 + left as usize) {
            let number = number as u64;
            let Some(age) = truth.age(number, told.load(Ordering::Relaxed), Instant::now()) else {
                continue;
            };
            if let Some(group) = ends.iter().position(|end| number - left <= *end) {
                ages[group].record(age);
            }
        }
    }
}

async fn watch(
    mut client: crate::grpc::Client,
    queue: String,
    number: u64,
    shown: &Shown,
    opening: tokio::sync::OwnedSemaphorePermit,
) -> Result<()> {
    let request = v1::WatchStatusRequest { queue, client_id: format!("client-{number}") };
    let mut stream =
        client.watch_status(request).await.map_err(|status| plainly(&status))?.into_inner();
    let mut opening = Some(opening);
    while let Some(update) = stream.message().await.map_err(|status| plainly(&status))? {
        let booking = update.booking.context("an update without a booking")?;
        let at = booking.queue_number as usize;
        let (position, name) = (shown.positions.get(at), shown.clients.get(at));
        position.context("a number beyond the clients")?.store(booking.position, Ordering::Relaxed);
        name.context("a number beyond the clients")?.store(number, Ordering::Relaxed);
        shown.told.fetch_add(1, Ordering::Relaxed);
        opening.take();
    }
    Ok(())
}
