//! Several operators, one leader.

use std::time::{Duration, Instant};

use bookingq_operator::leader::{Candidate, Election, LeadershipEnd};
use bookingq_operator::leader_fence::LeaderFence;
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{Patch, PatchParams};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::testbed::Testbed;

fn election(testbed: &Testbed, identity: &str) -> Election {
    Election {
        lease: Duration::from_secs(4),
        give_up: Duration::from_secs(3),
        retry: Duration::from_millis(400),
        ..Election::new("operators", &testbed.namespace, identity)
    }
}

fn candidate(testbed: &Testbed, identity: &str) -> (Candidate, LeaderFence) {
    let fence = LeaderFence::default();
    (Candidate::new(testbed.client.clone(), election(testbed, identity), fence.clone()), fence)
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_operators_one_leads_and_the_other_takes_over_when_it_dies() {
    let testbed = Testbed::new("election").await;
    let never = CancellationToken::new();
    let (mut first, first_fence) = candidate(&testbed, "first");
    let (mut second, second_fence) = candidate(&testbed, "second");
    assert!(first.lead(&never).await && first_fence.is_open());
    let holding = tokio::spawn({
        let never = never.clone();
        async move { first.hold(&never).await }
    });
    let early = tokio::time::timeout(Duration::from_secs(6), second.lead(&never)).await;
    assert!(early.is_err() && !second_fence.is_open(), "while the first lives, the second waits");

    holding.abort();
    let died = Instant::now();
    assert!(second.lead(&never).await);
    assert!(!first_fence.is_open(), "the dead leader's fence is closed before another one leads");
    assert!(died.elapsed() < Duration::from_secs(10), "{:?}", died.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_leaves_in_order_is_followed_at_once() {
    let testbed = Testbed::new("resign").await;
    let leaving = CancellationToken::new();
    let (mut first, fence) = candidate(&testbed, "first");
    assert!(first.lead(&leaving).await);
    leaving.cancel();
    assert_eq!(first.hold(&leaving).await, LeadershipEnd::Left);
    first.resign().await;
    assert!(!fence.is_open());
    let start = Instant::now();
    let (mut second, _) = candidate(&testbed, "second");
    assert!(second.lead(&CancellationToken::new()).await);
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_whose_lease_was_taken_knows_it_and_writes_no_more() {
    let testbed = Testbed::new("stolen").await;
    let never = CancellationToken::new();
    let (mut first, fence) = candidate(&testbed, "first");
    assert!(first.lead(&never).await);
    let stolen = Patch::Merge(json!({ "spec": { "holderIdentity": "thief" } }));
    testbed.api::<Lease>().patch("operators", &PatchParams::default(), &stolen).await.unwrap();
    let end = tokio::time::timeout(Duration::from_secs(5), first.hold(&never)).await;
    assert_eq!(end, Ok(LeadershipEnd::Lost));
    assert!(!fence.is_open());
}
