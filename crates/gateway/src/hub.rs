//! The connections of a queue by client: where news of a booking find their readers.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::sync::Arc;

use bookingq_core::ClientId;
use parking_lot::Mutex;

use crate::close::CloseReason;
use crate::frames::ReadyFrame;
use crate::metrics::ResyncCause;
use crate::subscriber::{BookingNews, PlaceSubscriber};

/// Parts with a lock of their own.
const PARTS: usize = 16;
/// Connections of one place; one more closes the oldest.
const OF_A_PLACE: usize = 4;

type HubPart = Mutex<HashMap<ClientId, PlaceConnections>>;

/// The connections.
#[derive(Debug)]
pub(crate) struct PlaceHub {
    parts: [HubPart; PARTS],
    hasher: RandomState,
}

/// Those of one client, oldest first. Nearly always one.
#[derive(Debug)]
enum PlaceConnections {
    One(Arc<PlaceSubscriber>),
    Several(Vec<Arc<PlaceSubscriber>>),
}

impl PlaceConnections {
    fn as_slice(&self) -> &[Arc<PlaceSubscriber>] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Several(several) => several,
        }
    }

    /// Adds the newest. Returns the oldest if there are too many.
    fn push(&mut self, newest: Arc<PlaceSubscriber>) -> Option<Arc<PlaceSubscriber>> {
        let mut all = self.as_slice().to_vec();
        all.push(newest);
        let oldest = (all.len() > OF_A_PLACE).then(|| all.remove(0));
        *self = Self::Several(all);
        oldest
    }
}

impl PlaceHub {
    pub(crate) fn new() -> Self {
        Self { parts: Default::default(), hasher: RandomState::new() }
    }

    fn part(&self, client: &str) -> &HubPart {
        &self.parts[self.hasher.hash_one(client) as usize % PARTS]
    }

    /// Adds a connection of the client. From now on it gets the client's news.
    pub(crate) fn join(&self, client: ClientId) -> Arc<PlaceSubscriber> {
        let subscriber = PlaceSubscriber::new(client.clone());
        let mut part = self.part(client.as_str()).lock();
        let oldest = if let Some(connections) = part.get_mut(client.as_str()) {
            connections.push(Arc::clone(&subscriber))
        } else {
            part.insert(client, PlaceConnections::One(Arc::clone(&subscriber)));
            None
        };
        drop(part);
        if let Some(oldest) = oldest {
            oldest.close(CloseReason::Replaced);
        }
        subscriber
    }

    /// Removes a connection.
    pub(crate) fn leave(&self, subscriber: &Arc<PlaceSubscriber>) {
        let client = subscriber.client().as_str();
        let mut part = self.part(client).lock();
        let Some(connections) = part.get_mut(client) else { return };
        let others = connections.as_slice().iter().filter(|one| !Arc::ptr_eq(one, subscriber));
        let mut others: Vec<_> = others.cloned().collect();
        match others.len() {
            0 => drop(part.remove(client)),
            1 => *connections = PlaceConnections::One(others.remove(0)),
            _ => *connections = PlaceConnections::Several(others),
        }
    }

    /// Delivers news to the connections of a client; makes them only if there are any.
    pub(crate) fn deliver(&self, client: &str, news: impl FnOnce() -> Option<BookingNews>) {
        let part = self.part(client).lock();
        let Some(connections) = part.get(client) else { return };
        let Some(news) = news().map(Arc::new) else { return };
        for subscriber in connections.as_slice() {
            subscriber.deliver(&news);
        }
    }

    /// Delivers the change of an item to all clients that wait for it.
    pub(crate) fn item_changed(&self, item: &str, frame: &ReadyFrame) {
        self.each(|subscriber| subscriber.item_changed(item, frame));
    }

    /// Lets all connections read their snapshots again. Returns their number.
    pub(crate) fn resync_all(&self, cause: ResyncCause) -> usize {
        self.each(|subscriber| subscriber.resync(cause))
    }

    /// All connections at this moment.
    pub(crate) fn all(&self) -> Vec<Arc<PlaceSubscriber>> {
        let mut all = Vec::new();
        self.each(|subscriber| all.push(Arc::clone(subscriber)));
        all
    }

    /// The number of connections.
    pub(crate) fn count(&self) -> usize {
        let of = |part: &HubPart| {
            let connections = part.lock();
            connections.values().map(|of_one| of_one.as_slice().len()).sum::<usize>()
        };
        self.parts.iter().map(of).sum()
    }

    fn each(&self, mut action: impl FnMut(&Arc<PlaceSubscriber>)) -> usize {
        let mut count = 0;
        for part in &self.parts {
            for connections in part.lock().values() {
                for subscriber in connections.as_slice() {
                    action(subscriber);
                    count += 1;
                }
            }
        }
        count
    }
}
