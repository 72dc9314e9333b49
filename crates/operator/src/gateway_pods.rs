//! The gateway Pods of all queues: where to read their open connections.

use std::collections::{BTreeMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use kube::core::DynamicObject;
use kube::runtime::watcher::Event;
use parking_lot::Mutex;

use crate::pending_pods::{PodName, is_unschedulable, pod_name};

/// A gateway Pod that has not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GatewayPod {
    /// Its address once it runs; until then it has no connections.
    pub running_at: Option<IpAddr>,
    /// Whether no node has room for it.
    pub unschedulable: bool,
}

/// The gateway Pods of all queues. Cheap to clone.
#[derive(Clone, Default)]
pub struct GatewayPods {
    pods: Arc<Mutex<BTreeMap<PodName, GatewayPod>>>,
    /// Pods of the list that is being received.
    listed: Arc<Mutex<HashSet<PodName>>>,
}

impl GatewayPods {
    /// The gateways of a queue, those that shut down included.
    pub fn of_queue(&self, namespace: &str, queue: &str) -> Vec<GatewayPod> {
        let first = (namespace.to_owned(), queue.to_owned(), String::new());
        let pods = self.pods.lock();
        let own = pods.range(first..).take_while(|((n, q, _), _)| n == namespace && q == queue);
        own.map(|(_, pod)| *pod).collect()
    }

    /// Applies an event of the watch.
    pub fn on_event(&self, event: &Event<DynamicObject>) {
        match event {
            Event::Init => self.listed.lock().clear(),
            Event::InitApply(pod) => {
                self.listed.lock().insert(pod_name(pod));
                self.insert(pod);
            }
            Event::InitDone => {
                let listed = std::mem::take(&mut *self.listed.lock());
                self.pods.lock().retain(|name, _| listed.contains(name));
            }
            Event::Apply(pod) => self.insert(pod),
            Event::Delete(pod) => {
                self.pods.lock().remove(&pod_name(pod));
            }
        }
    }

    fn insert(&self, pod: &DynamicObject) {
        let status = &pod.data["status"];
        let phase = status["phase"].as_str().unwrap_or_default();
        let mut pods = self.pods.lock();
        if matches!(phase, "Succeeded" | "Failed") {
            pods.remove(&pod_name(pod));
            return;
        }
        let address = status["podIP"].as_str().and_then(|address| address.parse().ok());
        let running_at = address.filter(|_| phase == "Running");
        let known = GatewayPod { running_at, unschedulable: is_unschedulable(pod) };
        pods.insert(pod_name(pod), known);
    }
}
