//! The autoscaler: for each queue one loop that reads its store once a second, decides, and scales
//! its workers.
//!
//! ```text
//!   reconcile ──Order──> member (loop) ── store::snapshot ── reading ── core::autoscale ── PATCH deployments/…/scale
//!       ^                   |
//!       '────── wakes ──── Observation (what the status says of the line)
//! ```
//!
//! The loop and the reconciler never write the same field: only the loop writes the number of
//! workers, only the reconciler writes the status and everything else.

pub mod observation;
mod queue_loop;
mod scaling;

use std::collections::HashMap;
use std::sync::Arc;

use bookingq_api::status::LastScaling;
use bookingq_store::RedisConfig;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::runtime::reflector::Store;
use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};

use crate::caches::{Caches, Key, Watched};
use crate::events::Events;
use crate::metrics::Metrics;
use crate::target::Target;
use observation::Observation;
pub(crate) use scaling::now as scaling_now;

/// What the reconciler tells a loop.
#[derive(Debug, Clone, PartialEq)]
pub struct Order {
    /// The queue.
    pub target: Arc<Target>,
    /// Its Redis.
    pub redis: RedisConfig,
    /// Whom events are about.
    pub about: ObjectReference,
}

/// What all loops share.
pub(crate) struct Shared {
    pub client: Client,
    pub caches: Caches,
    pub queues: Store<Watched>,
    pub events: Events,
    pub metrics: Metrics,
    pub wake: mpsc::Sender<Key>,
}

struct Member {
    orders: watch::Sender<Order>,
    observed: watch::Receiver<Observation>,
}

/// The loops of all queues.
pub struct Autoscaler {
    shared: Arc<Shared>,
    members: Mutex<HashMap<Key, Member>>,
}

impl Autoscaler {
    pub(crate) fn new(shared: Shared) -> Self {
        Self { shared: Arc::new(shared), members: Mutex::default() }
    }

    /// Starts the loop of a queue, or tells it what has changed. `before` is the decision that the
    /// status remembers.
    pub fn order(&self, key: &Key, order: Order, before: Option<LastScaling>) {
        let mut members = self.members.lock();
        if let Some(member) = members.get(key).filter(|member| !member.orders.is_closed()) {
            member.orders.send_if_modified(|current| {
                let changed = *current != order;
                if changed {
                    *current = order;
                }
                changed
            });
            return;
        }
        let (orders, ordered) = watch::channel(order);
        let (observing, observed) = watch::channel(Observation::starting(before));
        tokio::spawn(queue_loop::run(self.shared.clone(), key.clone(), ordered, observing));
        members.insert(key.clone(), Member { orders, observed });
    }

    /// What the loop of a queue saw last; `None` if it has none.
    pub fn observation(&self, key: &Key) -> Option<Observation> {
        self.members.lock().get(key).map(|member| member.observed.borrow().clone())
    }

    /// Forgets the loops that have ended because their queues are gone; tells which.
    pub fn bury(&self) -> Vec<Key> {
        let mut members = self.members.lock();
        let gone: Vec<Key> = members
            .iter()
            .filter(|(_, member)| member.orders.is_closed())
            .map(|(key, _)| key.clone())
            .collect();
        for key in &gone {
            members.remove(key);
        }
        gone
    }
}
