//! Wrong planners, each of which the model must find.

use bookingq_operator::redis_failover::plan::{FailoverPlan, FailoverState, FailoverStep, plan};
use bookingq_operator::redis_failover::view::{NodeSource, NodeView, PrimaryRecord, RedisView};

use super::happening::Happening;
use super::model::{FailoverModel, Planner};
use super::run;

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
    let record = record.succeeded_by(record.term + 1, best);
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
    let record = record.succeeded_by(record.term + 1, best);
    let steps = vec![FailoverStep::Record(record), FailoverStep::Promote(best)];
    FailoverPlan { steps, ..planned }
}

/// Promotes a node without data, if one answers.
fn empty_node_promoted(view: &RedisView) -> FailoverPlan {
    let planned = plan(view);
    let ([FailoverStep::Record(record)], Some(_)) = (&planned.steps[..], view.record) else {
        return planned;
    };
    let Some((empty, _)) = view.answers().find(|(_, node)| node.progress.is_none()) else {
        return planned;
    };
    let record = PrimaryRecord { primary: empty, ..*record };
    let steps = vec![FailoverStep::Record(record), FailoverStep::Promote(empty)];
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

/// Writes the term as soon as the primary takes writes, without a look at the others.
fn without_a_second_look(view: &RedisView) -> FailoverPlan {
    let planned = plan(view);
    let Some(record) = view.record else { return planned };
    let primary = view.nodes[record.primary].answer;
    let is_new = |node: NodeView| node.is_master() && node.term() < record.term;
    if planned.state == FailoverState::FailingOver && primary.is_some_and(is_new) {
        return FailoverPlan { steps: vec![FailoverStep::WriteTerm(record)], ..planned };
    }
    planned
}

/// The primary is cut off from the operator, both others have restarted, and one of them is
/// promoted. A late command lets the third one follow the old primary.
fn late_step_before_a_promotion(planner: Planner) -> Result<(), String> {
    use Happening::{Copy, CrashAfter, Hide, Kill, Pass, PassAfterLateStep, Start, Wait, Write};
    let mut model = FailoverModel::new(planner);
    let happen = |model: &mut FailoverModel, all: &[Happening]| {
        all.iter().try_for_each(|one| model.step(one))
    };
    happen(&mut model, &[const { Pass }; 8])?;
    happen(&mut model, &[Write(0), Copy(1, 9), Copy(2, 9), Kill(2), Start(2), CrashAfter(0)])?;
    let late = model.late.take();
    assert_eq!(late, Some((FailoverStep::Follow { node: 2, primary: 0 }, 1)));
    happen(
        &mut model,
        &[Pass, Copy(2, 9), Hide(0), Kill(1), Kill(2), Start(1), Start(2), Wait(6)],
    )?;
    // The record, and the promotion.
    happen(&mut model, &[Pass])?;
    model.late = late;
    happen(&mut model, &[PassAfterLateStep, Write(0), Copy(2, 9), Pass, Pass, Pass, Pass])?;
    model.heal()
}

#[test]
fn what_a_late_step_lets_a_primary_acknowledge_is_found_by_a_second_look() {
    late_step_before_a_promotion(plan).unwrap();
    let lost = late_step_before_a_promotion(without_a_second_look).unwrap_err();
    assert!(lost.contains("is lost"), "{lost}");
}

#[test]
fn mutants_of_the_planner_are_found() {
    let mutants: [(&str, Planner); 4] = [
        ("promote first", promote_first),
        ("without quorum", without_quorum),
        ("empty node promoted", empty_node_promoted),
        ("follow before term", follow_before_term),
    ];
    for (name, mutant) in mutants {
        // A mutant needs no shortest history.
        let found = run(mutant, 20_000, 0);
        assert!(found.is_err(), "{name} passes");
    }
}
