//! Clients that enqueue one booking each.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use bookingq_store::{Enqueue, Store};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use super::calls::StoreCalls;
use super::options::{Args, Batching};
use crate::bookings::request;

/// Digits of the due time in a payload.
const DUE: usize = 20;
/// Bytes of a payload.
const PAYLOAD: usize = 64;

/// New clients, one after the other.
#[derive(Clone)]
pub struct Clients {
    calls: StoreCalls,
    /// The number of the next client.
    next: Arc<AtomicUsize>,
}

impl Clients {
    /// Of this store.
    pub fn new(store: Arc<dyn Store>, batching: Batching) -> Self {
        // Another process may have added bookings: its clients have other numbers.
        let first = std::process::id() as usize * 100_000_000;
        Self { calls: StoreCalls::new(store, batching), next: Arc::new(AtomicUsize::new(first)) }
    }

    /// The request of the next client, who is due at this time after the start.
    pub fn next(&self, due: Duration) -> Result<Enqueue> {
        let payload = format!("{:0DUE$}{:x<2$}", due.as_nanos(), "", PAYLOAD - DUE);
        request(self.next.fetch_add(1, Ordering::Relaxed), payload.as_bytes())
    }

    async fn enqueue(&self, due: Duration) -> Result<()> {
        self.calls.enqueue(self.next(due)?).await
    }

    async fn enqueue_bulk(&self, count: usize) -> Result<()> {
        let batch = (0..count).map(|_| self.next(Duration::ZERO)).collect::<Result<_>>()?;
        for answer in self.calls.store.enqueue(batch).await? {
            ensure!(!answer?.existing, "a new client had a booking already");
        }
        Ok(())
    }

    /// `count` clients with the calls in flight that the flags set, each as soon as there is
    /// `room`.
    pub async fn enqueue_all(
        &self,
        count: usize,
        args: &Args,
        start: Instant,
        room: Option<Arc<Semaphore>>,
    ) -> Result<()> {
        let left = Arc::new(AtomicUsize::new(count));
        let mut lanes = JoinSet::new();
        for _ in 0..args.in_flight {
            let (clients, left) = (self.clone(), Arc::clone(&left));
            let (room, bulk) = (room.clone(), args.bulk);
            lanes.spawn(async move {
                while let Some(size) = take(&left, bulk.max(1)) {
                    if let Some(room) = &room {
                        room.acquire().await?.forget();
                    }
                    match bulk {
                        0 => clients.enqueue(start.elapsed()).await?,
                        _ => clients.enqueue_bulk(size).await?,
                    }
                }
                anyhow::Ok(())
            });
        }
        while let Some(lane) = lanes.join_next().await {
            lane??;
        }
        Ok(())
    }

    /// `count` clients at `rate` a second, whether or not earlier calls have been answered.
    pub async fn offer(&self, count: usize, rate: f64, start: Instant) -> Result<()> {
        let mut tick = tokio::time::interval(Duration::from_millis(1));
        tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let (mut in_flight, mut sent) = (JoinSet::new(), 0);
        while sent < count {
            tick.tick().await;
            let now = start.elapsed();
            while sent < count {
                let due = Duration::from_secs_f64(sent as f64 / rate);
                if due > now {
                    break;
                }
                let clients = self.clone();
                in_flight.spawn(async move { clients.enqueue(due).await });
                sent += 1;
            }
            while let Some(added) = in_flight.try_join_next() {
                added??;
            }
        }
        while let Some(added) = in_flight.join_next().await {
            added??;
        }
        Ok(())
    }
}

/// The due time in a payload.
pub fn due(payload: &[u8]) -> Result<Duration> {
    let digits = payload.get(..DUE).unwrap_or_default();
    Ok(Duration::from_nanos(std::str::from_utf8(digits)?.parse()?))
}

/// Takes up to `size` of what is left; `None` when nothing is.
pub fn take(left: &AtomicUsize, size: usize) -> Option<usize> {
    let rest = |left: usize| (left > 0).then(|| left.saturating_sub(size));
    let before = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, rest).ok()?;
    Some(before.min(size))
}
