//! What the operator keeps of one Pod.

use std::net::IpAddr;

use jiff::Timestamp;
use kube::ResourceExt as _;
use kube::core::DynamicObject;
use serde_json::Value;

use super::pod_fault::{FaultReason, PodFault, of_pod};
use super::pod_status::{condition, container_statuses, time, transition};
use crate::build::names::Part;

/// Label of a Pod of a StatefulSet: the revision of its template.
const REVISION: &str = "controller-revision-hash";

/// One Pod.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "each says another thing of a Pod's status")]
pub struct PodRecord {
    /// `metadata.name`.
    pub name: String,
    /// The part of its queue.
    pub part: Part,
    /// `metadata.uid`.
    pub uid: String,
    /// `metadata.resourceVersion`.
    pub version: String,
    /// UID of the object that manages it.
    pub manager: Option<String>,
    /// Revision of its template, if a StatefulSet manages it.
    pub revision: Option<String>,
    /// When it was created.
    pub created: Timestamp,
    /// Whether it has ended, well or not.
    pub ended: bool,
    /// Whether it is being deleted.
    pub leaving: bool,
    /// Whether it is ready.
    pub ready: bool,
    /// Whether it runs or has ended well.
    pub healthy: bool,
    /// Whether no node has room for it.
    pub unschedulable: bool,
    /// Its address while it runs.
    pub running_at: Option<IpAddr>,
    /// Whether it has never been ready, as far as its status shows.
    pub never_ready: bool,
    /// Whether one of its containers runs now.
    pub runs: bool,
    /// Why it does not start or stay up.
    pub fault: Option<PodFault>,
}

/// A gateway Pod that has not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GatewayPod {
    /// Its address once it runs; until then it has no connections.
    pub running_at: Option<IpAddr>,
    /// Whether no node has room for it.
    pub unschedulable: bool,
}

impl PodRecord {
    /// Of a watched Pod; `None` if it is of no known part. `before` is the last record of the same
    /// name.
    pub fn of(pod: &DynamicObject, before: Option<&Self>) -> Option<Self> {
        let part = Part::named(pod.labels().get("app.kubernetes.io/component")?)?;
        let meta = &pod.metadata;
        let status = &pod.data["status"];
        let phase = status["phase"].as_str().unwrap_or_default();
        let created = meta.creation_timestamp.as_ref().map_or(Timestamp::UNIX_EPOCH, |at| at.0);
        let ready = condition(status, "Ready").is_some_and(|found| found["status"] == "True");
        let address = status["podIP"].as_str().and_then(|address| address.parse().ok());
        let leaving = meta.deletion_timestamp.is_some();
        let uid = meta.uid.clone().unwrap_or_default();
        let fault = of_pod(pod);
        let manager = meta.owner_references.iter().flatten().find(|o| o.controller == Some(true));
        let mut record = Self {
            name: pod.name_any(),
            part,
            uid,
            version: meta.resource_version.clone().unwrap_or_default(),
            manager: manager.map(|owner| owner.uid.clone()),
            revision: pod.labels().get(REVISION).cloned(),
            created,
            ended: matches!(phase, "Succeeded" | "Failed"),
            leaving,
            ready,
            healthy: matches!(phase, "Running" | "Succeeded") && fault.is_none(),
            unschedulable: is_unschedulable(status),
            running_at: address.filter(|_| phase == "Running"),
            never_ready: !ready && never_ready(status),
            runs: container_statuses(status).any(|one| !one["state"]["running"].is_null()),
            fault,
        };
        record.keep_detail(before);
        Some(record)
    }

    /// Whether a queue must be reconciled when the Pod comes or goes.
    pub fn wakes(&self) -> bool {
        self.fault.is_some() && !self.leaving
    }

    /// The part of the record that is a reason to reconcile the queue when it changes.
    pub(super) fn concern(&self) -> (Option<&PodFault>, bool) {
        (self.fault.as_ref(), self.wakes() && self.runs)
    }

    /// The kubelet alternates between the cause of a failed pull and the bare fact that it waits:
    /// the cause is kept.
    fn keep_detail(&mut self, before: Option<&Self>) {
        let Some(before) = before.filter(|before| before.uid == self.uid) else { return };
        let (Some(new), Some(old)) = (&mut self.fault, &before.fault) else { return };
        let pull = FaultReason::ImagePullBackOff;
        if new.reason == pull && old.reason == pull && old.detail.len() > new.detail.len() {
            new.detail.clone_from(&old.detail);
        }
    }
}

fn is_unschedulable(status: &Value) -> bool {
    condition(status, "PodScheduled").is_some_and(|condition| {
        condition["status"] == "False" && condition["reason"] == "Unschedulable"
    })
}

/// Whether no container has restarted, and the Pod became unready before its containers started: a
/// Pod that was ready has a later transition.
fn never_ready(status: &Value) -> bool {
    let unready = transition(status, "Ready");
    container_statuses(status).all(|container| {
        let restarted = container["restartCount"].as_i64().unwrap_or(0) > 0;
        let started = time(&container["state"]["running"]["startedAt"]);
        let was_ready = started.zip(unready).is_some_and(|(started, unready)| unready > started);
        !restarted && !was_ready
    })
}
