//! FollowQueue: all transitions of the queue, and the line as a whole about once a second.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bookingq_core::EventSeq;
use bookingq_proto::error::ApiError;
use bookingq_proto::v1;
use bookingq_store::{Store, StoreError};
use futures::Stream;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::parse::FollowFrom;
use super::reader::BookingReader;
use super::watch::draining_status;
use crate::feed::{FeedCursor, FeedNews, QueueFeed};

/// The response stream.
pub type FollowStream = Pin<Box<dyn Stream<Item = Result<v1::PublishRequest, Status>> + Send>>;

/// Open streams of one worker. A queue has a few followers: the replicas of its Gateway.
pub const MAX_FOLLOWERS: usize = 64;
/// Events in one reading of the store, for a stream that is behind the feed.
const READ: usize = 2048;
/// How long a worker that has just started may take to read the line, before it refuses.
const READY: Duration = Duration::from_secs(2);

/// One open stream.
struct QueueFollower {
    reader: Arc<BookingReader>,
    feed: Arc<QueueFeed>,
    cursor: FeedCursor,
    changes: watch::Receiver<()>,
    /// Messages read from the store, which the feed does not keep.
    caught_up: VecDeque<v1::PublishRequest>,
    /// Comes with the next message, the first one above all.
    tick: Option<v1::QueueTick>,
    /// The next message follows something that the stream has missed.
    gap: bool,
    draining: CancellationToken,
    ended: bool,
    _permit: OwnedSemaphorePermit,
}

/// Opens a stream, which ends when the worker is `draining`.
///
/// # Errors
/// `STORE_UNAVAILABLE` if the line has not been read yet, or the store cannot be read on.
pub(super) async fn open(
    reader: Arc<BookingReader>,
    feed: Arc<QueueFeed>,
    from: FollowFrom,
    draining: CancellationToken,
    permit: OwnedSemaphorePermit,
) -> Result<FollowStream, ApiError> {
    if !feed.ready(READY).await {
        let cause = "the line has not been read yet".to_owned();
        return Err(ApiError::StoreUnavailable { cause });
    }
    let (cursor, changes) = (feed.open(), feed.changes());
    reader.metrics.server.followers.inc();
    let mut follower = QueueFollower {
        reader: Arc::clone(&reader),
        feed,
        cursor,
        changes,
        caught_up: VecDeque::new(),
        tick: None,
        gap: false,
        draining,
        ended: false,
        _permit: permit,
    };
    let begun = follower.begin(from).await;
    begun.map_err(|error| reader.failed(error))?;
    Ok(Box::pin(futures::stream::unfold(follower, |mut follower| async move {
        let message = follower.next().await?;
        Some((message, follower))
    })))
}

impl QueueFollower {
    fn store(&self) -> &dyn Store {
        &**self.reader.store.store()
    }

    /// Finds where to begin.
    async fn begin(&mut self, from: FollowFrom) -> Result<(), StoreError> {
        self.tick = self.feed.tick();
        let FollowFrom::After { epoch, sequence } = from else { return Ok(()) };
        let is_same = self.feed.epoch().is_some_and(|now| *now == *epoch);
        // A worker may be a moment behind the one before. But what is newer than all events of the
        // store belongs to other data.
        let newest = self.cursor.after;
        if !is_same || (sequence > newest && sequence > self.store().latest_event().await?) {
            self.miss();
            return Ok(());
        }
        self.cursor.after = sequence;
        self.catch_up().await
    }

    async fn next(&mut self) -> Option<Result<v1::PublishRequest, Status>> {
        if self.ended {
            return None;
        }
        let draining = self.draining.clone();
        let message = tokio::select! {
            biased;
            () = draining.cancelled() => Err(draining_status()),
            message = self.message() => {
                message.map_err(|error| self.reader.failed(error).into())
            }
        };
        self.ended = message.is_err();
        Some(message)
    }

    /// The next message with news.
    async fn message(&mut self) -> Result<v1::PublishRequest, StoreError> {
        loop {
            if let Some(message) = self.caught_up.pop_front() {
                return Ok(self.complete(message));
            }
            self.changes.borrow_and_update();
            match self.feed.next(&mut self.cursor) {
                FeedNews::Message(message, tick) => {
                    self.take_tick(tick);
                    return Ok(self.complete((*message).clone()));
                }
                FeedNews::Tick(tick) => self.take_tick(Some(tick)),
                FeedNews::Nothing if self.tick.is_some() => {
                    let message = self.feed.publisher().message(self.cursor.after);
                    return Ok(self.complete(message));
                }
                // The sender lives as long as the feed.
                FeedNews::Nothing => drop(self.changes.changed().await),
                FeedNews::Gap => self.miss(),
                FeedNews::Behind(tick) => {
                    self.take_tick(tick);
                    self.catch_up().await?;
                }
            }
        }
    }

    fn take_tick(&mut self, tick: Option<Arc<v1::QueueTick>>) {
        if let Some(tick) = tick {
            self.tick = Some((*tick).clone());
        }
    }

    /// Continues in the feed, or reads on in the store. If events are missing there too, continues
    /// with what happens from now on.
    async fn catch_up(&mut self) -> Result<(), StoreError> {
        if self.feed.seek(&mut self.cursor) {
            return Ok(());
        }
        let after = self.cursor.after;
        let read = self.store().events(after, READ, Duration::ZERO).await?;
        match read.events.last() {
            Some(last) if !read.gap => {
                let closed = self.reader.followed.items.closed();
                let messages = self.feed.publisher().messages(after, &read.events, &closed);
                if messages.is_empty() {
                    self.cursor.after = last.seq();
                }
                self.caught_up = messages.into();
            }
            _ => self.miss(),
        }
        Ok(())
    }

    /// Skips what the stream cannot get any more.
    fn miss(&mut self) {
        self.feed.skip(&mut self.cursor);
        self.tick = self.feed.tick();
        self.gap = true;
        self.reader.metrics.server.follow_gaps.inc();
    }

    /// Removes what the stream has sent before, and adds what is to come with the next message.
    fn complete(&mut self, mut message: v1::PublishRequest) -> v1::PublishRequest {
        let after = self.cursor.after;
        if message.updates.first().is_some_and(|first| first.sequence() <= after) {
            message.updates.retain(|update| update.sequence() > after);
        }
        self.cursor.after = after.max(message.through());
        let EventSeq { ms, number } = self.cursor.after;
        (message.through_ms, message.through_number) = (ms, number);
        message.gap = std::mem::take(&mut self.gap);
        message.tick = self.tick.take();
        message
    }
}

impl Drop for QueueFollower {
    fn drop(&mut self) {
        self.feed.close();
        self.reader.metrics.server.followers.dec();
    }
}
