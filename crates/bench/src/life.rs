//! A booking's whole life through a store: enqueue, claim, settle as reserved, confirm, settle as
//! confirmed.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use bookingq_core::{
    BookingId, BookingState, ClientId, Details, PaymentId, QueueName, RequestId, ReservationId,
};
use bookingq_store::{
    Confirm, Confirmed, Enqueue, Scope, Settled, Settlement, Store, Task, TaskOutcome,
};
use tokio::task::JoinSet;

/// Calls under way at once. A worker has one of each kind: enqueue, claim, confirm, settle.
pub const LANES: u64 = 4;
/// Longer than any run.
const LEASE: Duration = Duration::from_secs(600);

/// A queue name that no other run of this process has: of usual length, since it is in every key.
pub fn fresh_queue() -> Result<QueueName> {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    Ok(QueueName::new(&format!("bench-{}", NEXT.fetch_add(1, Ordering::Relaxed)))?)
}

/// Takes `bookings` of them through their life, `batch` in each call; returns how long that took.
///
/// An error also when any booking does not go the whole way: figures of a store that errs mean
/// nothing.
pub async fn whole_lives(store: Arc<dyn Store>, bookings: u64, batch: u64) -> Result<Duration> {
    store.open().await?;
    let start = Instant::now();
    let mut lanes = JoinSet::new();
    for lane in 0..LANES {
        let clients = bookings * lane / LANES..bookings * (lane + 1) / LANES;
        let store = Arc::clone(&store);
        lanes.spawn(async move {
            let mut at = clients.start;
            while at < clients.end {
                let next = clients.end.min(at + batch);
                whole_life(&*store, at..next).await?;
                at = next;
            }
            anyhow::Ok(())
        });
    }
    while let Some(lane) = lanes.join_next().await {
        lane??;
    }
    let elapsed = start.elapsed();
    let confirmed = store.snapshot().await?.totals.confirmed;
    ensure!(confirmed == bookings, "{confirmed} of {bookings} bookings are confirmed");
    Ok(elapsed)
}

/// One batch. What is claimed may be another lane's; each claims as many as it has enqueued, so
/// none is left.
async fn whole_life(store: &dyn Store, clients: Range<u64>) -> Result<()> {
    let count = usize::try_from(clients.end - clients.start)?;
    let asked = clients.map(enqueue).collect::<Result<Vec<_>>>()?;
    for answer in store.enqueue(asked).await? {
        ensure!(!answer?.existing, "a new client had a booking already");
    }
    let tasks = store.claim(count, LEASE, Scope::Everything).await?.tasks;
    ensure!(tasks.len() == count, "claimed {} of {count} tasks", tasks.len());

    let reserved = tasks.iter().map(|task| {
        let reservation = ReservationId::new(&format!("reservation-{}", task.place))?;
        Ok(settlement(task, TaskOutcome::Reserved { reservation, hold: LEASE }))
    });
    settle(store, reserved.collect::<Result<_>>()?, BookingState::Reserved).await?;

    let payments = tasks.iter().map(|task| {
        let payment = PaymentId::new(&format!("payment-{}", task.place))?;
        Ok(Confirm { client: task.client.clone(), booking: Some(task.booking), payment })
    });
    let mut won = Vec::with_capacity(count);
    for answer in store.confirm(payments.collect::<Result<_>>()?, LEASE).await? {
        match answer? {
            Confirmed::Won(task, _) => won.push(settlement(&task, TaskOutcome::Confirmed)),
            Confirmed::Repeated(booking) => anyhow::bail!("{} was paid already", booking.client),
        }
    }
    settle(store, won, BookingState::Confirmed).await
}

fn enqueue(client: u64) -> Result<Enqueue> {
    Ok(Enqueue {
        client: ClientId::new(&format!("client-{client}"))?,
        request: RequestId::new(&format!("request-{client}"))?,
        booking: BookingId::generate(),
        details: Details::new("stalls", 1, &[b'x'; 64])?,
        trace: None,
    })
}

fn settlement(task: &Task, outcome: TaskOutcome) -> Settlement {
    Settlement { lease: task.lease(), outcome, busy: Duration::from_millis(1) }
}

async fn settle(store: &dyn Store, batch: Vec<Settlement>, state: BookingState) -> Result<()> {
    for settled in store.settle(batch).await? {
        ensure!(
            settled == Settled::Applied(state),
            "a settlement was {settled:?}, not applied as {state}"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use bookingq_store::StoreConfig;

    use super::*;

    #[tokio::test]
    async fn every_booking_goes_the_whole_way_whatever_the_batch() {
        for batch in [1, 3, 64, 256] {
            let store = bookingq_store::open(StoreConfig::memory(fresh_queue().unwrap())).unwrap();
            whole_lives(store, 250, batch).await.unwrap();
        }
    }
}
