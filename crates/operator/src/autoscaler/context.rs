//! The inputs of a queue loop.

use std::fmt;
use std::sync::Arc;

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::runtime::reflector::Store;
use tokio::sync::mpsc;

use super::kafka_source::KafkaFollowers;
use super::store_access::StoreAccess;
use crate::events::EventRecorder;
use crate::leader_fence::LeaderFence;
use crate::metrics::Metrics;
use crate::object_cache::ObjectCache;
use crate::pods::PodCache;
use crate::queue::{QueueKey, WatchedQueue};
use crate::target::QueueTarget;

/// What the operator may write of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteScope {
    /// Everything.
    All,
    /// No object and no setting, because the spec may lack fields; the number of workers follows
    /// the line, unless it is zero, and a lost Redis is failed over.
    NoSettings,
    /// Nothing.
    Nothing,
}

/// The state that the reconciler asks a loop to maintain.
#[derive(Debug, Clone, PartialEq)]
pub struct DesiredState {
    /// The queue.
    pub target: Arc<QueueTarget>,
    /// Its store.
    pub store: StoreAccess,
    /// What the loops may write.
    pub scope: WriteScope,
    /// The password of a managed Redis.
    pub redis_password: Option<RedisPassword>,
    /// The object that events refer to.
    pub about: ObjectReference,
    /// Whether an update waits for an empty line.
    pub awaits_idle: bool,
}

/// Whether the number of Pods may be changed from `current`.
pub(super) fn may_scale(state: &DesiredState, current: u32) -> bool {
    match state.scope {
        WriteScope::All => true,
        // A field that is missing here may ask for zero.
        WriteScope::NoSettings => current > 0,
        WriteScope::Nothing => false,
    }
}

/// A password, which logs never show.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisPassword(pub Arc<str>);

impl fmt::Debug for RedisPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisPassword").finish_non_exhaustive()
    }
}

/// What all loops share.
pub struct LoopContext {
    /// For the scale subresource.
    pub client: Client,
    /// Whether this process may act.
    pub fence: LeaderFence,
    /// The objects of the queues.
    pub objects: ObjectCache,
    /// Pods: those that cannot be scheduled, and gateways, whose connections are read.
    pub pods: PodCache,
    /// Readings of the queues in Kafka.
    pub followers: KafkaFollowers,
    /// The queues.
    pub queues: Store<WatchedQueue>,
    /// Events.
    pub events: EventRecorder,
    /// Metrics.
    pub metrics: Metrics,
    /// Wakes the reconciler of a queue.
    pub wake: mpsc::Sender<QueueKey>,
}
