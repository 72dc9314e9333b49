//! Follows the outbox: keeps the worker's own picture of the line, wakes the claim loop, tells the
//! watchers.
//!
//! ```text
//!   store.events ──> Follower ──> LineView   (exact positions, pace)
//!                       |──────> Wake        (something may be claimed)
//!                       '──────> Hub ──> WatchStatus streams
//! ```

pub mod hub;
pub mod line_view;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bookingq_core::backoff::Backoff;
use bookingq_core::{BookingState, Event, EventSeq};
use bookingq_store::{Store, StoreError};
use tracing::{debug, info, warn};

use crate::metrics::Metrics;
use crate::processing::Wake;
use hub::Hub;
use line_view::LineView;

/// Events asked for at once.
const READ: usize = 4096;
/// Places read at once when the line is loaded.
const LOAD: usize = 10_000;
/// How long one read of the outbox waits for news.
const WAIT: Duration = Duration::from_secs(1);
/// From a read that brought something to the next: a busy outbox is read in large pieces, since a
/// read costs Redis the more the fewer events it brings.
const PACE: Duration = Duration::from_millis(5);
/// Waits after a read that failed. No end: without the outbox a worker still works, only more
/// slowly told.
const BACKOFF: Backoff =
    Backoff { initial: Duration::from_millis(100), max: Duration::from_secs(2) };

/// Reads the outbox for one worker.
pub struct Follower {
    /// Where the outbox is.
    pub store: Arc<dyn Store>,
    /// The line, kept up to date.
    pub line: Arc<LineView>,
    /// Those who watch.
    pub hub: Arc<Hub>,
    /// The claim loop's.
    pub wake: Wake,
    /// Set by the keeper when the store has lost its data.
    pub anew: Arc<AtomicBool>,
    /// Gaps and failures are counted here.
    pub metrics: Metrics,
}

impl Follower {
    /// Follows until dropped.
    pub async fn run(self) {
        let mut failures = 0;
        loop {
            match self.follow(&mut failures).await {
                Ok(gap) => {
                    info!(at = %gap, "the outbox has a gap: reading the line anew");
                    self.metrics.outbox_gaps.inc();
                }
                Err(error) => {
                    failures += 1;
                    self.metrics.store_failed(&error);
                    if failures == 1 {
                        warn!(%error, "can't follow the outbox");
                    } else {
                        debug!(%error, failures, "can't follow the outbox");
                    }
                    tokio::time::sleep(BACKOFF.delay(failures, rand::random())).await;
                }
            }
        }
    }

    /// Loads the line, then follows; returns at a gap.
    async fn follow(&self, failures: &mut u32) -> Result<EventSeq, StoreError> {
        let mut after = self.load().await?;
        self.hub.refresh_all();
        self.wake.notify_one();
        loop {
            let read = self.store.events(after, READ, WAIT).await?;
            *failures = 0;
            // A store that lost its data may have nothing to tell for a long time.
            if self.anew.swap(false, Ordering::Relaxed) || read.gap {
                return Ok(read.next);
            }
            after = read.next;
            if read.events.is_empty() {
                continue;
            }
            self.line.apply(&read.events);
            if read.events.iter().any(may_be_claimed) {
                self.wake.notify_one();
            }
            for event in read.events {
                self.hub.deliver(event);
            }
            tokio::time::sleep(PACE).await;
        }
    }

    /// Reads the line in pieces. The outbox's end is read first: what happens meanwhile is
    /// replayed, which a set of places that join once and leave once does not mind.
    async fn load(&self) -> Result<EventSeq, StoreError> {
        let after = self.store.latest_event().await?;
        let mut line = bookingq_core::line::Line::new();
        let mut last = bookingq_core::Place::START;
        loop {
            let places = self.store.waiting(last, LOAD).await?;
            for &place in &places {
                line.join(place);
            }
            match places.last() {
                Some(&place) if places.len() == LOAD => last = place,
                _ => break,
            }
        }
        self.line.replace(line);
        Ok(after)
    }
}

fn may_be_claimed(event: &Event) -> bool {
    matches!(event.to, BookingState::Queued | BookingState::Releasing) && !event.is_reclaim()
}
