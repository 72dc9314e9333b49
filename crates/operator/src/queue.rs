//! A `BookingQueue` as the operator watches it, and the key that identifies it.

use std::hash::Hash;

use bookingq_api::BookingQueue;
use kube::core::{DeserializeGuard, ObjectMeta};
use kube::runtime::reflector::{self, ObjectRef};
use kube::{Resource as _, ResourceExt as _};

/// A queue, or why it cannot be decoded. One that cannot be decoded does not block the others.
pub type WatchedQueue = DeserializeGuard<BookingQueue>;
/// Namespace and name of a queue.
pub type QueueKey = ObjectRef<WatchedQueue>;

/// The key of the queue.
pub fn key(queue: &WatchedQueue) -> QueueKey {
    ObjectRef::new(&queue.name_any()).within(&queue.namespace().unwrap_or_default())
}

/// `namespace/name` of a queue or of another resource, for logs.
pub fn log_name<K>(key: &ObjectRef<K>) -> String
where
    K: reflector::Lookup,
    K::DynamicType: Eq + Hash,
{
    format!("{}/{}", key.namespace.as_deref().unwrap_or_default(), key.name)
}

/// The queue that owns an object with this metadata.
pub fn owner(meta: &ObjectMeta) -> Option<QueueKey> {
    let kind = BookingQueue::kind(&());
    let owner = meta.owner_references.iter().flatten().find(|owner| owner.kind == kind)?;
    Some(ObjectRef::new(&owner.name).within(meta.namespace.as_deref().unwrap_or_default()))
}
