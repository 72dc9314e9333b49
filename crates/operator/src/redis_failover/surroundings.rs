//! What the driver needs beside the nodes: the record, the Pods and the leader's fence.

use std::future::Future;

use super::view::{FailoverGoal, NODES, NodeIndex, PrimaryRecord};

/// What is wanted, and which Pods are of an older template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DesiredFailover {
    /// What is wanted.
    pub goal: FailoverGoal,
    /// The Pods of an older template.
    pub outdated: [bool; NODES],
    /// The Pods that are ready, by the API server; known only while some are outdated.
    pub ready: [bool; NODES],
    /// Whether all workers have the settings of the present spec.
    pub workers_follow: bool,
}

/// Why a step beside the nodes failed, as a sentence.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct SurroundingsError(pub String);

/// The record in the resource, the Pods, and whether this process is the leader.
pub trait FailoverSurroundings: Send {
    /// Whether this process may act now.
    fn may_act(&self) -> bool;

    /// Reads the record as it is now, not as a watch has seen it.
    fn read_record(
        &mut self,
    ) -> impl Future<Output = Result<Option<PrimaryRecord>, SurroundingsError>> + Send;

    /// Writes `new` if the record is still `old`. Returns whether it did.
    fn replace_record(
        &mut self,
        old: Option<PrimaryRecord>,
        new: Option<PrimaryRecord>,
    ) -> impl Future<Output = Result<bool, SurroundingsError>> + Send;

    /// Deletes the Pod of a node.
    fn replace_pod(
        &mut self,
        node: NodeIndex,
    ) -> impl Future<Output = Result<(), SurroundingsError>> + Send;
}
