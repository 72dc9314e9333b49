//! Takes tasks while there is room for them, and waits well when there are none.

use std::sync::Arc;
use std::time::Duration;

use bookingq_core::backoff::Backoff;
use bookingq_core::limits::MAX_STORE_BATCH;
use bookingq_store::{Claim, Scope};
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::Executor;
use crate::downstream::breaker::Circuit;

/// Told whenever there may be something to claim. A wake that is missed costs at most a second.
pub type Wake = Arc<Notify>;

/// Longest sleep without looking, should a wake be lost.
const FALLBACK: Duration = Duration::from_secs(1);
/// Shortest time from a claim that found nothing to the next one: a paused queue that fills, or a
/// line that other workers empty, would otherwise cost Redis a claim for each wake.
const NOTHING_FOUND: Duration = Duration::from_millis(5);
/// Waits after a claim that failed.
const CLAIM_BACKOFF: Backoff =
    Backoff { initial: Duration::from_millis(100), max: Duration::from_secs(2) };

/// Claims tasks and runs each in a slot.
pub struct ClaimLoop {
    /// Does the tasks.
    pub executor: Arc<Executor>,
    /// Tasks at once.
    pub concurrency: usize,
    /// How long a claimed task is ours without a sign of life.
    pub lease: Duration,
    /// Which tasks.
    pub scope: Scope,
    /// When to look again.
    pub wake: Wake,
}

/// What a loop left behind when its time to finish was over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Finished {
    /// Tasks that were in hand when claiming stopped.
    pub in_hand: usize,
    /// Of those, how many were cut off when the time was over. Their leases were given back or run
    /// out.
    pub cut_off: usize,
}

impl ClaimLoop {
    /// Claims until `stop`, then finishes what is in hand until `patience` has passed, then gives
    /// the rest back.
    pub async fn run(self, stop: CancellationToken, patience: Duration) -> Finished {
        self.executor.metrics().task_slots.set(self.concurrency as i64);
        let slots = Arc::new(Semaphore::new(self.concurrency));
        let mut running = JoinSet::new();
        let mut failures = 0;
        while !stop.is_cancelled() {
            while running.try_join_next().is_some() {}
            let Some(room) = self.room(&slots, &stop).await else { break };
            match self.executor.store().store().claim(room, self.lease, self.scope).await {
                Ok(claim) => {
                    failures = 0;
                    self.start(&claim, &slots, &mut running, &stop).await;
                    if claim.tasks.len() < room {
                        self.wait(&claim, &stop).await;
                    }
                }
                Err(error) => {
                    failures += 1;
                    self.executor.metrics().store_failed(&error);
                    warn!(%error, "can't claim tasks");
                    let wait = CLAIM_BACKOFF.delay(failures, rand::random());
                    tokio::select! { () = tokio::time::sleep(wait) => {}, () = stop.cancelled() => {} }
                }
            }
        }
        self.finish(running, patience).await
    }

    /// Waits for a free slot and for the circuit; how many tasks may be claimed now. `None` when
    /// told to stop.
    async fn room(&self, slots: &Arc<Semaphore>, stop: &CancellationToken) -> Option<usize> {
        loop {
            // The permit is given back at once: this loop is the only one that takes slots, so the
            // room stays.
            tokio::select! {
                permit = slots.acquire() => drop(permit.ok()?),
                () = stop.cancelled() => return None,
            }
            match self.executor.booking().breaker.admit(Instant::now(), rand::random()) {
                Circuit::Closed => {
                    return Some(slots.available_permits().clamp(1, MAX_STORE_BATCH));
                }
                Circuit::Probe => return Some(1),
                Circuit::OpenUntil(at) => tokio::select! {
                    () = tokio::time::sleep_until(at) => {}
                    () = self.executor.booking().breaker.closed() => {}
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
            // A claim that was under way when we were told to stop: nothing of it has been started.
            if stop.is_cancelled() {
                self.executor.hand_back(task).await;
                continue;
            }
            if task.first {
                let waited = claim.now.since(task.enqueued_at);
                self.executor.metrics().dispatch_wait.observe(waited.as_secs_f64());
            }
            let Ok(slot) = Arc::clone(slots).acquire_owned().await else { return };
            let (executor, task) = (Arc::clone(&self.executor), task.clone());
            running.spawn(async move {
                executor.run(task).await;
                drop(slot);
            });
        }
    }

    /// Until something may be there: a wake, the next lease that ends, or the fallback.
    async fn wait(&self, claim: &Claim, stop: &CancellationToken) {
        let due = claim.next_due.unwrap_or(FALLBACK).min(FALLBACK);
        if claim.tasks.is_empty() {
            // A wake in the meantime is kept.
            tokio::time::sleep(NOTHING_FOUND).await;
        }
        tokio::select! {
            () = self.wake.notified() => {}
            () = tokio::time::sleep(due) => {}
            () = stop.cancelled() => {}
        }
    }

    async fn finish(&self, mut running: JoinSet<()>, patience: Duration) -> Finished {
        while running.try_join_next().is_some() {}
        let in_hand = running.len();
        let all_done = async { while running.join_next().await.is_some() {} };
        if tokio::time::timeout(patience, all_done).await.is_ok() {
            return Finished { in_hand, cut_off: 0 };
        }
        let cut_off = running.len();
        let held = self.executor.held();
        running.shutdown().await;
        info!(cut_off, "time to finish is over: giving back what is still in hand");
        // A lease of (almost) nothing: due at once for the others. Whether a call of ours still
        // arrives does not matter, because every call is idempotent by booking id.
        let given_back = self.executor.store().store().renew(held, Duration::from_millis(1));
        if tokio::time::timeout(FALLBACK, given_back).await.is_err() {
            warn!("can't give leases back; they will run out");
        }
        Finished { in_hand, cut_off }
    }
}
