//! Claims tasks while there is room for them, and waits efficiently when there are none.

use std::sync::Arc;
use std::time::Duration;

use bookingq_core::backoff::Backoff;
use bookingq_core::limits::MAX_STORE_BATCH;
use bookingq_core::retry::Retry;
use bookingq_store::{Claim, Scope};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{Executor, Wake};
use crate::downstream::breaker::Circuit;

/// Longest time between two claims, should a wake be lost.
const FALLBACK: Duration = Duration::from_secs(1);
/// Shortest time from an empty claim to the next one: a paused queue that fills, or a line that
/// other workers empty, would otherwise cost Redis a claim for each wake.
const NOTHING_FOUND: Duration = Duration::from_millis(5);
/// Waits after a failed claim.
const CLAIM_BACKOFF: Backoff =
    Backoff { initial: Duration::from_millis(100), max: Duration::from_secs(2) };

/// Claims tasks and runs each in a slot.
pub struct ClaimLoop {
    /// Executes the tasks.
    pub executor: Arc<Executor>,
    /// Length of a task's lease.
    pub lease: Duration,
    /// Which tasks.
    pub scope: Scope,
    /// When to claim again.
    pub wake: Arc<Wake>,
}

/// The tasks in hand when claiming stopped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Finished {
    /// How many there were.
    pub in_hand: usize,
    /// Of those, how many were cut off at the time limit. Their leases were given back or run out.
    pub cut_off: usize,
}

impl ClaimLoop {
    /// Claims until `stop`, then finishes the tasks in hand within `limit`, then gives the rest
    /// back.
    pub async fn run(self, stop: CancellationToken, limit: Duration) -> Finished {
        self.executor.metrics.tasks.slots.set(self.executor.slots as i64);
        let slots = Arc::new(Semaphore::new(self.executor.slots));
        let mut running = JoinSet::new();
        let mut retry = Retry::forever(CLAIM_BACKOFF);
        while !stop.is_cancelled() {
            while running.try_join_next().is_some() {}
            let Some(room) = self.room(&slots, &stop).await else { break };
            match self.executor.store.store().claim(room, self.lease, self.scope).await {
                Ok(claim) => {
                    retry.reset();
                    self.start(&claim, &slots, &mut running, &stop).await;
                    let unfilled = claim.tasks.len() < room;
                    self.wake.set_unfilled(unfilled);
                    if unfilled {
                        self.wait(&claim, &stop).await;
                    }
                }
                Err(error) => {
                    self.executor.metrics.store_failed(&error);
                    warn!(%error, "cannot claim tasks");
                    tokio::select! { _ = retry.wait() => {}, () = stop.cancelled() => {} }
                }
            }
        }
        self.finish(running, limit).await
    }

    /// Waits for a free slot and for the circuit. Returns how many tasks may be claimed now; `None`
    /// after `stop`.
    async fn room(&self, slots: &Arc<Semaphore>, stop: &CancellationToken) -> Option<usize> {
        loop {
            // The permit is given back at once: only this loop takes slots, so the room stays.
            tokio::select! {
                permit = slots.acquire() => drop(permit.ok()?),
                () = stop.cancelled() => return None,
            }
            match self.executor.booking.breaker.admit(Instant::now(), rand::random()) {
                Circuit::Closed => {
                    return Some(slots.available_permits().clamp(1, MAX_STORE_BATCH));
                }
                Circuit::Probe => return Some(1),
                Circuit::OpenUntil(at) => tokio::select! {
                    () = tokio::time::sleep_until(at) => {}
                    () = self.executor.booking.breaker.closed() => {}
                    () = stop.cancelled() => return None,
                },
            }
        }
    }

    async fn start(
        &self,
        claim: &Claim,
        slots: &Arc<Semaphore>,
        running: &mut JoinSet<()>,
        stop: &CancellationToken,
    ) {
        for task in &claim.tasks {
            // A claim in progress when `stop` came: none of its tasks has started.
            if stop.is_cancelled() {
                self.executor.hand_back(task).await;
                continue;
            }
            if task.first {
                let waited = claim.now.since(task.enqueued_at);
                self.executor.metrics.tasks.dispatch_wait.observe(waited.as_secs_f64());
            }
            let Ok(slot) = Arc::clone(slots).acquire_owned().await else { return };
            let (executor, task) = (Arc::clone(&self.executor), task.clone());
            running.spawn(async move {
                executor.run(task).await;
                drop(slot);
            });
        }
    }

    /// Waits until a task may be claimable: a wake, the moment that the store expects, or the
    /// fallback. Not at all if the store has set aside as many bookings as it may in one claim.
    async fn wait(&self, claim: &Claim, stop: &CancellationToken) {
        if claim.more {
            return;
        }
        if claim.tasks.is_empty() {
            // The wake keeps a notification that comes in the meantime.
            tokio::time::sleep(NOTHING_FOUND).await;
        }
        let due = claim.next.unwrap_or(FALLBACK).min(FALLBACK);
        tokio::select! {
            () = self.wake.next() => {}
            () = tokio::time::sleep(due) => {}
            () = stop.cancelled() => {}
        }
    }

    async fn finish(&self, mut running: JoinSet<()>, limit: Duration) -> Finished {
        while running.try_join_next().is_some() {}
        let in_hand = running.len();
        let all_done = async { while running.join_next().await.is_some() {} };
        if tokio::time::timeout(limit, all_done).await.is_ok() {
            return Finished { in_hand, cut_off: 0 };
        }
        let cut_off = running.len();
        let held = self.executor.held();
        running.shutdown().await;
        info!(cut_off, "giving back the tasks that are still in hand");
        // A lease of (almost) zero: other workers claim the task at once. A call of ours that still
        // arrives does no harm, because every call is idempotent by booking id.
        let given_back = self.executor.store.store().renew(held, Duration::from_millis(1));
        if tokio::time::timeout(FALLBACK, given_back).await.is_err() {
            warn!("cannot give leases back; they will run out");
        }
        Finished { in_hand, cut_off }
    }
}
