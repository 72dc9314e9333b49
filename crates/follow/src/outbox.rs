//! Reads the outbox of a store into a [`FollowedQueue`].

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bookingq_core::backoff::Backoff;
use bookingq_core::line::Line;
use bookingq_core::retry::Retry;
use bookingq_core::{EventSeq, ItemState, OutboxEvent, Place};
use bookingq_store::{Store, StoreError};
use tracing::{debug, info, warn};

use crate::items::MAX_CLOSED_ITEMS;
use crate::{FollowedQueue, ParkedView};

/// Events in one read.
const READ: usize = 4096;
/// Places in one read while the line is loaded.
const LOAD: usize = 10_000;
/// How long one read waits for the first event.
const WAIT: Duration = Duration::from_secs(1);
/// From a read that brought events to the next: reading a busy outbox in larger pieces costs Redis
/// less for each event.
const PACE: Duration = Duration::from_millis(5);
/// Waits after a failed read. No limit: without the outbox a worker still works, with later
/// notifications.
const BACKOFF: Backoff =
    Backoff { initial: Duration::from_millis(100), max: Duration::from_secs(2) };

/// What a follower reports to its process.
#[derive(Debug)]
pub enum FollowEvent<'a> {
    /// The line was loaded. The next events are those after this sequence; some of them may be in
    /// the line already.
    Loaded(EventSeq),
    /// Events arrived; they are applied after this report.
    Received(&'a [OutboxEvent]),
    /// Entries were trimmed before they were read, or the store has lost data: the line is loaded
    /// again.
    Gap,
    /// A read failed; it is repeated.
    Failed(&'a StoreError),
}

/// Follows the outbox of one queue.
pub struct OutboxFollower<O> {
    /// The outbox.
    pub store: Arc<dyn Store>,
    /// The view to keep up to date.
    pub queue: Arc<FollowedQueue>,
    /// Set by the store's monitor when the store has lost data.
    pub resync: Arc<AtomicBool>,
    /// Receives the reports.
    pub observer: O,
}

impl<O: Fn(FollowEvent<'_>)> OutboxFollower<O> {
    /// Follows until dropped.
    pub async fn run(self) {
        let mut retry = Retry::forever(BACKOFF);
        loop {
            match self.follow(&mut retry).await {
                Ok(gap) => {
                    info!(at = %gap, "the outbox has a gap; loading the line again");
                    (self.observer)(FollowEvent::Gap);
                }
                Err(error) => {
                    (self.observer)(FollowEvent::Failed(&error));
                    if retry.failures() == 0 {
                        warn!(%error, "cannot follow the outbox; retrying");
                    } else {
                        debug!(%error, failures = retry.failures(), "cannot follow the outbox");
                    }
                    retry.wait().await;
                }
            }
        }
    }

    /// Loads the line, then follows; returns at a gap.
    async fn follow(&self, retry: &mut Retry) -> Result<EventSeq, StoreError> {
        let mut after = self.load().await?;
        (self.observer)(FollowEvent::Loaded(after));
        loop {
            let read = self.store.events(after, READ, WAIT).await?;
            retry.reset();
            // A store that has lost its data may have no events for a long time.
            if self.resync.swap(false, Ordering::Relaxed) || read.gap {
                return Ok(read.next);
            }
            after = read.next;
            if read.events.is_empty() {
                continue;
            }
            (self.observer)(FollowEvent::Received(&read.events));
            self.queue.apply(read.events);
            tokio::time::sleep(PACE).await;
        }
    }

    /// Reads the line and the parked places in pieces. The end of the outbox is read first, so that
    /// what happens in the meantime is replayed: the newest event of a place says where it is.
    async fn load(&self) -> Result<EventSeq, StoreError> {
        let after = self.store.latest_event().await?;
        let (mut line, mut parked) = (Line::new(), ParkedView::default());
        self.pages(None, |places| places.iter().for_each(|place| line.join(*place))).await?;
        let items = self.store.closed_items(MAX_CLOSED_ITEMS).await?;
        for ItemState { item, .. } in items.iter().filter(|item| item.waiting > 0) {
            let join = |places: &[Place]| parked.join(item, places.iter().copied());
            self.pages(Some(item), join).await?;
        }
        self.queue.reload(line, parked, items);
        Ok(after)
    }

    /// Reads the places of the line, or of the bookings that wait for an item, page by page.
    async fn pages(
        &self,
        item: Option<&Arc<str>>,
        mut take: impl FnMut(&[Place]),
    ) -> Result<(), StoreError> {
        let mut last = Place::START;
        loop {
            let places = self.store.waiting(item.cloned(), last, LOAD).await?;
            take(&places);
            match places.last() {
                Some(&place) if places.len() == LOAD => last = place,
                _ => return Ok(()),
            }
        }
    }
}
