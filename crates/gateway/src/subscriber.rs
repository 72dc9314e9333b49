//! One connection of a place, as the hub and the timer wheel see it: what it shall be sent next.

use std::collections::VecDeque;
use std::sync::Arc;

use bookingq_core::{ClientId, EventSeq};
use bookingq_proto::v1;
use futures::task::AtomicWaker;
use parking_lot::Mutex;

use crate::close::CloseReason;
use crate::frames::ReadyFrame;
use crate::metrics::ResyncCause;

/// News of one booking that wait for a connection; with one more, the snapshot is read again.
const NEWS: usize = 16;

/// A change of a client's booking, shared by the connections of the client.
#[derive(Debug)]
pub(crate) struct BookingNews {
    pub(crate) frame: ReadyFrame,
    pub(crate) seq: EventSeq,
    pub(crate) number: u64,
    pub(crate) state: v1::BookingState,
    pub(crate) parked: bool,
    /// When it arrived, by the wheel's clock.
    pub(crate) received: u64,
}

/// A connection.
#[derive(Debug)]
pub(crate) struct PlaceSubscriber {
    client: ClientId,
    waker: AtomicWaker,
    inbox: Mutex<Inbox>,
}

#[derive(Debug, Default)]
struct Inbox {
    news: VecDeque<Arc<BookingNews>>,
    /// The item that the client waits for.
    item: Option<Arc<str>>,
    /// The newest change of it.
    item_frame: Option<ReadyFrame>,
    resync: Option<ResyncCause>,
    close: Option<CloseReason>,
}

/// What a connection has to do first.
#[derive(Debug)]
pub(crate) enum Order {
    Close(CloseReason),
    Resync(ResyncCause),
}

impl PlaceSubscriber {
    pub(crate) fn new(client: ClientId) -> Arc<Self> {
        Arc::new(Self { client, waker: AtomicWaker::new(), inbox: Mutex::default() })
    }

    pub(crate) fn client(&self) -> &ClientId {
        &self.client
    }

    /// The task to wake.
    pub(crate) fn register(&self, context: &std::task::Context<'_>) {
        self.waker.register(context.waker());
    }

    pub(crate) fn wake(&self) {
        self.waker.wake();
    }

    /// Ends the connection. The first reason stays, unless the process ends at once.
    pub(crate) fn close(&self, reason: CloseReason) {
        let mut inbox = self.inbox.lock();
        if reason == CloseReason::Cut || inbox.close.is_none() {
            inbox.close = Some(reason);
        }
        drop(inbox);
        self.wake();
    }

    /// Asks for a new snapshot: what was to be sent is part of it.
    pub(crate) fn resync(&self, cause: ResyncCause) {
        let mut inbox = self.inbox.lock();
        inbox.resync = Some(cause);
        inbox.news = VecDeque::new();
        inbox.item_frame = None;
        drop(inbox);
        self.wake();
    }

    /// Puts news in the queue; beyond its bound, the snapshot is read again instead.
    pub(crate) fn deliver(&self, news: &Arc<BookingNews>) {
        let mut inbox = self.inbox.lock();
        if inbox.news.len() >= NEWS {
            drop(inbox);
            self.resync(ResyncCause::Overflow);
            return;
        }
        inbox.news.push_back(Arc::clone(news));
        drop(inbox);
        self.wake();
    }

    /// Replaces the frame of the item, if this client waits for it.
    pub(crate) fn item_changed(&self, item: &str, frame: &ReadyFrame) {
        let mut inbox = self.inbox.lock();
        if inbox.item.as_deref() != Some(item) {
            return;
        }
        inbox.item_frame = Some(frame.clone());
        drop(inbox);
        self.wake();
    }

    /// A change of the item that came before [`Self::set_item`]; one that has come since is newer.
    pub(crate) fn item_missed(&self, item: &str, frame: ReadyFrame) {
        let mut inbox = self.inbox.lock();
        if inbox.item.as_deref() == Some(item) && inbox.item_frame.is_none() {
            inbox.item_frame = Some(frame);
        }
    }

    /// The item of the snapshot that is sent now.
    pub(crate) fn set_item(&self, item: Option<Arc<str>>) {
        let mut inbox = self.inbox.lock();
        if inbox.item != item {
            inbox.item_frame = None;
        }
        inbox.item = item;
    }

    pub(crate) fn take_order(&self) -> Option<Order> {
        let mut inbox = self.inbox.lock();
        // The reason stays, so that a close is never missed.
        inbox.close.map(Order::Close).or_else(|| inbox.resync.take().map(Order::Resync))
    }

    pub(crate) fn take_news(&self) -> Option<Arc<BookingNews>> {
        let mut inbox = self.inbox.lock();
        let news = inbox.news.pop_front();
        if inbox.news.is_empty() {
            // Most connections never have news again: give the memory back.
            inbox.news = VecDeque::new();
        }
        news
    }

    pub(crate) fn take_item_frame(&self) -> Option<ReadyFrame> {
        self.inbox.lock().item_frame.take()
    }
}
