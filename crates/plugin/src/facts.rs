//! What a cluster knows about one queue, read once.

use bookingq_api::BookingQueue;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::api::ListParams;

use crate::cluster::Cluster;
use crate::error::PluginError;

/// At most so many events and Pods are read.
const MOST: u32 = 500;

/// A queue, its Pods, and what was reported about it.
#[derive(Debug, Clone)]
pub struct QueueFacts {
    /// The resource.
    pub queue: BookingQueue,
    /// The Pods of its workers, sweepers, gateways and Redis.
    pub pods: Vec<Pod>,
    /// The events about the resource, oldest first.
    pub events: Vec<Event>,
}

impl QueueFacts {
    /// Reads them.
    ///
    /// # Errors
    /// When the queue does not exist, or the API server refuses.
    pub async fn read(cluster: &Cluster, name: &str) -> Result<Self, PluginError> {
        let queue = cluster.queue(name).await?;
        let owned = ListParams::default().labels(&of_queue(name)).limit(MOST);
        let pods = cluster.api::<Pod>().list(&owned).await;
        let about = format!("involvedObject.kind=BookingQueue,involvedObject.name={name}");
        let about = ListParams::default().fields(&about).limit(MOST);
        let events = cluster.api::<Event>().list(&about).await;
        let mut events = events.map_err(PluginError::asked("the events"))?.items;
        events.sort_by_key(time_of);
        Ok(Self { queue, pods: pods.map_err(PluginError::asked("the Pods"))?.items, events })
    }
}

/// Selects what belongs to a queue.
pub fn of_queue(name: &str) -> String {
    format!("app.kubernetes.io/name=bookingq,app.kubernetes.io/instance={name}")
}

/// When an event was last seen.
pub fn time_of(event: &Event) -> Option<Timestamp> {
    let series = event.series.as_ref().and_then(|series| series.last_observed_time.as_ref());
    let exact = series.or(event.event_time.as_ref()).map(|time| time.0);
    exact.or(event.last_timestamp.as_ref().map(|time| time.0))
}
