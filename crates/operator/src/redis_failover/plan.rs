//! The planner: from what is seen to the next steps. Pure.
//!
//! ```text
//!   no record ─ all three answer ─> Record ──┐
//!                                            v
//!   Serving <── Follow <── WriteTerm <── Promote <── Record (term + 1) <── Fence all that answer
//!      '── the primary is silent, restarted or was demoted ─────────────────────^
//! ```
//!
//! The order is what keeps acknowledged writes. The replicas are cut off from the old primary
//! first: from then on no replica can confirm a write of it. Then the nodes that are cut off are
//! compared, and the record is written before the best one is promoted. Two of the three nodes are
//! enough, because an acknowledged write is on two of them. Promoting first, or comparing first,
//! loses what the old primary acknowledges meanwhile.
//!
//! A command that an operator sent before it was stopped may arrive at any time. So the others must
//! still be cut off, or follow the new primary, when its term is written.
//!
//! Each plan has steps of one kind, and the next plan comes from a new view. So it makes no
//! difference after which step an operator ends.

use std::time::Duration;

use super::view::{
    FailoverGoal, NODES, NodeIndex, NodeSource, NodeState, NodeView, PrimaryRecord, RedisView,
};

/// Time without an answer after which a primary counts as lost.
pub const SILENT: Duration = Duration::from_secs(5);
/// A primary that a replica has had contact with within this time is not lost.
pub const CONTACT: Duration = Duration::from_secs(3);
/// Silence after which a node that cannot serve with its older template gets a new Pod.
const STUCK: Duration = Duration::from_secs(20);
/// A node of the newest template that is silent for so long is not waited for.
const GONE: Duration = Duration::from_secs(300);

/// One step. Each asks the leader's fence, and may be repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailoverStep {
    /// Cuts the node off from every source. It keeps its data and becomes read-only.
    Fence(NodeIndex),
    /// Writes this record, if the present one is still that of the view.
    Record(PrimaryRecord),
    /// Lets the node take writes.
    Promote(NodeIndex),
    /// Writes the term into the data of the primary, before anyone follows it.
    WriteTerm(PrimaryRecord),
    /// Lets `node` replicate `primary`; if it takes writes, ends the connections of its clients.
    Follow {
        /// The replica.
        node: NodeIndex,
        /// Its source.
        primary: NodeIndex,
    },
    /// Lets the primary refuse writes while no replica follows closely, as after a normal start.
    Guard(NodeIndex),
    /// Writes the record of the same election with more copies: workers may wait for so many
    /// replicas.
    Copied(PrimaryRecord),
    /// Writes the record of `to` with the next term, and lets Redis hand over to it: `from` pauses
    /// its writes until `to` has all of them.
    SwitchOver {
        /// The primary.
        from: NodeIndex,
        /// A replica that follows closely.
        to: NodeIndex,
        /// The new record.
        record: PrimaryRecord,
    },
    /// Deletes the Pod of the node, so that it starts with the new template.
    Replace(NodeIndex),
    /// Ends the failover of this queue: its first node is the primary and stays alone.
    Retire(NodeIndex),
}

/// How the three nodes do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailoverState {
    /// The first election waits until all three nodes answer.
    Starting,
    /// The primary serves; so many replicas follow it closely.
    Serving {
        /// Number of replicas.
        replicas: usize,
    },
    /// The primary does not answer this operator, and may still serve.
    Suspect,
    /// Another primary is being elected.
    FailingOver,
    /// Too few nodes have the data, and one that runs is getting it: from the primary, or from its
    /// own volume.
    Copying,
    /// Too few nodes with data answer: electing one of them could lose acknowledged bookings.
    QuorumLost,
}

/// The next steps, and how the nodes do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailoverPlan {
    /// To be done in this order. One that a node refuses does not keep the others; another
    /// failure ends the pass.
    pub steps: Vec<FailoverStep>,
    /// How the nodes do.
    pub state: FailoverState,
}

impl FailoverPlan {
    fn new(state: FailoverState, steps: Vec<FailoverStep>) -> Self {
        Self { steps, state }
    }

    fn one(state: FailoverState, step: FailoverStep) -> Self {
        Self::new(state, vec![step])
    }

    fn wait(state: FailoverState) -> Self {
        Self::new(state, Vec::new())
    }
}

/// Plans the next steps.
pub fn plan(view: &RedisView) -> FailoverPlan {
    let planned = decide(view);
    if !planned.steps.is_empty() || planned.state == FailoverState::Suspect {
        return planned;
    }
    FailoverPlan::new(planned.state, stuck(view).map(FailoverStep::Replace).into_iter().collect())
}

/// A Pod that cannot serve may have waited for the new template. Its data stays. One at a time: a
/// node that has the new template must answer before the next one is replaced.
fn stuck(view: &RedisView) -> Option<NodeIndex> {
    let silent = || view.nodes.iter().enumerate().filter(|(_, node)| node.answer.is_none());
    if silent().any(|(_, node)| !node.outdated && node.silent < GONE) {
        return None;
    }
    let is_stuck =
        |(_, node): &(_, &NodeState)| node.outdated && node.stuck && node.silent >= STUCK;
    silent().find(is_stuck).map(|(index, _)| index)
}

/// Why no primary takes writes: too few nodes have the data.
fn too_few(view: &RedisView) -> FailoverState {
    let is_getting_it =
        |node: &NodeState| node.loading || node.answer.is_some_and(|answer| answer.copying);
    if view.nodes.iter().any(is_getting_it) {
        FailoverState::Copying
    } else {
        FailoverState::QuorumLost
    }
}

fn decide(view: &RedisView) -> FailoverPlan {
    let Some(record) = view.record else { return first(view) };
    match view.nodes[record.primary].answer {
        _ if view.answers().any(|(_, node)| node.term() > record.term) => elect(view, record),
        Some(primary) if primary.is_master() => lead(view, record, &primary),
        // It has restarted, it was not promoted yet, or a switch-over is half done.
        Some(_) => elect(view, record),
        None if is_lost(view, record.primary) => elect(view, record),
        None => FailoverPlan::wait(FailoverState::Suspect),
    }
}

/// Whether neither the operator nor a replica has had contact with the primary.
fn is_lost(view: &RedisView, primary: NodeIndex) -> bool {
    let in_contact = |node: NodeView| {
        matches!(node.source, NodeSource::Node { node, contact: Some(contact), .. }
            if node == primary && contact < CONTACT)
    };
    view.nodes[primary].silent >= SILENT && !view.answers().any(|(_, node)| in_contact(node))
}

/// The first election: all three nodes must answer, so that none with data is overlooked.
fn first(view: &RedisView) -> FailoverPlan {
    let waiting = FailoverPlan::wait(FailoverState::Starting);
    if view.goal == FailoverGoal::Shrink || view.answers().count() < NODES {
        return waiting;
    }
    let masters: Vec<_> = view.answers().filter(|(_, node)| node.is_master()).collect();
    let some_data = view.answers().any(|(_, node)| node.progress.is_some());
    let term = view.answers().map(|(_, node)| node.term()).max().unwrap_or(0) + 1;
    let record = |primary| FailoverStep::Record(PrimaryRecord { term, primary, copies: 0 });
    match masters.as_slice() {
        // The queue had one node until now, which is not guarded. What the volumes of the others
        // hold is older.
        [(index, node)] if !node.guarded && (node.progress.is_some() || !some_data) => {
            FailoverPlan::one(FailoverState::Starting, record(*index))
        }
        _ => {
            let fences = fences(view);
            if fences.is_empty() {
                let best = best(view, 0).unwrap_or(0);
                return FailoverPlan::one(FailoverState::Starting, record(best));
            }
            FailoverPlan::new(FailoverState::Starting, fences)
        }
    }
}

/// The nodes that answer and are not cut off yet.
fn fences(view: &RedisView) -> Vec<FailoverStep> {
    let open = view.answers().filter(|(_, node)| node.source != NodeSource::Fenced);
    open.map(|(index, _)| FailoverStep::Fence(index)).collect()
}

/// The node whose data goes furthest; of equal ones `preferred`, then the first.
fn best(view: &RedisView, preferred: NodeIndex) -> Option<NodeIndex> {
    let with_data = view.answers().filter(|(_, node)| node.progress.is_some());
    let rank =
        |(index, node): &(NodeIndex, NodeView)| (node.progress, *index == preferred, NODES - index);
    with_data.max_by_key(rank).map(|(index, _)| index)
}

/// Cuts off, compares, records, promotes.
fn elect(view: &RedisView, record: PrimaryRecord) -> FailoverPlan {
    let fences = fences(view);
    if !fences.is_empty() {
        return FailoverPlan::new(FailoverState::FailingOver, fences);
    }
    let with_data = view.answers().filter(|(_, node)| node.progress.is_some()).count();
    // When all three answer there is no other data to wait for.
    if with_data < 2 && view.answers().count() < NODES {
        return FailoverPlan::wait(too_few(view));
    }
    let best = best(view, record.primary).unwrap_or(record.primary);
    let highest = view.answers().map(|(_, node)| node.term()).max().unwrap_or(0);
    let step = if view.fresh && record.primary == best && highest < record.term {
        FailoverStep::Promote(best)
    } else {
        FailoverStep::Record(record.succeeded_by(record.term.max(highest) + 1, best))
    };
    FailoverPlan::one(FailoverState::FailingOver, step)
}

/// The primary takes writes: marks its data, lets the others follow, then maintains.
fn lead(view: &RedisView, record: PrimaryRecord, primary: &NodeView) -> FailoverPlan {
    let others = || view.answers().filter(|(index, _)| *index != record.primary);
    if primary.progress.is_none() {
        // A primary without data is right only where there is none.
        if others().any(|(_, node)| node.progress.is_some()) {
            return elect(view, record);
        }
        if others().count() < NODES - 1 {
            return FailoverPlan::wait(too_few(view));
        }
    }
    let replicas = others().filter(|(_, node)| node.is_synced_with(record.primary)).count();
    if primary.term() < record.term {
        if primary.guarded && others().any(|(_, node)| !is_led(view, record.primary, &node)) {
            return elect(view, record);
        }
        if primary.guarded && others().count() == 0 {
            return FailoverPlan::wait(too_few(view));
        }
        // After a hand-over the old primary follows already.
        let state = match replicas {
            0 => FailoverState::FailingOver,
            replicas => FailoverState::Serving { replicas },
        };
        return FailoverPlan::one(state, FailoverStep::WriteTerm(record));
    }
    let astray: Vec<_> = others().filter(|(_, node)| !node.follows(record.primary)).collect();
    // What is cut off does not move, so this is no matter of who was asked first.
    if astray.iter().any(|(_, node)| node.progress > primary.progress) {
        return elect(view, record);
    }
    let state = match replicas {
        0 if primary.guarded && astray.is_empty() => too_few(view),
        replicas => FailoverState::Serving { replicas },
    };
    if !astray.is_empty() {
        let follow = |(node, _)| FailoverStep::Follow { node, primary: record.primary };
        return FailoverPlan::new(state, astray.into_iter().map(follow).collect());
    }
    if view.goal == FailoverGoal::Three && !primary.guarded && replicas > 0 {
        return FailoverPlan::one(state, FailoverStep::Guard(record.primary));
    }
    FailoverPlan::new(state, maintain(view, record).into_iter().collect())
}

/// Whether no primary but this one can have its writes confirmed by the node. A command that an
/// operator sent late may have let it follow another one since it was cut off: what that one
/// acknowledged meanwhile would be lost with the next term. It is found until the term is written;
/// what arrives in the milliseconds between this look and that write is not.
fn is_led(view: &RedisView, primary: NodeIndex, node: &NodeView) -> bool {
    match node.source {
        NodeSource::Fenced => true,
        // In a hand-over the other replica follows the old primary, which follows the new one.
        NodeSource::Node { node: source, .. } => {
            source == primary
                || view.nodes[source].answer.is_some_and(|source| source.follows(primary))
        }
        NodeSource::Clients | NodeSource::Stranger => false,
    }
}

/// Planned changes, one at a time.
fn maintain(view: &RedisView, record: PrimaryRecord) -> Option<FailoverStep> {
    let from = record.primary;
    let switch = |to| {
        let record = record.succeeded_by(record.term + 1, to);
        FailoverStep::SwitchOver { from, to, record }
    };
    let on_disk = |index: NodeIndex| view.nodes[index].answer.is_some_and(|node| node.on_disk);
    let synced = |index: NodeIndex| {
        let answer = view.nodes[index].answer;
        answer.is_some_and(|node| node.is_synced_with(from)) && on_disk(index)
    };
    let others = || (0..NODES).filter(|index| *index != from);
    if view.goal == FailoverGoal::Shrink {
        return match from {
            // Workers that still wait for a replica would wait for ever.
            0 => (view.workers_follow && on_disk(0)).then_some(FailoverStep::Retire(0)),
            _ => synced(0).then(|| switch(0)),
        };
    }
    let copies = others().filter(|index| synced(*index)).count() as u8;
    if copies > record.copies {
        return Some(FailoverStep::Copied(PrimaryRecord { copies, ..record }));
    }
    if !view.workers_follow || !others().all(synced) {
        return None;
    }
    if let Some(index) = others().find(|index| view.nodes[*index].outdated) {
        return Some(FailoverStep::Replace(index));
    }
    view.nodes[from].outdated.then(|| others().next().map(switch)).flatten()
}
