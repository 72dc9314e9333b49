//! When the claim loop claims again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bookingq_core::{BookingState, Event, OutboxEvent};
use bookingq_follow::FollowedQueue;
use bookingq_follow::items::changes_item;
use tokio::sync::Notify;

/// Notified when there may be a task to claim. A lost wake costs at most a second.
pub struct Wake {
    notify: Notify,
    /// The last claim found less than there was room for.
    unfilled: AtomicBool,
    queue: Arc<FollowedQueue>,
}

impl Wake {
    /// For the claim loop of one process.
    pub fn new(queue: Arc<FollowedQueue>) -> Arc<Self> {
        Arc::new(Self { notify: Notify::new(), unfilled: AtomicBool::new(false), queue })
    }

    /// A task is due, or may be.
    pub fn due(&self) {
        self.notify.notify_one();
    }

    /// A booking joined the line. If others waited there already, although a worker was free, the
    /// rules of the sale limit the line: the store has said when to claim again.
    pub fn joined(&self) {
        let limited = self.unfilled.load(Ordering::Relaxed)
            && self.queue.line.is_limited()
            && !self.queue.line.is_empty();
        if !limited {
            self.due();
        }
    }

    /// Events arrived that have not been applied yet.
    pub fn received(&self, events: &[OutboxEvent]) {
        if events.iter().any(|event| self.makes_claimable(event)) {
            self.due();
        } else if events.iter().any(joins) {
            self.joined();
        }
    }

    /// Waits for the next wake. One that came since the last wait counts.
    pub(super) async fn next(&self) {
        self.notify.notified().await;
    }

    /// Records whether a claim found less than there was room for.
    pub(super) fn set_unfilled(&self, unfilled: bool) {
        self.unfilled.store(unfilled, Ordering::Relaxed);
    }

    fn makes_claimable(&self, event: &OutboxEvent) -> bool {
        use BookingState as S;
        match event {
            OutboxEvent::Item(event) => changes_item(event),
            OutboxEvent::Booking(event) if event.is_reclaim() => false,
            OutboxEvent::Booking(
                Event { to: S::Releasing, .. }
                | Event { from: Some(S::Reserving), to: S::Confirming, .. },
            ) => true,
            // A limit of holds has room, or stock of a closed item came back.
            OutboxEvent::Booking(event) => {
                let settled = event.to.is_final() || event.parked.is_some();
                let returns = settled && event.to != S::Confirmed;
                (settled && self.queue.line.is_limited())
                    || (returns && !self.queue.items.closed().is_empty())
            }
        }
    }
}

fn joins(event: &OutboxEvent) -> bool {
    event.booking().is_some_and(|event| event.to == BookingState::Queued)
}
