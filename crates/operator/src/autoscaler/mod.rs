//! The autoscaler: for each queue a loop that reads its store once a second, plans, and scales its
//! workers, and beside it one that reads the connections of its gateways and scales those, and one
//! that keeps the primary of a Redis of three.
//!
//! ```text
//!   reconcile ──DesiredState──> queue loop ── store::snapshot ─> core::autoscale ─> PATCH /scale
//!                                   |         (Kafka: the newest reading that a worker published)
//!       ^                           |
//!       '──────── wakes ──── Observation (input of the status)
//! ```
//!
//! These loops alone write the numbers of replicas; the reconciler writes everything else.

pub mod connections;
mod context;
mod gateway_loop;
mod kafka_source;
mod kafka_topics;
pub mod observation;
mod opened_store;
mod queue_loop;
mod queue_source;
mod redis_loop;
pub mod replicas;
pub mod scaling;
pub mod settings;
mod store_access;
pub mod worker_rollout;

use std::collections::HashMap;
use std::sync::Arc;

use bookingq_api::status::BookingQueueStatus;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::queue::QueueKey;
use crate::target::QueueTarget;
pub use context::{DesiredState, LoopContext, RedisPassword, WriteScope};
pub use kafka_source::KafkaFollowers;
use observation::{GatewayObservation, Observation, RedisObservation};
pub use store_access::{KafkaAccess, StoreAccess};

/// The queue loops.
pub struct Autoscaler {
    context: Arc<LoopContext>,
    loops: Mutex<HashMap<QueueKey, LoopHandle>>,
}

struct LoopHandle {
    desired: watch::Sender<DesiredState>,
    observed: watch::Receiver<Observation>,
    gateways: watch::Receiver<GatewayObservation>,
    redis: watch::Receiver<Option<RedisObservation>>,
}

impl Autoscaler {
    /// Without queues.
    pub fn new(context: LoopContext) -> Self {
        Self { context: Arc::new(context), loops: Mutex::default() }
    }

    /// Starts the loops of a queue, or passes a changed state to them. `before` is the queue's
    /// status, with the last scalings.
    pub fn update(
        &self,
        key: &QueueKey,
        desired: DesiredState,
        before: Option<&BookingQueueStatus>,
    ) {
        let mut loops = self.loops.lock();
        if let Some(handle) = loops.get(key).filter(|handle| !handle.desired.is_closed()) {
            handle.desired.send_if_modified(|current| {
                let changed = *current != desired;
                if changed {
                    *current = desired;
                }
                changed
            });
            return;
        }
        let (sender, receiver) = watch::channel(desired);
        let last = before.and_then(|before| before.last_scaling.clone());
        let (observing, observed) = watch::channel(Observation::starting(last));
        let last = before.and_then(|before| before.gateway.as_ref()?.last_scaling.clone());
        let (looking, gateways) = watch::channel(GatewayObservation::starting(last));
        let context = self.context.clone();
        let of_gateways =
            gateway_loop::run(context.clone(), key.clone(), receiver.clone(), looking);
        let (guarding, redis) = watch::channel(None);
        let of_redis = redis_loop::run(context.clone(), key.clone(), receiver.clone(), guarding);
        let of_workers = queue_loop::run(context, key.clone(), receiver, observing);
        tokio::spawn(async move {
            tokio::select! {
                // It notices that the queue was deleted.
                () = of_workers => {}
                () = of_gateways => {}
                () = of_redis => {}
            }
        });
        loops.insert(key.clone(), LoopHandle { desired: sender, observed, gateways, redis });
    }

    /// The target that the loops of a queue follow; `None` while they do not run.
    pub fn followed(&self, key: &QueueKey) -> Option<Arc<QueueTarget>> {
        let loops = self.loops.lock();
        let running = loops.get(key).filter(|handle| !handle.desired.is_closed())?;
        Some(running.desired.borrow().target.clone())
    }

    /// Says what the loops of a queue may write. Their state stays as it is otherwise.
    pub fn restrict(&self, key: &QueueKey, scope: WriteScope) {
        if let Some(handle) = self.loops.lock().get(key) {
            handle
                .desired
                .send_if_modified(|current| std::mem::replace(&mut current.scope, scope) != scope);
        }
    }

    /// The last observation of a queue's loop.
    pub fn observation(&self, key: &QueueKey) -> Option<Observation> {
        self.loops.lock().get(key).map(|handle| handle.observed.borrow().clone())
    }

    /// The last observation of a queue's gateways.
    pub fn gateways(&self, key: &QueueKey) -> Option<GatewayObservation> {
        self.loops.lock().get(key).map(|handle| handle.gateways.borrow().clone())
    }

    /// The last observation of a queue's Redis of three.
    pub fn redis(&self, key: &QueueKey) -> Option<RedisObservation> {
        self.loops.lock().get(key).and_then(|handle| *handle.redis.borrow())
    }

    /// Removes the loops that have ended because their queues were deleted, and returns their keys.
    pub fn remove_ended(&self) -> Vec<QueueKey> {
        let mut loops = self.loops.lock();
        let ended = loops.extract_if(|_, handle| handle.desired.is_closed());
        ended.map(|(key, _)| key).collect()
    }
}
