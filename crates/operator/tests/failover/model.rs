//! Three Redis nodes as logs of writes, with clients and an operator, for random faults.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bookingq_operator::redis_failover::plan::{FailoverPlan, FailoverStep};
use bookingq_operator::redis_failover::view::{
    FailoverGoal, NODES, NodeIndex, NodeSource, NodeState, NodeView, PrimaryRecord, RedisView,
};
use bookingq_store::redis::node::NodeProgress;

use super::happening::Happening;

/// A planner: the real one, or a mutant.
pub type Planner = fn(&RedisView) -> FailoverPlan;

/// One entry of a node's data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LogEntry {
    Term(u64),
    Write(u32),
}

#[derive(Debug, Clone)]
struct SimulatedNode {
    log: Vec<LogEntry>,
    source: NodeSource,
    /// Whether the process runs.
    up: bool,
    /// Whether the operator reaches it. Others may, even if the operator does not.
    seen: bool,
    silent: Duration,
    outdated: bool,
}

impl SimulatedNode {
    /// As Redis does (NOMASTERLINK): a replica without a link gives its data to no other one.
    fn refuses_copies(&self) -> bool {
        matches!(self.source, NodeSource::Fenced | NodeSource::Node { synced: false, .. })
    }
}

/// The simulation. Methods return what is violated.
pub struct FailoverModel {
    planner: Planner,
    nodes: [SimulatedNode; NODES],
    record: Option<PrimaryRecord>,
    fresh: bool,
    /// The last step of an operator that was stopped, with its term.
    pub late: Option<(FailoverStep, u64)>,
    /// Writes that a replica has confirmed while their master had not changed its source.
    acknowledged: BTreeSet<u32>,
    writes: u32,
    /// Where each term was written.
    primaries: BTreeMap<u64, NodeIndex>,
}

type Checked = Result<(), String>;

impl FailoverModel {
    /// Three empty nodes.
    pub fn new(planner: Planner) -> Self {
        let node = SimulatedNode {
            log: Vec::new(),
            source: NodeSource::Fenced,
            up: true,
            seen: true,
            silent: Duration::ZERO,
            outdated: false,
        };
        Self {
            planner,
            nodes: [node.clone(), node.clone(), node],
            record: None,
            fresh: false,
            late: None,
            acknowledged: BTreeSet::new(),
            writes: 0,
            primaries: BTreeMap::new(),
        }
    }

    /// Lets something happen, and checks the invariants.
    pub fn step(&mut self, happening: &Happening) -> Checked {
        match *happening {
            Happening::Write(node) => self.write(node),
            Happening::Copy(node, count) => self.copy(node, count)?,
            Happening::Pass => self.pass(usize::MAX, None)?,
            Happening::PassAfterLateStep => {
                let late = self.late.take();
                self.pass(usize::MAX, late)?;
            }
            Happening::CrashAfter(steps) => {
                self.pass(steps, None)?;
                self.fresh = false;
                self.nodes.iter_mut().for_each(|node| node.silent = Duration::ZERO);
            }
            Happening::LateStep => {
                if let Some((step, term)) = self.late.take() {
                    self.execute(step, term)?;
                }
            }
            Happening::Wait(seconds) => {
                for node in self.nodes.iter_mut().filter(|node| !(node.up && node.seen)) {
                    node.silent += Duration::from_secs(u64::from(seconds));
                }
            }
            Happening::Kill(node) => self.nodes[node].up = false,
            Happening::Start(node) => {
                let node = &mut self.nodes[node];
                if !node.up {
                    (node.up, node.source) = (true, NodeSource::Fenced);
                }
            }
            Happening::Wipe(node) => self.wipe(node),
            Happening::Hide(node) => self.nodes[node].seen = false,
            Happening::Show(node) => self.nodes[node].seen = true,
            Happening::Outdate => self.nodes.iter_mut().for_each(|node| node.outdated = true),
        }
        self.check_primary()
    }

    /// Everything works from now on. Ends with one primary that both others follow.
    pub fn heal(&mut self) -> Checked {
        for index in 0..NODES {
            self.step(&Happening::Show(index))?;
            self.step(&Happening::Start(index))?;
        }
        self.settle()?;
        let Some(record) = self.record else { return Err("no primary".to_owned()) };
        let in_order = |index: NodeIndex| match self.nodes[index].source {
            NodeSource::Clients => index == record.primary,
            NodeSource::Node { node, .. } => index != record.primary && node == record.primary,
            _ => false,
        };
        if !(0..NODES).all(in_order) {
            return Err(format!("no order after a long rest: {:?} {:?}", self.record, self.nodes));
        }
        Ok(())
    }

    /// The node `away` is lost, and the others have data: one of them ends as the primary.
    pub fn go_on_without(&mut self, away: NodeIndex) -> Checked {
        for index in (0..NODES).filter(|index| *index != away) {
            self.step(&Happening::Show(index))?;
            self.step(&Happening::Start(index))?;
        }
        self.step(&Happening::Kill(away))?;
        let others = (0..NODES).filter(|index| *index != away);
        if self.record.is_none() || others.clone().any(|i| self.nodes[i].log.is_empty()) {
            return Ok(());
        }
        self.settle()?;
        let serves = |index: NodeIndex| {
            self.nodes[index].source == NodeSource::Clients
                && self.record.is_some_and(|record| record.primary == index)
        };
        // A new Pod may have brought the lost one back.
        if (0..NODES).any(serves) {
            return Ok(());
        }
        Err(format!("two nodes with data and no primary: {:?} {:?}", self.record, self.nodes))
    }

    fn settle(&mut self) -> Checked {
        for _ in 0..30 {
            self.step(&Happening::Wait(1))?;
            self.step(&Happening::Pass)?;
            for index in 0..NODES {
                self.step(&Happening::Copy(index, usize::MAX))?;
            }
        }
        Ok(())
    }

    fn write(&mut self, index: NodeIndex) {
        let node = &mut self.nodes[index];
        if node.up && node.source == NodeSource::Clients {
            self.writes += 1;
            node.log.push(LogEntry::Write(self.writes));
        }
    }

    /// Copies and confirms.
    fn copy(&mut self, index: NodeIndex, count: usize) -> Checked {
        let NodeSource::Node { node: source, .. } = self.nodes[index].source else { return Ok(()) };
        // A replica of a replica copies too.
        let (from, to) = (&self.nodes[source], &self.nodes[index]);
        if !from.up || !to.up || from.refuses_copies() {
            return Ok(());
        }
        let (from_log, mut log) = (from.log.clone(), to.log.clone());
        // The first copy is complete or not there at all.
        if log.is_empty() || !from_log.starts_with(&log) {
            // A4: nothing but what was never acknowledged is dropped.
            let (of_source, own) = (progress(&from_log), progress(&log));
            if own > of_source {
                return Err(format!("A4: {index} with {own:?} copies {source} with {of_source:?}"));
            }
            log.clone_from(&from_log);
        }
        let end = log.len().saturating_add(count).min(from_log.len());
        log.extend_from_slice(&from_log[log.len()..end]);
        let confirms = from.source == NodeSource::Clients;
        for entry in &log {
            if let (LogEntry::Write(id), true) = (entry, confirms) {
                self.acknowledged.insert(*id);
            }
        }
        let contact = Some(Duration::ZERO);
        self.nodes[index].source = NodeSource::Node { node: source, synced: true, contact };
        self.nodes[index].log = log;
        Ok(())
    }

    fn wipe(&mut self, index: NodeIndex) {
        let kept = |id: &u32| {
            let others = (0..NODES).filter(|other| *other != index);
            others.clone().any(|other| self.nodes[other].log.contains(&LogEntry::Write(*id)))
        };
        if self.acknowledged.iter().all(kept) {
            let node = &mut self.nodes[index];
            (node.log, node.source) = (Vec::new(), NodeSource::Fenced);
        }
    }

    fn view(&self) -> RedisView {
        let state = |node: &SimulatedNode| {
            let answers = node.up && node.seen;
            let source = match node.source {
                NodeSource::Node { node: of, .. } => {
                    let up = self.nodes[of].up;
                    NodeSource::Node { node: of, synced: up, contact: up.then_some(Duration::ZERO) }
                }
                other => other,
            };
            let progress = progress(&node.log);
            let (guarded, copying, on_disk) = (true, false, true);
            let view = NodeView { source, progress, guarded, copying, on_disk };
            NodeState {
                answer: answers.then_some(view),
                silent: node.silent,
                loading: false,
                outdated: node.outdated,
                stuck: !node.up,
            }
        };
        let [a, b, c] = &self.nodes;
        RedisView {
            nodes: [state(a), state(b), state(c)],
            record: self.record,
            fresh: self.fresh,
            goal: FailoverGoal::Three,
            workers_follow: true,
        }
    }

    /// One pass of the operator, with at most so many steps, the first of which come after a late
    /// one.
    fn pass(&mut self, limit: usize, late: Option<(FailoverStep, u64)>) -> Checked {
        for node in self.nodes.iter_mut().filter(|node| node.up && node.seen) {
            node.silent = Duration::ZERO;
        }
        let view = self.view();
        let plan = (self.planner)(&view);
        let term = self.record.map_or(0, |record| record.term);
        self.check_replaced(&plan)?;
        self.late = plan.steps.get(limit).map(|step| (*step, term));
        let elects = matches!(
            plan.steps.first(),
            Some(FailoverStep::Fence(_) | FailoverStep::Record(_) | FailoverStep::Promote(_))
        );
        if let Some((step, term)) = late.filter(|_| elects) {
            self.execute(step, term)?;
        }
        for step in plan.steps.into_iter().take(limit) {
            self.execute(step, term)?;
        }
        Ok(())
    }

    /// A node that may serve is not replaced because the operator does not reach it.
    fn check_replaced(&self, plan: &FailoverPlan) -> Checked {
        let unseen = |step: &&FailoverStep| match step {
            FailoverStep::Replace(index) => self.nodes[*index].up && !self.nodes[*index].seen,
            _ => false,
        };
        match plan.steps.iter().find(unseen) {
            Some(step) => Err(format!("{step:?}, which the operator does not reach")),
            None => Ok(()),
        }
    }

    fn execute(&mut self, step: FailoverStep, term: u64) -> Checked {
        // As Redis does: a command of an earlier election than the data changes nothing.
        let late = |node: &SimulatedNode| {
            !(node.up && node.seen) || progress(&node.log).is_some_and(|data| data.term > term)
        };
        match step {
            FailoverStep::Fence(index) if !late(&self.nodes[index]) => {
                self.nodes[index].source = NodeSource::Fenced;
            }
            FailoverStep::Record(record) if self.record.map_or(0, |record| record.term) == term => {
                (self.record, self.fresh) = (Some(record), true);
            }
            FailoverStep::Copied(record) if self.record.map_or(0, |record| record.term) == term => {
                self.record = Some(record);
            }
            FailoverStep::Promote(index) if !late(&self.nodes[index]) => {
                self.fresh = false;
                let with_data = |node: &SimulatedNode| !node.log.is_empty();
                if !with_data(&self.nodes[index]) && self.nodes.iter().any(with_data) {
                    return Err(format!("the empty node {index} is promoted: {:?}", self.nodes));
                }
                self.nodes[index].source = NodeSource::Clients;
            }
            FailoverStep::WriteTerm(record) => {
                let node = &mut self.nodes[record.primary];
                let known = progress(&node.log).map_or(0, |data| data.term);
                if node.up && node.seen && node.source == NodeSource::Clients && known < record.term
                {
                    node.log.push(LogEntry::Term(record.term));
                    let first = *self.primaries.entry(record.term).or_insert(record.primary);
                    if first != record.primary {
                        return Err(format!("A3: {record:?} was {first} before"));
                    }
                }
            }
            FailoverStep::Follow { node, primary } if !late(&self.nodes[node]) => {
                let source = &self.nodes[primary];
                let is_empty = source.log.is_empty() && !source.refuses_copies();
                if is_empty && !self.nodes[node].log.is_empty() {
                    return Err(format!("{node} with data follows the empty {primary}"));
                }
                self.nodes[node].source =
                    NodeSource::Node { node: primary, synced: false, contact: None };
            }
            FailoverStep::SwitchOver { from, to, record }
                if self.record.map_or(0, |record| record.term) == term =>
            {
                (self.record, self.fresh) = (Some(record), false);
                self.hand_over(from, to);
            }
            FailoverStep::Replace(index) => {
                let node = &mut self.nodes[index];
                (node.up, node.source, node.outdated) = (true, NodeSource::Fenced, false);
            }
            _ => {}
        }
        Ok(())
    }

    /// Redis itself waits until the successor has every write.
    fn hand_over(&mut self, from: NodeIndex, to: NodeIndex) {
        let follows =
            matches!(self.nodes[to].source, NodeSource::Node { node, .. } if node == from);
        let works = |node: &SimulatedNode| node.up && node.seen;
        let (old, new) = (&self.nodes[from], &self.nodes[to]);
        if works(old) && works(new) && old.source == NodeSource::Clients && follows {
            let log = self.nodes[from].log.clone();
            self.nodes[to].log = log;
            self.nodes[to].source = NodeSource::Clients;
            self.nodes[from].source =
                NodeSource::Node { node: to, synced: true, contact: Some(Duration::ZERO) };
        }
    }

    /// A2: who leads has every acknowledged write.
    fn check_primary(&self) -> Checked {
        let Some(record) = self.record else { return Ok(()) };
        let primary = &self.nodes[record.primary];
        let leads = primary.source == NodeSource::Clients
            && progress(&primary.log).is_some_and(|data| data.term == record.term);
        let missing = |id: &&u32| !primary.log.contains(&LogEntry::Write(**id));
        match self.acknowledged.iter().find(missing) {
            Some(id) if leads => Err(format!("write {id} is lost: {record:?} {:?}", self.nodes)),
            _ => Ok(()),
        }
    }
}

fn progress(log: &[LogEntry]) -> Option<NodeProgress> {
    if log.is_empty() {
        return None;
    }
    let term = |entry: &LogEntry| match entry {
        LogEntry::Term(term) => Some(*term),
        LogEntry::Write(_) => None,
    };
    let writes = log.iter().filter(|entry| term(entry).is_none()).count() as u64;
    let term = log.iter().rev().find_map(term).unwrap_or(0);
    Some(NodeProgress { term, barrier: writes, entry: writes })
}
