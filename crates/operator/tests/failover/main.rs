//! The failover of a managed Redis of three: the planner on random faults, with three simulated
//! nodes, and its mutants.
#![allow(clippy::unwrap_used)]

mod faults;
mod model;
mod trio;

use bookingq_operator::redis_failover::plan::{FailoverPlan, FailoverState, FailoverStep, plan};
use bookingq_operator::redis_failover::view::{NODES, NodeSource, PrimaryRecord, RedisView};
use model::{FailoverModel, Happening, Planner, happening};
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

/// Promotes as soon as the primary is silent, and lets the others follow then.
fn promote_first(view: &RedisView) -> FailoverPlan {
    let planned = plan(view);
    let (Some(record), FailoverState::FailingOver) = (view.record, planned.state) else {
        return planned;
    };
    if !planned.steps.iter().any(|step| matches!(step, FailoverStep::Fence(_))) {
        return planned;
    }
    let others = view.answers().filter(|(_, node)| node.progress.is_some());
    let Some((best, _)) = others.max_by_key(|(_, node)| node.progress) else { return planned };
    let record = PrimaryRecord { term: record.term + 1, primary: best };
    let steps = vec![FailoverStep::Record(record), FailoverStep::Promote(best)];
    FailoverPlan { steps, ..planned }
}

/// Elects among the nodes that answer, however few.
fn without_quorum(view: &RedisView) -> FailoverPlan {
    let planned = plan(view);
    let (Some(record), FailoverState::QuorumLost) = (view.record, planned.state) else {
        return planned;
    };
    let Some((best, _)) = view.answers().next() else { return planned };
    let record = PrimaryRecord { term: record.term + 1, primary: best };
    let steps = vec![FailoverStep::Record(record), FailoverStep::Promote(best)];
    FailoverPlan { steps, ..planned }
}

/// Lets the others follow before the term is in the data.
fn follow_before_term(view: &RedisView) -> FailoverPlan {
    let planned = plan(view);
    let [FailoverStep::WriteTerm(record)] = planned.steps[..] else { return planned };
    let cut_off = view.answers().filter(|(_, node)| node.source == NodeSource::Fenced);
    let follow = |(node, _)| FailoverStep::Follow { node, primary: record.primary };
    let steps: Vec<_> = cut_off.map(follow).collect();
    if steps.is_empty() { planned } else { FailoverPlan { steps, ..planned } }
}

#[test]
fn mutants_of_the_planner_are_found() {
    let mutants: [(&str, Planner); 3] = [
        ("promote first", promote_first),
        ("without quorum", without_quorum),
        ("follow before term", follow_before_term),
    ];
    for (name, mutant) in mutants {
        // A mutant needs no shortest history.
        let found = run(mutant, 20_000, 0);
        assert!(found.is_err(), "{name} passes");
    }
}
