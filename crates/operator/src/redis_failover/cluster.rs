//! The surroundings in a cluster: the record in `status.redis`, and the Pods of the StatefulSet.

use bookingq_api::BookingQueue;
use bookingq_api::status::RedisElection;
use jiff::SignedDuration;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, Preconditions};
use kube::{Api, Client};
use serde_json::json;

use super::surroundings::{FailoverSurroundings, SurroundingsError};
use super::view::{NODES, NodeIndex, PrimaryRecord};
use crate::build::names::{self, Part};
use crate::error::{ApiCallError, call};
use crate::leader_fence::LeaderFence;

/// Field manager of the record. Another one than that of the status, whose server-side apply
/// removes what it does not name.
const ELECTOR: &str = "bookingq-elector";
/// Label of a Pod: the revision of its StatefulSet.
const REVISION: &str = "controller-revision-hash";
/// A Pod that is not gone so long after the end of its grace is on a node that is lost.
const LEAVES_WITHIN: SignedDuration = SignedDuration::from_mins(5);

/// One queue of a cluster.
pub struct ClusterSurroundings {
    client: Client,
    fence: LeaderFence,
    namespace: String,
    queue: String,
    uid: String,
}

/// What the API server says about the Pods, by ordinal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PodStates {
    /// The Pods of an older template.
    pub outdated: [bool; NODES],
    /// The Pods that are ready.
    pub ready: [bool; NODES],
}

impl PodStates {
    /// Of `pods`, where `wanted` is the revision of the newest template.
    pub fn of(queue: &str, pods: &[Pod], wanted: Option<&str>, now: jiff::Timestamp) -> Self {
        let pod = |index| {
            let name = Some(names::redis_pod(queue, index));
            pods.iter().find(|pod| pod.metadata.name == name)
        };
        let is_ready = |index| pod(index).is_some_and(is_ready);
        let is_outdated = |index| {
            let Some(pod) = pod(index) else { return false };
            let revision = pod.metadata.labels.as_ref().and_then(|labels| labels.get(REVISION));
            wanted.is_some() && revision.map(String::as_str) != wanted
        };
        let one_leaves = pods.iter().any(|pod| is_leaving(pod, now));
        let outdated = std::array::from_fn(|index| !one_leaves && is_outdated(index));
        Self { outdated, ready: std::array::from_fn(is_ready) }
    }
}

/// Whether it is being deleted. On a node that is lost this never ends.
fn is_leaving(pod: &Pod, now: jiff::Timestamp) -> bool {
    let until = pod.metadata.deletion_timestamp.as_ref();
    until.is_some_and(|until| now.duration_since(until.0) < LEAVES_WITHIN)
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.into_iter().flatten().any(|one| one.type_ == "Ready" && one.status == "True")
}

impl ClusterSurroundings {
    /// The queue with this UID.
    pub fn new(
        client: Client,
        fence: LeaderFence,
        namespace: &str,
        queue: &str,
        uid: &str,
    ) -> Self {
        let [namespace, queue, uid] = [namespace, queue, uid].map(str::to_owned);
        Self { client, fence, namespace, queue, uid }
    }

    /// The Pods of an older template than the StatefulSet's, and those that are ready. For when its
    /// status counts some. While a Pod is being deleted, no other one counts as outdated.
    ///
    /// # Errors
    /// [`SurroundingsError`].
    pub async fn pods(&self) -> Result<PodStates, SurroundingsError> {
        let sets: Api<StatefulSet> = Api::namespaced(self.client.clone(), &self.namespace);
        let set = call("read the StatefulSet of Redis", sets.get(&names::redis(&self.queue))).await;
        let wanted =
            set.map_err(|error| failed(&error))?.status.and_then(|status| status.update_revision);
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), &self.namespace);
        let own = ListParams::default().labels(&names::selector_text(&self.queue, Part::Redis));
        let found = call("list the Pods of Redis", pods.list(&own))
            .await
            .map_err(|error| failed(&error))?;
        Ok(PodStates::of(&self.queue, &found.items, wanted.as_deref(), jiff::Timestamp::now()))
    }

    async fn read(&self) -> Result<BookingQueue, SurroundingsError> {
        let queues: Api<BookingQueue> = Api::namespaced(self.client.clone(), &self.namespace);
        let queue = call("read the BookingQueue", queues.get(&self.queue))
            .await
            .map_err(|error| failed(&error))?;
        if queue.metadata.uid.as_ref() != Some(&self.uid) {
            return Err(SurroundingsError("the BookingQueue was replaced by another one".into()));
        }
        Ok(queue)
    }

    fn record(&self, queue: &BookingQueue) -> Result<Option<PrimaryRecord>, SurroundingsError> {
        let Some(election) = queue.status.as_ref().and_then(|status| status.redis.as_ref()) else {
            return Ok(None);
        };
        let primary = (0..NODES).find(|i| names::redis_pod(&self.queue, *i) == election.primary);
        // Copies that no one can have are not waited for.
        let copies = u8::try_from(election.copies).unwrap_or(0);
        match (u64::try_from(election.term), primary) {
            (Ok(term), Some(primary)) => Ok(Some(PrimaryRecord { term, primary, copies })),
            _ => Err(SurroundingsError(format!(
                "status.redis is term {} and primary {:?}; allowed: a term of at least 0 and one \
                 of the three Pods of the StatefulSet",
                election.term, election.primary
            ))),
        }
    }
}

impl FailoverSurroundings for ClusterSurroundings {
    fn may_act(&self) -> bool {
        self.fence.is_open()
    }

    async fn read_record(&mut self) -> Result<Option<PrimaryRecord>, SurroundingsError> {
        let queue = self.read().await?;
        self.record(&queue)
    }

    async fn replace_record(
        &mut self,
        old: Option<PrimaryRecord>,
        new: Option<PrimaryRecord>,
    ) -> Result<bool, SurroundingsError> {
        let queue = self.read().await?;
        if self.record(&queue)? != old {
            return Ok(false);
        }
        let election = new.map(|record| RedisElection {
            term: i64::try_from(record.term).unwrap_or(i64::MAX),
            primary: names::redis_pod(&self.queue, record.primary),
            copies: i32::from(record.copies),
        });
        // With the version that was read: a change in between is a conflict.
        let patch = Patch::Merge(json!({
            "metadata": { "resourceVersion": queue.metadata.resource_version },
            "status": { "redis": election },
        }));
        let queues: Api<BookingQueue> = Api::namespaced(self.client.clone(), &self.namespace);
        let parameters =
            PatchParams { field_manager: Some(ELECTOR.to_owned()), ..PatchParams::default() };
        let written = queues.patch_status(&self.queue, &parameters, &patch);
        match call("write status.redis", written).await {
            Ok(_) => Ok(true),
            Err(error) if error.code() == Some(409) => Ok(false),
            Err(error) => Err(failed(&error)),
        }
    }

    async fn replace_pod(&mut self, node: NodeIndex) -> Result<(), SurroundingsError> {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), &self.namespace);
        let name = names::redis_pod(&self.queue, node);
        let pod = call("read a Pod of Redis", pods.get_metadata(&name))
            .await
            .map_err(|error| failed(&error))?;
        if pod.metadata.deletion_timestamp.is_some() {
            return Ok(());
        }
        let preconditions = Preconditions { uid: pod.metadata.uid, resource_version: None };
        let parameters = DeleteParams::default().preconditions(preconditions);
        match call("delete a Pod of Redis", pods.delete(&name, &parameters)).await {
            Ok(_) => Ok(()),
            Err(error) if matches!(error.code(), Some(404 | 409)) => Ok(()),
            Err(error) => Err(failed(&error)),
        }
    }
}

fn failed(error: &ApiCallError) -> SurroundingsError {
    SurroundingsError(error.to_string())
}
