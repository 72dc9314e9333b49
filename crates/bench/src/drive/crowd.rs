//! Clients that come one after another, each with one booking.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use bookingq_core::{BookingId, ClientId, Details, RequestId};
use bookingq_store::group::GroupCommit;
use bookingq_store::{Enqueue, Enqueued, Store};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::{Args, Batching};

/// Digits of the moment in a payload.
const MOMENT: usize = 20;
/// Bytes of a payload.
const PAYLOAD: usize = 64;

/// Where clients enqueue.
#[derive(Clone)]
pub struct Door {
    store: Arc<dyn Store>,
    group: GroupCommit,
    batching: Batching,
    /// Clients so far: each is a new one.
    clients: Arc<AtomicUsize>,
}

impl Door {
    /// Of this store.
    pub fn new(store: &Arc<dyn Store>, args: &Args) -> Self {
        let group = GroupCommit::new(Arc::clone(store));
        // Another process may have added bookings already: its clients are not ours.
        let first = Arc::new(AtomicUsize::new(std::process::id() as usize * 100_000_000));
        Self { store: Arc::clone(store), group, batching: args.batching, clients: first }
    }

    /// One client, who wanted to come `due` after the start.
    pub async fn enqueue(&self, due: Duration) -> Result<()> {
        let one = self.booking(due)?;
        let answer = match self.batching {
            Batching::Grouped => self.group.enqueue(one).await??,
            Batching::Single => only(self.store.enqueue(vec![one]).await?)??,
        };
        new(&answer)
    }

    /// `count` clients in one call.
    pub async fn enqueue_bulk(&self, count: usize) -> Result<()> {
        let batch = (0..count).map(|_| self.booking(Duration::ZERO)).collect::<Result<_>>()?;
        self.store.enqueue(batch).await?.into_iter().try_for_each(|answer| new(&answer?))
    }

    /// `count` clients, as many at once as the flags say, each as soon as there is `room`.
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
            let (door, left, room, bulk) =
                (self.clone(), Arc::clone(&left), room.clone(), args.bulk);
            lanes.spawn(async move {
                while let Some(size) = take(&left, bulk.max(1)) {
                    if let Some(room) = &room {
                        room.acquire().await?.forget();
                    }
                    match bulk {
                        0 => door.enqueue(start.elapsed()).await?,
                        _ => door.enqueue_bulk(size).await?,
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

    fn booking(&self, due: Duration) -> Result<Enqueue> {
        let number = self.clients.fetch_add(1, Ordering::Relaxed);
        let payload = format!("{:0MOMENT$}{:x<2$}", due.as_nanos(), "", PAYLOAD - MOMENT);
        Ok(Enqueue {
            client: ClientId::new(&format!("client-{number}"))?,
            request: RequestId::new(&format!("request-{number}"))?,
            booking: BookingId::generate(),
            details: Details::new("stalls", 1, payload.as_bytes())?,
            trace: None,
        })
    }
}

/// When the client of this payload wanted to come, after the start.
pub fn due(payload: &[u8]) -> Result<Duration> {
    let digits = payload.get(..MOMENT).unwrap_or_default();
    Ok(Duration::from_nanos(std::str::from_utf8(digits)?.parse()?))
}

/// The answer to a call with one item.
pub fn only<T>(answers: Vec<T>) -> Result<T> {
    let count = answers.len();
    let mut answers = answers.into_iter();
    let answer = answers.next().filter(|_| count == 1);
    answer.ok_or_else(|| anyhow::anyhow!("{count} answers to one call"))
}

fn new(answer: &Enqueued) -> Result<()> {
    ensure!(!answer.existing, "a new client had a booking already");
    Ok(())
}

/// Up to `size` of what is left; `None` when nothing is.
fn take(left: &AtomicUsize, size: usize) -> Option<usize> {
    let rest = |left: usize| (left > 0).then(|| left.saturating_sub(size));
    let before = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, rest).ok()?;
    Some(before.min(size))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use bookingq_store::StoreConfig;

    use super::*;

    #[test]
    fn what_is_left_is_taken_once() {
        let left = AtomicUsize::new(5);
        assert_eq!([(); 4].map(|()| take(&left, 2)), [Some(2), Some(2), Some(1), None]);
    }

    #[tokio::test]
    async fn a_payload_is_64_bytes_and_says_when_it_was_due() {
        let queue = bookingq_core::QueueName::new("q").unwrap();
        let store: Arc<dyn Store> = bookingq_store::open(StoreConfig::memory(queue)).unwrap();
        let door = Door {
            group: GroupCommit::new(Arc::clone(&store)),
            store,
            batching: Batching::Single,
            clients: Arc::default(),
        };
        let booking = door.booking(Duration::from_micros(1_234_567)).unwrap();
        let payload = &booking.details.payload;
        assert_eq!(payload.len(), 64);
        assert_eq!(due(payload).unwrap(), Duration::from_micros(1_234_567));
        assert!(due(b"short").is_err());
    }
}
