//! Worker Pods that cannot be scheduled.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use kube::ResourceExt as _;
use kube::core::DynamicObject;
use kube::runtime::watcher::Event;
use parking_lot::Mutex;

/// Namespace, queue and name of a Pod.
pub(crate) type PodName = (String, String, String);

/// The unschedulable Pods of all queues. Cheap to clone.
#[derive(Clone, Default)]
pub struct PendingPods {
    unschedulable: Arc<Mutex<BTreeSet<PodName>>>,
    /// Pods of the list that is being received.
    listed: Arc<Mutex<HashSet<PodName>>>,
}

impl PendingPods {
    /// Number of workers of a queue that cannot be scheduled.
    pub fn unschedulable(&self, namespace: &str, queue: &str) -> usize {
        let first = (namespace.to_owned(), queue.to_owned(), String::new());
        let pods = self.unschedulable.lock();
        pods.range(first..).take_while(|(n, q, _)| n == namespace && q == queue).count()
    }

    /// Applies an event of the watch, which covers the Pods without a node.
    pub fn on_event(&self, event: &Event<DynamicObject>) {
        match event {
            Event::Init => self.listed.lock().clear(),
            Event::InitApply(pod) => {
                self.listed.lock().insert(pod_name(pod));
                self.insert(pod);
            }
            Event::InitDone => {
                let listed = std::mem::take(&mut *self.listed.lock());
                self.unschedulable.lock().retain(|pod| listed.contains(pod));
            }
            Event::Apply(pod) => self.insert(pod),
            Event::Delete(pod) => {
                self.unschedulable.lock().remove(&pod_name(pod));
            }
        }
    }

    fn insert(&self, pod: &DynamicObject) {
        let mut pods = self.unschedulable.lock();
        if is_unschedulable(pod) {
            pods.insert(pod_name(pod));
        } else {
            pods.remove(&pod_name(pod));
        }
    }
}

/// Whether no node has room for the Pod.
pub(crate) fn is_unschedulable(pod: &DynamicObject) -> bool {
    let mut conditions = pod.data["status"]["conditions"].as_array().into_iter().flatten();
    conditions.any(|condition| {
        condition["type"] == "PodScheduled"
            && condition["status"] == "False"
            && condition["reason"] == "Unschedulable"
    })
}

/// Namespace, queue and name of the Pod.
pub(crate) fn pod_name(pod: &DynamicObject) -> PodName {
    let queue = pod.labels().get("app.kubernetes.io/instance").cloned().unwrap_or_default();
    (pod.namespace().unwrap_or_default(), queue, pod.name_any())
}
