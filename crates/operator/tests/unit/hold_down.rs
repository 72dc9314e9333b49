//! A gap of five seconds changes no condition; a longer one does.

use std::time::Duration;

use bookingq_operator::conditions::hold_down::{HOLD, HoldDown};
use bookingq_operator::queue::QueueKey;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

fn condition(type_: &str, status: &str, reason: &str) -> Condition {
    Condition {
        type_: type_.to_owned(),
        status: status.to_owned(),
        reason: reason.to_owned(),
        message: reason.to_owned(),
        observed_generation: Some(3),
        last_transition_time: Time(jiff::Timestamp::UNIX_EPOCH),
    }
}

fn well() -> Vec<Condition> {
    vec![
        condition("Ready", "True", "Serving"),
        condition("Progressing", "False", "RolloutComplete"),
        condition("Degraded", "False", "Reconciled"),
        condition("RedisReady", "True", "Reachable"),
    ]
}

/// While Redis does not answer and a worker has failed its probe.
fn ill(redis: &str) -> Vec<Condition> {
    vec![
        condition("Ready", "False", redis),
        condition("Progressing", "True", "WorkersStarting"),
        condition("Degraded", "False", "Reconciled"),
        condition("RedisReady", "False", redis),
        condition("Reconciling", "True", "WorkersStarting"),
    ]
}

async fn pass(seconds: u64) {
    tokio::time::advance(Duration::from_secs(seconds)).await;
}

fn settle(hold: &HoldDown, before: &[Condition], found: Vec<Condition>) -> (Vec<Condition>, bool) {
    let mut found = found;
    let again = hold.settle(&QueueKey::new("concert").within("sale"), before, &mut found);
    (found, again.is_some())
}

#[tokio::test(start_paused = true)]
async fn a_gap_of_five_seconds_changes_no_condition() {
    let hold = HoldDown::default();
    for _ in 0..3 {
        assert_eq!(settle(&hold, &well(), ill("Unreachable")), (well(), true));
        pass(5).await;
        assert_eq!(settle(&hold, &well(), ill("Unreachable")), (well(), true));
        assert_eq!(settle(&hold, &well(), well()), (well(), false), "it has passed");
        pass(5).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_lasts_is_shown_and_stays_shown() {
    let hold = HoldDown::default();
    let key = QueueKey::new("concert").within("sale");
    let mut found = ill("Unreachable");
    assert_eq!(hold.settle(&key, &well(), &mut found), Some(HOLD), "when to look again");
    pass(3).await;
    let mut found = ill("Unreachable");
    let rest = HOLD.checked_sub(Duration::from_secs(3)).unwrap();
    assert_eq!(hold.settle(&key, &well(), &mut found), Some(rest), "another look delays nothing");
    pass(5).await;
    let shown = settle(&hold, &well(), ill("Unreachable"));
    assert_eq!(shown, (ill("Unreachable"), false));
    assert_eq!(settle(&hold, &ill("Unreachable"), well()), (well(), false), "recovery at once");
}

#[tokio::test(start_paused = true)]
async fn what_a_person_must_mend_is_shown_at_once() {
    let hold = HoldDown::default();
    let mut refused = well();
    refused[0] = condition("Ready", "False", "InvalidSpec");
    refused[2] = condition("Degraded", "True", "InvalidSpec");
    refused.push(condition("Stalled", "True", "InvalidSpec"));
    assert_eq!(settle(&hold, &well(), refused.clone()), (refused, false));
}

#[tokio::test(start_paused = true)]
async fn another_spec_is_shown_at_once() {
    let hold = HoldDown::default();
    let mut found = ill("Unreachable");
    for one in &mut found {
        one.observed_generation = Some(4);
    }
    assert_eq!(settle(&hold, &well(), found.clone()), (found, false));
    let new = ill("Unreachable");
    assert_eq!(settle(&hold, &[], new.clone()), (new, false), "of a new queue too");
}
