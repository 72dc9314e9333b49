//! One process's view of a queue, kept up to date by its events: exact positions, the pace of the
//! line, and the subscribers that watch bookings.
//!
//! ```text
//!   store.events ──> OutboxFollower ──┐
//!   (or batches from elsewhere) ──────┴─> FollowedQueue ──> LineView  (positions, pace)
//!                                                      '──> Hub ──> subscriptions
//! ```
//!
//! `FollowedQueue` needs no store: a process that receives events in another way pushes them with
//! [`FollowedQueue::apply`], and a line that it has read with [`FollowedQueue::reload`].

pub mod hub;
pub mod line_view;
pub mod outbox;

use std::sync::Arc;

use bookingq_core::line::Line;
use bookingq_core::{Event, OutboxEvent};

pub use hub::{Hub, Subscription, WatchUpdate};
pub use line_view::{LineOverview, LineView};
pub use outbox::{FollowEvent, OutboxFollower};

/// What this process knows of a queue without asking the store.
#[derive(Debug, Default)]
pub struct FollowedQueue {
    /// The line and its pace.
    pub line: LineView,
    /// The subscribers of this process.
    pub hub: Arc<Hub>,
}

impl FollowedQueue {
    /// An empty line without subscribers.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Replaces the line with one that was just read. Subscribers must look at their bookings
    /// again: events may have been missed.
    pub fn reload(&self, line: Line) {
        self.line.replace(line);
        self.hub.refresh_all();
    }

    /// Applies events, oldest first. Events from before the line was read may be repeated.
    pub fn apply(&self, events: Vec<OutboxEvent>) {
        let events: Vec<Event> = events.into_iter().filter_map(OutboxEvent::into_booking).collect();
        self.line.apply(&events);
        for event in events {
            self.hub.deliver(event);
        }
    }

    /// Sends positions to subscribers until dropped.
    pub async fn publish_positions(self: Arc<Self>) {
        self.hub.publish_positions(&self.line).await;
    }
}
