//! The Pods of all queues: what the autoscaler, the conditions and the repair of stuck Pods read of
//! them.
//!
//! ```text
//!   Pods ─> record (one Pod) ─> PodCache ─┬─> pod_fault (why none start) ─> tracker ─> status
//!                                         ├─> stuck (which Pod Kubernetes never replaces)
//!                                         └─> autoscaler (unschedulable Pods, gateways)
//!   events ─> creation (why a Pod that is missing was not created) ─> tracker
//! ```

pub mod creation;
pub mod pod_fault;
pub(crate) mod pod_status;
pub mod record;
pub mod stuck;
pub mod tracker;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use kube::ResourceExt as _;
use kube::core::DynamicObject;
use kube::runtime::reflector::ObjectRef;
use kube::runtime::watcher::Event;
use parking_lot::Mutex;

use crate::build::names::Part;
use crate::queue::QueueKey;
use record::{GatewayPod, PodRecord};

/// Namespace, queue and name of a Pod.
type PodName = (String, String, String);

/// The Pods of all queues, as the watch last saw them. Cheap to clone.
#[derive(Clone, Default)]
pub struct PodCache {
    pods: Arc<Mutex<BTreeMap<PodName, PodRecord>>>,
    /// Pods of the list that is being received.
    listed: Arc<Mutex<HashSet<PodName>>>,
}

impl PodCache {
    /// The Pods of one part of a queue, sorted by name.
    pub fn of_part(&self, namespace: &str, queue: &str, part: Part) -> Vec<PodRecord> {
        let first = (namespace.to_owned(), queue.to_owned(), String::new());
        let pods = self.pods.lock();
        let own = pods.range(first..).take_while(|((n, q, _), _)| n == namespace && q == queue);
        own.filter(|(_, pod)| pod.part == part).map(|(_, pod)| pod.clone()).collect()
    }

    /// Number of Pods of a part that cannot be scheduled.
    pub fn unschedulable(&self, namespace: &str, queue: &str, part: Part) -> usize {
        let pods = self.of_part(namespace, queue, part);
        pods.iter().filter(|pod| !pod.ended && pod.unschedulable).count()
    }

    /// The gateways of a queue that have not ended, those that shut down included.
    pub fn gateways(&self, namespace: &str, queue: &str) -> Vec<GatewayPod> {
        let pods = self.of_part(namespace, queue, Part::Gateway);
        let alive = pods.iter().filter(|pod| !pod.ended);
        alive
            .map(|pod| GatewayPod { running_at: pod.running_at, unschedulable: pod.unschedulable })
            .collect()
    }

    /// Applies an event of the watch. Returns the queues of which a Pod began or ceased to be in
    /// fault, so that a Pod that starts well wakes none.
    pub fn on_event(&self, event: &Event<DynamicObject>) -> Vec<QueueKey> {
        match event {
            Event::Init => self.listed.lock().clear(),
            Event::InitApply(pod) => {
                self.listed.lock().insert(pod_name(pod));
                return self.insert(pod).into_iter().collect();
            }
            Event::InitDone => {
                let listed = std::mem::take(&mut *self.listed.lock());
                let mut pods = self.pods.lock();
                let gone = pods.extract_if(.., |name, _| !listed.contains(name));
                let gone = gone.filter(|(_, pod)| pod.wakes());
                return gone.map(|(name, _)| queue_of(&name)).collect();
            }
            Event::Apply(pod) => return self.insert(pod).into_iter().collect(),
            Event::Delete(pod) => {
                let name = pod_name(pod);
                let gone = self.pods.lock().remove(&name).filter(PodRecord::wakes);
                return gone.map(|_| queue_of(&name)).into_iter().collect();
            }
        }
        Vec::new()
    }

    fn insert(&self, pod: &DynamicObject) -> Option<QueueKey> {
        let name = pod_name(pod);
        let mut pods = self.pods.lock();
        let Some(record) = PodRecord::of(pod, pods.get(&name)) else {
            pods.remove(&name);
            return None;
        };
        let differs = match pods.get(&name) {
            Some(before) => before.concern() != record.concern(),
            None => record.wakes(),
        };
        let key = differs.then(|| queue_of(&name));
        pods.insert(name, record);
        key
    }
}

fn queue_of((namespace, queue, _): &PodName) -> QueueKey {
    ObjectRef::new(queue).within(namespace)
}

fn pod_name(pod: &DynamicObject) -> PodName {
    let queue = pod.labels().get("app.kubernetes.io/instance").cloned().unwrap_or_default();
    (pod.namespace().unwrap_or_default(), queue, pod.name_any())
}
