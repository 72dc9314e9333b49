//! Bookings through a store, in batches: enqueued, claimed, reserved, paid, confirmed.

use std::fmt::Display;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use bookingq_core::{
    BookingId, BookingState, ClientId, Details, PaymentId, QueueName, RequestId, ReservationId,
};
use bookingq_store::{
    Confirm, Confirmed, Enqueue, RedisConfig, Scope, Settled, Settlement, Store, Task, TaskOutcome,
};
use tokio::task::JoinSet;

use crate::redis_server::MeasuredRedis;

/// Calls in flight. A worker has one of each kind: enqueue, claim, confirm, settle.
pub const LANES: u64 = 4;
/// Bookings in one call of [`fill`] and [`hold_front`].
pub const BATCH: u64 = 64;
/// Longer than any run.
pub const LONG: Duration = Duration::from_secs(3600);

/// A queue name that this process has not used yet, of usual length because every key contains it.
pub fn fresh_queue() -> Result<QueueName> {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    Ok(QueueName::new(&format!("bench-{}", NEXT.fetch_add(1, Ordering::Relaxed)))?)
}

/// The store of a new queue, after everything in Redis was deleted.
pub async fn fresh_store(redis: &mut MeasuredRedis) -> Result<Arc<dyn Store>> {
    redis.empty().await?;
    let store = bookingq_store::open(RedisConfig::new(redis.url(), fresh_queue()?))?;
    store.open().await?;
    Ok(store)
}

/// The request of the client with this number.
pub fn request(number: impl Display, payload: &[u8]) -> Result<Enqueue> {
    Ok(Enqueue {
        client: ClientId::new(&format!("client-{number}"))?,
        request: RequestId::new(&format!("request-{number}"))?,
        booking: BookingId::generate(),
        details: Details::new("stalls", 1, payload)?,
        trace: None,
    })
}

/// The payment of a booking.
pub fn payment(task: &Task) -> Result<Confirm> {
    let payment = PaymentId::new(&format!("payment-{}", task.place))?;
    Ok(Confirm {
        client: task.client.clone(),
        booking: Some(task.booking),
        payment,
        reacquire: None,
    })
}

/// The task of a payment that was accepted.
pub fn accepted(answer: Confirmed) -> Result<Task> {
    match answer {
        Confirmed::Won(task, _) => Ok(*task),
        Confirmed::Repeated(booking) | Confirmed::Reacquired(_, booking) => {
            bail!("{} has paid already", booking.client)
        }
        Confirmed::Releasing(task) => bail!("the hold of {} has expired", task.client),
    }
}

/// The outcome of a successful Reserve.
pub fn reserved(task: &Task, hold: Duration) -> Result<TaskOutcome> {
    let reservation = ReservationId::new(&format!("reservation-{}", task.place))?;
    Ok(TaskOutcome::Reserved { reservation, hold, left: None })
}

/// Fails unless a settlement was applied.
pub fn check_settled(settled: &Settled, state: BookingState) -> Result<()> {
    ensure!(*settled == Settled::Applied(state), "settled as {settled:?} instead of {state}");
    Ok(())
}

async fn enqueue(store: &dyn Store, requests: Result<Vec<Enqueue>>) -> Result<()> {
    for answer in store.enqueue(requests?).await? {
        ensure!(!answer?.existing, "a new client had a booking already");
    }
    Ok(())
}

async fn settle(
    store: &dyn Store,
    tasks: &[Task],
    outcome: impl Fn(&Task) -> Result<TaskOutcome>,
    state: BookingState,
) -> Result<()> {
    let busy = Duration::from_millis(1);
    let settlements = tasks
        .iter()
        .map(|task| Ok(Settlement { lease: task.lease(), outcome: outcome(task)?, busy }));
    let settled = store.settle(settlements.collect::<Result<_>>()?).await?;
    settled.iter().try_for_each(|settled| check_settled(settled, state))
}

/// Takes `bookings` through their life with `batch` in each call; returns the time.
///
/// Fails when any booking does not go the whole way, because such figures mean nothing.
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

/// One batch. A lane may claim tasks of another one, but as many as it has enqueued.
async fn whole_life(store: &dyn Store, clients: Range<u64>) -> Result<()> {
    let count = usize::try_from(clients.end - clients.start)?;
    enqueue(store, clients.map(|number| request(number, &[b'x'; 64])).collect()).await?;
    let tasks = store.claim(count, LONG, Scope::Everything).await?.tasks;
    ensure!(tasks.len() == count, "claimed {} of {count} tasks", tasks.len());
    reserve(store, &tasks, |_| LONG).await?;
    let payments = tasks.iter().map(payment).collect::<Result<_>>()?;
    let answers = store.confirm(payments, LONG).await?.into_iter();
    let paid: Vec<_> = answers.map(|answer| accepted(answer?)).collect::<Result<_>>()?;
    settle(store, &paid, |_| Ok(TaskOutcome::Confirmed), BookingState::Confirmed).await
}

/// The client with this number in a filled queue: names of one length, so that each booking takes
/// the same memory.
pub fn filled_client(number: u64) -> Result<ClientId> {
    Ok(ClientId::new(&format!("client-{number:08}"))?)
}

/// Enqueues new clients, in calls of one size, so that the line is always built the same way.
pub async fn fill(store: &dyn Store, numbers: Range<u64>) -> Result<()> {
    fill_by(store, numbers, BATCH).await
}

/// The same in calls of `batch`.
pub async fn fill_by(store: &dyn Store, numbers: Range<u64>, batch: u64) -> Result<()> {
    let mut next = numbers.start;
    while next < numbers.end {
        let end = numbers.end.min(next + batch);
        // A worker of `drive` reads when a booking was due: at the start.
        let ask = |number| request(format_args!("{number:08}"), &[b'0'; 64]);
        enqueue(store, (next..end).map(ask).collect()).await?;
        next = end;
    }
    Ok(())
}

/// Turns tasks into holds of the length that `hold` returns.
pub async fn reserve(
    store: &dyn Store,
    tasks: &[Task],
    hold: impl Fn(&Task) -> Duration,
) -> Result<()> {
    settle(store, tasks, |task| reserved(task, hold(task)), BookingState::Reserved).await
}

/// Claims `count` bookings from the front of the line and turns them into holds.
pub async fn hold_front(
    store: &dyn Store,
    count: u64,
    hold: impl Fn(&Task) -> Duration,
) -> Result<()> {
    let mut done = 0;
    while done < count {
        let tasks = store.claim(BATCH as usize, LONG, Scope::Everything).await?.tasks;
        ensure!(!tasks.is_empty(), "the line is empty");
        reserve(store, &tasks, &hold).await?;
        done += tasks.len() as u64;
    }
    Ok(())
}
