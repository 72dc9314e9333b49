//! The driver of one queue's three nodes: looks, plans, and does the steps.

use std::time::{Duration, Instant};

use bookingq_core::QueueName;
use bookingq_store::redis::node::{NodeCommandError, NodeReading, NodeRole, RedisNode};
use futures::future::join_all;
use tokio::time::timeout;
use tracing::{debug, info, warn};

use super::plan::{FailoverState, FailoverStep, plan};
use super::surroundings::{DesiredFailover, FailoverSurroundings, SurroundingsError};
use super::view::{NODES, NodeIndex, NodeSource, NodeState, NodeView, PrimaryRecord, RedisView};

/// Deadline of one call to a node.
const DEADLINE: Duration = Duration::from_millis(900);
/// Silence after which a node is read only briefly while an election runs.
const LONG_SILENT: Duration = Duration::from_secs(2);
/// That read.
const BRIEF: Duration = Duration::from_millis(100);
/// Longest pause of writes in a planned hand-over.
const HAND_OVER: Duration = Duration::from_secs(3);
/// After a hand-over that failed, before the next one.
const REST: Duration = Duration::from_secs(15);
/// Between two looks whether a hand-over is done.
const LOOK: Duration = Duration::from_millis(20);

/// The address of a node.
pub type NodeAddress = (String, u16);

/// What a pass has seen and done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FailoverReport {
    /// How the nodes do.
    pub state: FailoverState,
    /// The record after the pass.
    pub record: Option<PrimaryRecord>,
    /// Number of steps that were done. If it is not zero, the next pass need not wait.
    pub done: usize,
}

/// Why a step failed.
#[derive(Debug, thiserror::Error)]
enum StepError {
    #[error("node {0}: {1}")]
    Node(NodeIndex, NodeCommandError),
    #[error(transparent)]
    Surroundings(#[from] SurroundingsError),
    #[error("the record was changed by another writer")]
    Conflict,
    #[error("node {0} did not take over within {HAND_OVER:?}")]
    NoHandOver(NodeIndex),
}

/// The record, as far as this process knows it.
#[derive(Debug, Clone, Copy)]
enum KnownRecord {
    /// Not read yet, or written by somebody else, or the outcome of a write is unknown.
    Unknown,
    /// It was read, or written.
    Known(Option<PrimaryRecord>),
}

/// Looks after three nodes.
pub struct FailoverDriver<S> {
    queue: QueueName,
    addresses: [NodeAddress; NODES],
    nodes: [RedisNode; NODES],
    /// When each node has answered last.
    answered: [Instant; NODES],
    record: KnownRecord,
    fresh: bool,
    /// Whether the last pass has done steps, so that this one is in the middle of something.
    busy: bool,
    /// When a hand-over has failed last.
    handed_over_in_vain: Option<Instant>,
    surroundings: S,
}

impl<S: FailoverSurroundings> FailoverDriver<S> {
    /// A driver that has seen nothing yet.
    pub fn new(
        queue: QueueName,
        addresses: [NodeAddress; NODES],
        password: Option<&str>,
        surroundings: S,
    ) -> Self {
        let node = |(host, port): &NodeAddress| {
            RedisNode::new(host, *port, password.map(str::to_owned), &queue, DEADLINE)
        };
        let nodes = addresses.each_ref().map(node);
        let answered = [Instant::now(); NODES];
        Self {
            queue,
            addresses,
            nodes,
            answered,
            record: KnownRecord::Unknown,
            fresh: false,
            busy: false,
            handed_over_in_vain: None,
            surroundings,
        }
    }

    /// Looks once and does the steps that follow. `limit` is the number of steps after which it
    /// stops, for tests that stop it anywhere.
    pub async fn pass(&mut self, desired: DesiredFailover, limit: usize) -> FailoverReport {
        let starting = |record| FailoverReport { state: FailoverState::Starting, record, done: 0 };
        let record = match self.record {
            KnownRecord::Known(record) => record,
            KnownRecord::Unknown => match self.surroundings.read_record().await {
                Ok(record) => {
                    self.record = KnownRecord::Known(record);
                    record
                }
                Err(error) => {
                    warn!(queue = %self.queue, %error, "the record of the primary is unknown");
                    return starting(None);
                }
            },
        };
        let view = self.look(desired, record).await;
        let planned = plan(&view);
        let mut done = 0;
        let rests = self.handed_over_in_vain.is_some_and(|since| since.elapsed() < REST);
        let is_due =
            |step: &&FailoverStep| !(rests && matches!(step, FailoverStep::SwitchOver { .. }));
        for step in planned.steps.iter().filter(is_due).take(limit) {
            if !self.surroundings.may_act() {
                break;
            }
            match self.execute(*step, &view).await {
                Ok(()) => info!(queue = %self.queue, ?step, "did a step of the failover"),
                Err(error) => {
                    warn!(queue = %self.queue, ?step, %error, "a step of the failover failed");
                    // One node that refuses must not keep the others of the same plan.
                    if matches!(error, StepError::Node(..)) {
                        continue;
                    }
                    break;
                }
            }
            done += 1;
        }
        self.busy = done > 0;
        let record = match self.record {
            KnownRecord::Known(record) => record,
            KnownRecord::Unknown => record,
        };
        FailoverReport { state: planned.state, record, done }
    }

    async fn look(&mut self, desired: DesiredFailover, record: Option<PrimaryRecord>) -> RedisView {
        let busy = self.busy;
        let reads = self.nodes.iter_mut().zip(self.answered).map(|(node, answered)| {
            // In the middle of an election a lost node must not slow down each step.
            let is_lost = busy && answered.elapsed() >= LONG_SILENT;
            let limit = if is_lost { BRIEF } else { 2 * DEADLINE };
            async move { timeout(limit, node.read()).await }
        });
        let readings = join_all(reads).await;
        let mut readings = readings.into_iter();
        let nodes = std::array::from_fn(|index| {
            // `None`: it did not answer in time.
            let reading = readings.next().and_then(Result::ok);
            self.node_state(index, reading, desired)
        });
        let DesiredFailover { goal, workers_follow, .. } = desired;
        RedisView { nodes, record, fresh: self.fresh, goal, workers_follow }
    }

    /// What the reading of a node says, and what the API server says about its Pod.
    fn node_state(
        &mut self,
        index: NodeIndex,
        reading: Option<Result<NodeReading, NodeCommandError>>,
        desired: DesiredFailover,
    ) -> NodeState {
        let (mut loading, mut refuses) = (false, false);
        let answer = match reading {
            Some(Ok(reading)) => Some(node_view(&reading, &self.addresses)),
            Some(Err(error)) => {
                debug!(queue = %self.queue, node = index, %error, "a node does not answer");
                (loading, refuses) = (error.is_loading(), error.is_refused_login());
                None
            }
            None => None,
        };
        if answer.is_some() {
            self.answered[index] = Instant::now();
        }
        let silent = match answer {
            Some(_) => Duration::ZERO,
            None => self.answered[index].elapsed(),
        };
        let stuck = refuses || !(desired.ready[index] || loading);
        NodeState { answer, silent, loading, outdated: desired.outdated[index], stuck }
    }

    async fn execute(&mut self, step: FailoverStep, view: &RedisView) -> Result<(), StepError> {
        let term = view.record.map_or(0, |record| record.term);
        let of = |node| move |error| StepError::Node(node, error);
        match step {
            // Before the first election a node may have data of any term.
            FailoverStep::Fence(node) => {
                let term = highest_term(view).max(term);
                self.nodes[node].fence(term).await.map_err(of(node))
            }
            FailoverStep::Record(record) => self.write_record(view.record, Some(record)).await,
            FailoverStep::Promote(node) => {
                // Whatever comes of it, this record is used.
                self.fresh = false;
                let seen = view.nodes[node].answer.map_or(0, |answer| answer.term());
                self.nodes[node].promote(term, seen).await.map_err(of(node))
            }
            FailoverStep::WriteTerm(record) => {
                let node = record.primary;
                self.nodes[node].write_term(record.term).await.map_err(of(node))?;
                Ok(())
            }
            FailoverStep::Follow { node, primary } => {
                let (host, port) = self.addresses[primary].clone();
                self.nodes[node].follow(&host, port, term).await.map_err(of(node))?;
                if view.nodes[node].answer.is_some_and(|node| node.is_master()) {
                    self.nodes[node].end_clients().await.map_err(of(node))?;
                }
                Ok(())
            }
            FailoverStep::Guard(node) => self.nodes[node].guard(1).await.map_err(of(node)),
            FailoverStep::Copied(record) => {
                self.write_record(view.record, Some(record)).await?;
                // It is of the present primary.
                self.fresh = false;
                Ok(())
            }
            FailoverStep::SwitchOver { from, to, record } => {
                self.write_record(view.record, Some(record)).await?;
                // Redis itself promotes: what is left is to wait for it.
                self.fresh = false;
                let Err(error) = self.hand_over(from, to).await else { return Ok(()) };
                // The old primary serves again when Redis gives up: it must not be cut off.
                self.handed_over_in_vain = Some(Instant::now());
                let back = record.succeeded_by(record.term + 1, from);
                self.write_record(Some(record), Some(back)).await?;
                Err(error)
            }
            FailoverStep::Replace(node) => Ok(self.surroundings.replace_pod(node).await?),
            FailoverStep::Retire(node) => {
                self.nodes[node].guard(0).await.map_err(of(node))?;
                self.write_record(view.record, None).await
            }
        }
    }

    async fn write_record(
        &mut self,
        old: Option<PrimaryRecord>,
        new: Option<PrimaryRecord>,
    ) -> Result<(), StepError> {
        (self.record, self.fresh) = (KnownRecord::Unknown, false);
        if !self.surroundings.replace_record(old, new).await? {
            return Err(StepError::Conflict);
        }
        (self.record, self.fresh) = (KnownRecord::Known(new), new.is_some());
        Ok(())
    }

    /// Waits until the replica takes writes. A look in between would find no primary at all.
    async fn hand_over(&mut self, from: NodeIndex, to: NodeIndex) -> Result<(), StepError> {
        let (host, port) = self.addresses[to].clone();
        let handed = self.nodes[from].fail_over_to(&host, port, HAND_OVER).await;
        handed.map_err(|error| StepError::Node(from, error))?;
        let start = Instant::now();
        while start.elapsed() < HAND_OVER + DEADLINE {
            let reading = self.nodes[to].read().await;
            if reading.is_ok_and(|reading| reading.role == NodeRole::Master) {
                // The old primary is read-only, so clients that stay there write nothing.
                if let Err(error) = self.nodes[from].end_clients().await {
                    warn!(queue = %self.queue, node = from, %error, "clients of the old primary stay");
                }
                return Ok(());
            }
            tokio::time::sleep(LOOK).await;
        }
        Err(StepError::NoHandOver(to))
    }
}

fn highest_term(view: &RedisView) -> u64 {
    view.answers().map(|(_, node)| node.term()).max().unwrap_or(0)
}

fn node_view(reading: &NodeReading, addresses: &[NodeAddress; NODES]) -> NodeView {
    let source = match &reading.role {
        NodeRole::Master => NodeSource::Clients,
        NodeRole::Replica(link) if RedisNode::is_nowhere(&link.host, link.port) => {
            NodeSource::Fenced
        }
        NodeRole::Replica(link) => {
            let is_source = |(host, port): &NodeAddress| {
                host.eq_ignore_ascii_case(&link.host) && *port == link.port
            };
            match addresses.iter().position(is_source) {
                Some(node) => NodeSource::Node { node, synced: link.up, contact: link.contact },
                None => NodeSource::Stranger,
            }
        }
    };
    NodeView {
        source,
        progress: reading.progress,
        copying: reading.copying,
        guarded: reading.min_replicas > 0,
        on_disk: reading.on_disk,
    }
}
