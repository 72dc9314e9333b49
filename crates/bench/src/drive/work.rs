//! A worker without a Booking Service: it takes tasks as `bookingq worker` does, and settles each
//! at once or after a delay.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use bookingq_core::limits::MAX_STORE_BATCH;
use bookingq_core::{BookingState, OutboxEvent};
use bookingq_store::{Scope, Settlement, Store, Task, TaskOutcome};
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinSet;

use super::calls::{LEASE, StoreCalls};
use super::enqueue::due;
use super::options::{Args, Batching, Ending};
use crate::bookings::{LONG, payment, reserved};

/// Longest sleep without a claim, as in a worker.
const FALLBACK: Duration = Duration::from_secs(1);
/// Events in one read of the outbox.
const EVENTS: usize = 4096;

/// Called with the due time of each client whose task starts.
pub type OnStart = Arc<dyn Fn(Duration) + Send + Sync>;

/// Works until it is dropped or a call fails.
pub async fn run(store: Arc<dyn Store>, args: &Args, on_start: OnStart) -> Result<()> {
    let wake = Arc::new(Notify::new());
    let calls = StoreCalls::new(Arc::clone(&store), args.batching);
    let tasks = Arc::new(Tasks { calls, ending: args.end, busy: args.busy, on_start });
    // Without batches each slot claims for itself.
    let (claimers, slots) = match args.batching {
        Batching::Grouped => (1, args.concurrency),
        Batching::Single => (args.concurrency, 1),
    };
    let mut loops = JoinSet::new();
    for _ in 0..claimers {
        loops.spawn(take(Arc::clone(&tasks), slots, Arc::clone(&wake)));
    }
    tokio::select! {
        ended = follow(store, wake) => ended,
        Some(ended) = loops.join_next() => ended?,
    }
}

/// Follows the outbox: a booking that joins wakes the claim loops.
async fn follow(store: Arc<dyn Store>, wake: Arc<Notify>) -> Result<()> {
    let mut after = store.latest_event().await?;
    loop {
        let events = store.events(after, EVENTS, FALLBACK).await?;
        after = events.next;
        if events
            .events
            .iter()
            .filter_map(OutboxEvent::booking)
            .any(|event| event.to == BookingState::Queued)
        {
            wake.notify_one();
        }
    }
}

/// Claims what there is room for, and starts it.
async fn take(tasks: Arc<Tasks>, concurrency: usize, wake: Arc<Notify>) -> Result<()> {
    let slots = Arc::new(Semaphore::new(concurrency));
    let mut running = JoinSet::new();
    loop {
        while let Some(done) = running.try_join_next() {
            done??;
        }
        drop(slots.acquire().await?);
        let room = slots.available_permits().clamp(1, MAX_STORE_BATCH);
        let claim = tasks.calls.store.claim(room, LEASE, Scope::Everything).await?;
        let found = claim.tasks.len();
        for task in claim.tasks {
            let slot = Arc::clone(&slots).acquire_owned().await?;
            let tasks = Arc::clone(&tasks);
            running.spawn(async move {
                tasks.run(task).await?;
                drop(slot);
                anyhow::Ok(())
            });
        }
        if found < room {
            let _ = tokio::time::timeout(FALLBACK, wake.notified()).await;
        }
    }
}

/// How tasks are run.
struct Tasks {
    calls: StoreCalls,
    ending: Ending,
    busy: Duration,
    on_start: OnStart,
}

impl Tasks {
    async fn run(&self, task: Task) -> Result<()> {
        (self.on_start)(due(&task.details.payload)?);
        if !self.busy.is_zero() {
            tokio::time::sleep(self.busy).await;
        }
        match self.ending {
            Ending::Rejected => {
                let outcome = TaskOutcome::Rejected { reason: String::new() };
                self.settle(&task, outcome, BookingState::Rejected).await
            }
            Ending::Confirmed => {
                self.settle(&task, reserved(&task, LONG)?, BookingState::Reserved).await?;
                let paid = self.calls.confirm(payment(&task)?).await?;
                self.settle(&paid, TaskOutcome::Confirmed, BookingState::Confirmed).await
            }
        }
    }

    async fn settle(&self, task: &Task, outcome: TaskOutcome, state: BookingState) -> Result<()> {
        let settlement = Settlement { lease: task.lease(), outcome, busy: self.busy };
        self.calls.settle(settlement, state).await
    }
}
