//! A worker without a Booking Service: takes tasks as `bookingq worker` does, and settles each at
//! once or after a wait.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use bookingq_core::limits::MAX_STORE_BATCH;
use bookingq_core::{BookingState, PaymentId, ReservationId};
use bookingq_store::group::GroupCommit;
use bookingq_store::{Confirm, Confirmed, Scope, Settled, Settlement, Store, Task, TaskOutcome};
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinSet;

use super::crowd::{due, only};
use super::{Args, Batching, End};

/// As a worker's.
const LEASE: Duration = Duration::from_secs(30);
/// Longer than any run.
const HOLD: Duration = Duration::from_secs(600);
/// Longest sleep without looking, as a worker's.
const FALLBACK: Duration = Duration::from_secs(1);
/// Outbox entries' events read at once.
const EVENTS: usize = 4096;

/// Told when the client of a task that starts was due.
pub type Started = Arc<dyn Fn(Duration) + Send + Sync>;

/// Works until it is dropped, or something goes wrong.
pub async fn run(store: Arc<dyn Store>, args: &Args, started: Started) -> Result<()> {
    let wake = Arc::new(Notify::new());
    let hands = Hands {
        group: GroupCommit::new(Arc::clone(&store)),
        store: Arc::clone(&store),
        batching: args.batching,
        end: args.end,
        busy: args.busy,
        started,
    };
    let hands = Arc::new(hands);
    // Without batches each slot claims for itself.
    let (claimers, slots) = match args.batching {
        Batching::Grouped => (1, args.concurrency),
        Batching::Single => (args.concurrency, 1),
    };
    let mut loops = JoinSet::new();
    for _ in 0..claimers {
        loops.spawn(take(Arc::clone(&hands), slots, Arc::clone(&wake)));
    }
    tokio::select! {
        ended = follow(store, wake) => ended,
        Some(ended) = loops.join_next() => ended?,
    }
}

/// Follows the outbox, as a worker does: that wakes it when somebody joins.
async fn follow(store: Arc<dyn Store>, wake: Arc<Notify>) -> Result<()> {
    let mut after = store.latest_event().await?;
    loop {
        let events = store.events(after, EVENTS, FALLBACK).await?;
        after = events.next;
        if events.events.iter().any(|event| event.to == BookingState::Queued) {
            wake.notify_one();
        }
    }
}

/// Claims what there is room for, and starts it.
async fn take(hands: Arc<Hands>, concurrency: usize, wake: Arc<Notify>) -> Result<()> {
    let slots = Arc::new(Semaphore::new(concurrency));
    let mut running = JoinSet::new();
    loop {
        while let Some(done) = running.try_join_next() {
            done??;
        }
        drop(slots.acquire().await?);
        let room = slots.available_permits().clamp(1, MAX_STORE_BATCH);
        let claim = hands.store.claim(room, LEASE, Scope::Everything).await?;
        let found = claim.tasks.len();
        for task in claim.tasks {
            let slot = Arc::clone(&slots).acquire_owned().await?;
            let hands = Arc::clone(&hands);
            running.spawn(async move {
                hands.run(task).await?;
                drop(slot);
                anyhow::Ok(())
            });
        }
        if found < room {
            let _ = tokio::time::timeout(FALLBACK, wake.notified()).await;
        }
    }
}

/// What does a task.
struct Hands {
    store: Arc<dyn Store>,
    group: GroupCommit,
    batching: Batching,
    end: End,
    busy: Duration,
    started: Started,
}

impl Hands {
    async fn run(&self, task: Task) -> Result<()> {
        (self.started)(due(&task.details.payload)?);
        if !self.busy.is_zero() {
            tokio::time::sleep(self.busy).await;
        }
        match self.end {
            End::SoldOut => self.settle(&task, TaskOutcome::SoldOut, BookingState::SoldOut).await,
            End::Confirmed => self.sell(task).await,
        }
    }

    /// Reserved, paid at once, confirmed.
    async fn sell(&self, task: Task) -> Result<()> {
        let reservation = ReservationId::new(&format!("reservation-{}", task.place))?;
        self.settle(
            &task,
            TaskOutcome::Reserved { reservation, hold: HOLD },
            BookingState::Reserved,
        )
        .await?;
        let payment = PaymentId::new(&format!("payment-{}", task.place))?;
        let paid = Confirm { client: task.client, booking: Some(task.booking), payment };
        let answer = match self.batching {
            Batching::Grouped => self.group.confirm(paid, LEASE).await??,
            Batching::Single => only(self.store.confirm(vec![paid], LEASE).await?)??,
        };
        match answer {
            Confirmed::Won(task, _) => {
                self.settle(&task, TaskOutcome::Confirmed, BookingState::Confirmed).await
            }
            Confirmed::Repeated(booking) => bail!("{} was paid already", booking.client),
        }
    }

    async fn settle(&self, task: &Task, outcome: TaskOutcome, state: BookingState) -> Result<()> {
        let settlement = Settlement { lease: task.lease(), outcome, busy: self.busy };
        let settled = match self.batching {
            Batching::Grouped => self.group.settle(settlement).await?,
            Batching::Single => only(self.store.settle(vec![settlement]).await?)?,
        };
        ensure!(
            settled == Settled::Applied(state),
            "a settlement was {settled:?}, not applied as {state}"
        );
        Ok(())
    }
}
