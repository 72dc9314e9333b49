//! What the planner sees: three nodes, and the record of the last election.

use std::time::Duration;

use bookingq_store::redis::node::NodeProgress;

/// Number of nodes of a Redis that fails over.
pub const NODES: usize = 3;

/// The ordinal of a node: that of its Pod.
pub type NodeIndex = usize;

/// The record of the last election, from `status.redis`. It is written before a node is promoted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PrimaryRecord {
    /// Counts the elections of the queue; never reused.
    pub term: u64,
    /// The node that was elected.
    pub primary: NodeIndex,
    /// The most replicas that have had a whole copy on disk at the same time, in this election or
    /// an earlier one. It never falls: from the first copy on, workers may wait for replicas.
    pub copies: u8,
}

impl PrimaryRecord {
    /// The same copies, and the next primary.
    #[must_use]
    pub fn succeeded_by(self, term: u64, primary: NodeIndex) -> Self {
        Self { term, primary, ..self }
    }

    /// Term and primary: the same for all records of one election.
    pub fn election(&self) -> (u64, NodeIndex) {
        (self.term, self.primary)
    }
}

/// Where a node gets its data from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeSource {
    /// From its clients: it is a master.
    Clients,
    /// From nowhere: it is cut off and read-only.
    Fenced,
    /// From another node.
    Node {
        /// That node.
        node: NodeIndex,
        /// Whether the link is up, so that the data is that of the node, apart from the newest.
        synced: bool,
        /// Time since it had contact with that node; `None` while the link is down.
        contact: Option<Duration>,
    },
    /// From a server that is none of the three.
    Stranger,
}

/// The answer of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodeView {
    /// Where its data comes from.
    pub source: NodeSource,
    /// How far its data goes; `None` if it has none.
    pub progress: Option<NodeProgress>,
    /// Whether it refuses writes while no replica follows closely.
    pub guarded: bool,
    /// Whether it is receiving its first copy of its source's data.
    pub copying: bool,
    /// Whether its data survives a restart. It does not while a first copy is being written to
    /// disk: the node would come back with older data, and count as one with data.
    pub on_disk: bool,
}

impl NodeView {
    /// The term of its data; 0 for data from before the first election.
    pub fn term(&self) -> u64 {
        self.progress.map_or(0, |progress| progress.term)
    }

    /// Whether it takes writes.
    pub fn is_master(&self) -> bool {
        self.source == NodeSource::Clients
    }

    /// Whether it copies this node, or tries to.
    pub fn follows(&self, source: NodeIndex) -> bool {
        matches!(self.source, NodeSource::Node { node, .. } if node == source)
    }

    /// Whether it follows this node closely.
    pub fn is_synced_with(&self, with: NodeIndex) -> bool {
        matches!(self.source, NodeSource::Node { node, synced: true, .. } if node == with)
    }
}

/// One node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodeState {
    /// Its answer in this pass. A node that still loads its data gives none.
    pub answer: Option<NodeView>,
    /// Time since its last answer; zero if it has answered.
    pub silent: Duration,
    /// Whether it runs and loads its data: until then it answers nothing else.
    pub loading: bool,
    /// Whether its Pod is of an older template.
    pub outdated: bool,
    /// Whether its Pod cannot serve as it is: it refuses the operator's password, or it is not
    /// ready, by the API server. Silence alone may be the operator's own.
    pub stuck: bool,
}

/// What the operator wants of the three nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailoverGoal {
    /// Three nodes.
    Three,
    /// One node is left after this: the first must become the primary.
    Shrink,
}

/// Everything that a plan depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RedisView {
    /// The nodes, by ordinal.
    pub nodes: [NodeState; NODES],
    /// The last election; `None` for a new queue, or one that had a single node until now.
    pub record: Option<PrimaryRecord>,
    /// Whether this process has written the record and not used it yet. A record that another one
    /// has written may have been used: it gets a successor before anything is promoted.
    pub fresh: bool,
    /// What is wanted.
    pub goal: FailoverGoal,
    /// Whether all workers have the settings of the present spec: they know the addresses of all
    /// three nodes, and wait for no more replicas than they should.
    pub workers_follow: bool,
}

impl RedisView {
    /// The nodes that answer.
    pub fn answers(&self) -> impl Iterator<Item = (NodeIndex, NodeView)> + '_ {
        let nodes = self.nodes.iter().enumerate();
        nodes.filter_map(|(index, node)| Some((index, node.answer?)))
    }
}
