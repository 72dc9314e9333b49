//! The failover of a managed Redis of three: the planner on random faults, with three simulated
//! nodes, and its mutants.
#![allow(clippy::unwrap_used)]

mod faults;
mod happening;
mod model;
mod mutants;
mod places;
mod trio;

use std::time::Duration;

use bookingq_operator::redis_failover::plan::{
    CONTACT, FailoverPlan, FailoverState, FailoverStep, SILENT, plan,
};
use bookingq_operator::redis_failover::view::{
    FailoverGoal, NODES, NodeSource, NodeState, NodeView, PrimaryRecord, RedisView,
};
use bookingq_store::redis::node::NodeProgress;
use happening::{Happening, happening};
use model::{FailoverModel, Planner};
use proptest::collection::vec;
use proptest::test_runner::{Config, TestRunner};

/// Runs random happenings; an error is what was violated, with the shortest history.
fn run(planner: Planner, cases: u32, shrinks: u32) -> Result<(), String> {
    let config =
        Config { cases, failure_persistence: None, max_shrink_iters: shrinks, ..Config::default() };
    let histories = (vec(happening(), 0..120), 0..=NODES);
    let outcome = TestRunner::new(config).run(&histories, |(history, away)| {
        let mut model = FailoverModel::new(planner);
        let played = history.iter().try_for_each(|happening: &Happening| model.step(happening));
        let ended = played
            .and_then(|()| if away < NODES { model.go_on_without(away) } else { model.heal() });
        ended.map_err(proptest::test_runner::TestCaseError::fail)
    });
    outcome.map_err(|error| error.to_string())
}

#[test]
fn no_fault_loses_an_acknowledged_write_and_one_primary_serves_in_the_end() {
    run(plan, 2000, 2000).unwrap();
}

#[test]
fn a_late_step_to_follow_a_primary_that_lost_its_data_is_harmless() {
    use Happening::{Copy, CrashAfter, LateStep, Outdate, Pass, Start, Wipe, Write};
    let mut history = vec![Outdate, Pass, Pass, Pass, Write(0), Pass, Pass, LateStep, Start(0)];
    history.extend([Pass, Copy(2, 1), Pass, Pass, Pass, Pass, CrashAfter(0), Wipe(1), LateStep]);
    let mut model = FailoverModel::new(plan);
    history.iter().try_for_each(|happening| model.step(happening)).unwrap();
    model.heal().unwrap();
}

/// Three nodes with the same data, of which the first is the primary.
fn healthy() -> RedisView {
    let progress = Some(NodeProgress { term: 3, barrier: 5, entry: 9 });
    let node = |source| NodeState {
        answer: Some(NodeView { source, progress, guarded: true, copying: false, on_disk: true }),
        silent: Duration::ZERO,
        loading: false,
        outdated: false,
        stuck: false,
    };
    let contact = Some(Duration::from_secs(1));
    let replica = node(NodeSource::Node { node: 0, synced: true, contact });
    RedisView {
        nodes: [node(NodeSource::Clients), replica, replica],
        record: Some(PrimaryRecord { term: 3, primary: 0, copies: 2 }),
        fresh: false,
        goal: FailoverGoal::Three,
        workers_follow: true,
    }
}

fn silent(view: &mut RedisView, index: usize, seconds: u64) {
    let node = &mut view.nodes[index];
    (node.answer, node.silent) = (None, Duration::from_secs(seconds));
}

#[test]
fn a_healthy_redis_is_left_alone() {
    let planned = plan(&healthy());
    assert_eq!(planned.steps, []);
    assert_eq!(planned.state, FailoverState::Serving { replicas: 2 });
}

#[test]
fn a_primary_that_a_replica_has_contact_with_is_left_alone() {
    let mut view = healthy();
    silent(&mut view, 0, 60);
    assert_eq!(plan(&view).state, FailoverState::Suspect);
    for (node, fences) in [(1, 0), (2, 2)] {
        let answer = view.nodes[node].answer.as_mut().unwrap();
        answer.source = NodeSource::Node { node: 0, synced: true, contact: Some(CONTACT) };
        assert_eq!(plan(&view).steps.len(), fences, "{node}");
    }
    let steps = [1, 2].map(FailoverStep::Fence);
    assert_eq!(plan(&view).steps, steps, "cut off first");
    view.nodes[0].silent = SILENT.saturating_sub(Duration::from_millis(1));
    assert_eq!(plan(&view).steps, [], "not yet");
}

#[test]
fn a_pod_that_cannot_start_is_replaced_by_a_newer_template_only() {
    for away in 1..3 {
        let mut view = healthy();
        silent(&mut view, away, 60);
        assert_eq!(plan(&view).steps, []);
        view.nodes[away].stuck = true;
        assert_eq!(plan(&view).steps, [], "the template is the same");
        view.nodes[away].outdated = true;
        assert_eq!(plan(&view).steps, [FailoverStep::Replace(away)]);
        view.nodes[away].stuck = false;
        assert_eq!(plan(&view).steps, [], "it may serve, and the operator be cut off from it");
        view.nodes[away].stuck = true;
        // The others are of the old template too, and stay while one is away.
        view.nodes.iter_mut().for_each(|node| node.outdated = true);
        assert_eq!(plan(&view).steps, [FailoverStep::Replace(away)]);
    }
    let mut view = RedisView { record: None, ..healthy() };
    (0..3).for_each(|index| silent(&mut view, index, 60));
    view.nodes.iter_mut().for_each(|node| node.stuck = true);
    assert_eq!(plan(&view).steps, []);
    view.nodes.iter_mut().for_each(|node| node.outdated = true);
    assert_eq!(plan(&view).steps, [FailoverStep::Replace(0)], "a new queue with a bad image");
}

#[test]
fn a_second_pod_is_replaced_only_when_the_first_serves_again() {
    // All three refuse a new password.
    let mut view = healthy();
    for index in 0..3 {
        silent(&mut view, index, 60);
        (view.nodes[index].outdated, view.nodes[index].stuck) = (true, true);
    }
    assert_eq!(plan(&view).steps, [FailoverStep::Replace(0)]);
    view.nodes[0].outdated = false;
    for seconds in [1, 60, 299] {
        view.nodes[0].silent = Duration::from_secs(seconds);
        assert_eq!(plan(&view).steps, [], "{seconds}");
    }
    let answer = NodeView { source: NodeSource::Fenced, ..healthy().nodes[0].answer.unwrap() };
    (view.nodes[0].answer, view.nodes[0].silent) = (Some(answer), Duration::ZERO);
    assert_eq!(plan(&view).steps, [FailoverStep::Replace(1)]);
    // It never comes back, and the queue has no other way out.
    silent(&mut view, 0, 300);
    assert_eq!(plan(&view).steps, [FailoverStep::Replace(1)]);
}

#[test]
fn too_few_nodes_with_data_are_a_lost_quorum_unless_one_is_getting_it() {
    let follows = NodeSource::Node { node: 0, synced: false, contact: None };
    for (copying, state) in [(true, FailoverState::Copying), (false, FailoverState::QuorumLost)] {
        let mut view = healthy();
        silent(&mut view, 2, 60);
        let replica = view.nodes[1].answer.as_mut().unwrap();
        (replica.source, replica.copying) = (follows, copying);
        assert_eq!(plan(&view), FailoverPlan { steps: vec![], state }, "following the primary");
        // All three have restarted.
        silent(&mut view, 1, 1);
        view.nodes[0].answer.as_mut().unwrap().source = NodeSource::Fenced;
        view.nodes[1].loading = copying;
        assert_eq!(plan(&view), FailoverPlan { steps: vec![], state }, "from its volume");
    }
}

/// Node 1 is promoted with term 4, which is not in its data yet.
fn promoted(others: NodeSource) -> RedisView {
    let mut view = healthy();
    view.record = Some(PrimaryRecord { term: 4, primary: 1, copies: 2 });
    let sources = [others, NodeSource::Clients, others];
    for (node, source) in view.nodes.iter_mut().zip(sources) {
        node.answer.as_mut().unwrap().source = source;
    }
    view
}

#[test]
fn a_term_is_written_only_while_no_other_node_follows_another_primary() {
    let write = FailoverStep::WriteTerm(PrimaryRecord { term: 4, primary: 1, copies: 2 });
    let mut view = promoted(NodeSource::Fenced);
    assert_eq!(plan(&view).steps, [write]);
    silent(&mut view, 0, 60);
    assert_eq!(plan(&view).steps, [write]);
    // A late command has let it follow the old primary, which may thaw.
    let contact = Some(Duration::ZERO);
    let old = NodeSource::Node { node: 0, synced: true, contact };
    view.nodes[2].answer.as_mut().unwrap().source = old;
    assert_eq!(plan(&view).steps, [1, 2].map(FailoverStep::Fence), "elects again");
    silent(&mut view, 2, 1);
    assert_eq!(plan(&view), FailoverPlan { steps: vec![], state: FailoverState::QuorumLost });
    // A hand-over: the other replica follows the old primary, which follows the new one.
    let mut view = promoted(NodeSource::Node { node: 1, synced: true, contact });
    view.nodes[2].answer.as_mut().unwrap().source = old;
    assert_eq!(plan(&view).steps, [write]);
}

#[test]
fn a_planned_change_waits_for_the_workers_and_for_both_replicas() {
    let mut view = healthy();
    view.nodes[0].outdated = true;
    let record = PrimaryRecord { term: 4, primary: 1, copies: 2 };
    let hand_over = FailoverStep::SwitchOver { from: 0, to: 1, record };
    assert_eq!(plan(&view).steps, [hand_over]);
    assert_eq!(plan(&RedisView { workers_follow: false, ..view }).steps, []);
    let copying = NodeSource::Node { node: 0, synced: false, contact: None };
    view.nodes[2].answer.as_mut().unwrap().source = copying;
    assert_eq!(plan(&view).steps, []);
    // The way back to one needs the first node only.
    view.goal = FailoverGoal::Shrink;
    assert_eq!(plan(&view).steps, [FailoverStep::Retire(0)]);
    let view = RedisView { workers_follow: false, ..view };
    assert_eq!(plan(&view).steps, [], "some workers still wait for a replica");
    let mut view = RedisView { workers_follow: true, ..view };
    view.nodes[0].answer.as_mut().unwrap().on_disk = false;
    assert_eq!(plan(&view).steps, [], "its data is not on disk");
}

#[test]
fn a_planned_change_waits_until_the_first_copies_are_on_disk() {
    for away in 0..NODES {
        for copying in [1, 2] {
            let mut view = healthy();
            view.nodes[away].outdated = true;
            assert_eq!(plan(&view).steps.len(), 1);
            view.nodes[copying].answer.as_mut().unwrap().on_disk = false;
            assert_eq!(plan(&view).steps, [], "{away} {copying}");
            assert_eq!(plan(&view).state, FailoverState::Serving { replicas: 2 });
        }
    }
    // The way back to one, from another primary than the first.
    let mut view = RedisView { goal: FailoverGoal::Shrink, ..healthy() };
    view.record = Some(PrimaryRecord { term: 3, primary: 1, copies: 2 });
    view.nodes.swap(0, 1);
    for index in [0, 2] {
        let contact = Some(Duration::ZERO);
        let source = NodeSource::Node { node: 1, synced: true, contact };
        view.nodes[index].answer.as_mut().unwrap().source = source;
    }
    assert_eq!(plan(&view).steps.len(), 1);
    view.nodes[0].answer.as_mut().unwrap().on_disk = false;
    assert_eq!(plan(&view).steps, []);
}

#[test]
fn copies_are_recorded_once_they_are_on_disk_and_never_taken_back() {
    let mut view = healthy();
    let record = |copies| PrimaryRecord { term: 3, primary: 0, copies };
    view.record = Some(record(0));
    let node = |view: &mut RedisView, index: usize, synced, on_disk| {
        let contact = Some(Duration::ZERO);
        let answer = view.nodes[index].answer.as_mut().unwrap();
        answer.source = NodeSource::Node { node: 0, synced, contact };
        answer.on_disk = on_disk;
    };
    for (synced, on_disk) in [(false, true), (true, false), (false, false)] {
        node(&mut view, 1, synced, on_disk);
        node(&mut view, 2, synced, on_disk);
        assert_eq!(plan(&view).steps, [], "{synced} {on_disk}");
    }
    node(&mut view, 2, true, true);
    assert_eq!(plan(&view).steps, [FailoverStep::Copied(record(1))]);
    view.record = Some(record(1));
    assert_eq!(plan(&view).steps, []);
    node(&mut view, 1, true, true);
    assert_eq!(plan(&view).steps, [FailoverStep::Copied(record(2))]);
    // The primary is lost: its successor has had as many copies.
    view.record = Some(record(2));
    silent(&mut view, 0, 60);
    for index in [1, 2] {
        view.nodes[index].answer.as_mut().unwrap().source = NodeSource::Fenced;
    }
    let next = PrimaryRecord { term: 4, primary: 1, copies: 2 };
    assert_eq!(plan(&view).steps, [FailoverStep::Record(next)]);
    // Three Pods that become one need no copies.
    let mut view = RedisView { goal: FailoverGoal::Shrink, record: Some(record(0)), ..healthy() };
    view.workers_follow = false;
    assert_eq!(plan(&view).steps, []);
}

#[test]
fn a_lost_record_compares_unless_the_only_primary_was_alone_until_now() {
    let mut view = RedisView { record: None, ..healthy() };
    let newer = Some(NodeProgress { term: 4, barrier: 6, entry: 9 });
    view.nodes[1].answer.as_mut().unwrap().progress = newer;
    let fences = [0, 1, 2].map(FailoverStep::Fence);
    assert_eq!(plan(&view).steps, fences, "it may be an old primary that thawed");
    view.nodes[0].answer.as_mut().unwrap().guarded = false;
    let record = PrimaryRecord { term: 5, primary: 0, copies: 0 };
    assert_eq!(plan(&view).steps, [FailoverStep::Record(record)]);
}

#[test]
fn a_hand_over_is_no_lost_primary() {
    let mut view = healthy();
    view.record = Some(PrimaryRecord { term: 4, primary: 0, copies: 2 });
    assert_eq!(plan(&view).steps, [FailoverStep::WriteTerm(view.record.unwrap())]);
    assert_eq!(plan(&view).state, FailoverState::Serving { replicas: 2 });
    for index in [1, 2] {
        view.nodes[index].answer.as_mut().unwrap().source = NodeSource::Fenced;
    }
    assert_eq!(plan(&view).state, FailoverState::FailingOver);
}
