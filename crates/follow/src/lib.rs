//! One process's view of a queue, kept up to date by its events: exact positions, the pace of the
//! line, the items that are sold out, and the subscribers that watch bookings.
//!
//! ```text
//!   store.events ──> OutboxFollower ──┐
//!   (or batches from elsewhere) ──────┴─> FollowedQueue ──> LineView  (positions, waits)
//!                                                      |──> ItemsView (closed items)
//!                                                      |──> DemandView (chances)
//!                                                      '──> Hub ──> subscriptions
//! ```
//!
//! `FollowedQueue` needs no store: a process that receives events in another way pushes them with
//! [`FollowedQueue::apply`], and a line that it has read with [`FollowedQueue::reload`].

pub mod demand;
pub mod hub;
pub mod items;
pub mod line_view;
pub mod outbox;
pub mod parked;

use std::sync::Arc;

use bookingq_core::line::Line;
use bookingq_core::{ItemState, OutboxEvent};

pub use demand::DemandView;
pub use hub::{Hub, Subscription, WatchUpdate, WatchedBooking};
pub use items::{ClosedItems, ItemsView};
pub use line_view::{LineOverview, LineView, Standing};
pub use outbox::{FollowEvent, OutboxFollower};
pub use parked::ParkedView;

/// What this process knows of a queue without asking the store.
#[derive(Debug, Default)]
pub struct FollowedQueue {
    /// The line, the parked bookings, the pace and the expected waits.
    pub line: LineView,
    /// The items that are sold out, at the moment or for good.
    pub items: ItemsView,
    /// The demand for each item.
    pub demand: DemandView,
    /// The subscribers of this process.
    pub hub: Arc<Hub>,
}

impl FollowedQueue {
    /// An empty line without subscribers.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Replaces the line, the parked places and the items with what was just read. Subscribers must
    /// look at their bookings again: events may have been missed.
    pub fn reload(&self, line: Line, parked: ParkedView, items: Vec<ItemState>) {
        self.line.replace(line, parked);
        self.items.replace(items);
        self.hub.refresh_all();
    }

    /// Applies events, oldest first. Events from before the line was read may be repeated.
    ///
    /// Subscribers learn about a change of an item when the items are [read
    /// again](Self::refresh_items).
    pub fn apply(&self, events: Vec<OutboxEvent>) {
        self.line.apply(&events);
        for event in events {
            match event {
                OutboxEvent::Booking(event) => self.hub.deliver(event),
                OutboxEvent::Item(event) => self.items.apply(&event),
            }
        }
    }

    /// Takes a reading of the closed items, if it succeeded, and sends what is news to the
    /// subscribers who want one of them.
    pub fn refresh_items(&self, items: Option<Vec<ItemState>>) {
        if let Some(items) = items {
            self.items.replace(items);
        }
        self.hub.publish_items(&self.items.closed());
    }

    /// Sends positions to subscribers until dropped.
    pub async fn publish_positions(self: Arc<Self>) {
        self.hub.publish_positions(&self.line).await;
    }
}
