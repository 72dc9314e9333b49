//! Claims and the notifier look at what this process knows before they send anything.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bookingq_store::replicated::{ReplicatedConfig, ReplicatedStore};
use bookingq_store::{Scope, Settlement, Store, StoreError, TaskOutcome};
use tokio::task::JoinSet;

use crate::config;
use crate::crowd::{client, join_with, place};
use crate::fake_log::{FakeLog, Faults, with_snapshots};

/// Longer than any test takes.
const LONG: Duration = Duration::from_secs(3600);
const SHORT: Duration = Duration::from_millis(200);

#[tokio::test]
async fn a_claim_that_finds_nothing_is_not_in_the_log() {
    let log = FakeLog::new(Faults::default(), 1);
    let store = ReplicatedStore::start(config(), with_snapshots(&log));
    store.open().await.unwrap();
    let before = log.records().len();
    for _ in 0..9 {
        let claim = store.claim(1, LONG, Scope::Everything).await.unwrap();
        assert!(claim.tasks.is_empty() && claim.next.is_none());
    }
    assert_eq!(log.records().len(), before);
    place(&store, "anna").await;
    let task = store.claim(1, LONG, Scope::Everything).await.unwrap().tasks.remove(0);
    let claimed = log.records().len();
    let idle = store.claim(1, LONG, Scope::Everything).await.unwrap();
    assert!(idle.tasks.is_empty() && !idle.more);
    let next = idle.next.unwrap();
    assert!(next <= LONG && next > LONG / 2, "the lease ends in {next:?}");
    assert_eq!(log.records().len(), claimed);
    // The process that settles in time leaves nothing to claim.
    let outcome = TaskOutcome::Rejected { reason: String::new() };
    let settlement = Settlement { lease: task.lease(), outcome, busy: Duration::ZERO };
    store.settle(vec![settlement]).await.unwrap();
    assert_eq!(store.claim(1, LONG, Scope::Everything).await.unwrap().next, None);
}

/// Nothing comes into the log meanwhile, so that only this machine's clock says that time passes.
#[tokio::test]
async fn what_becomes_due_in_an_idle_queue_is_claimed() {
    let log = FakeLog::new(Faults::default(), 1);
    let store = ReplicatedStore::start(config(), with_snapshots(&log));
    place(&store, "anna").await;
    assert_eq!(store.claim(1, SHORT, Scope::Everything).await.unwrap().tasks.len(), 1);
    let claimed = log.records().len();
    // The clock of the log stands still: it decides, so that nothing is due when it is asked.
    while log.records().len() == claimed {
        assert!(store.claim(1, SHORT, Scope::DueOnly).await.unwrap().tasks.is_empty());
        tokio::task::yield_now().await;
    }
    log.advance(SHORT);
    let mut tasks = Vec::new();
    while tasks.is_empty() {
        tasks = store.claim(1, SHORT, Scope::DueOnly).await.unwrap().tasks;
        tokio::task::yield_now().await;
    }
    assert_eq!(tasks[0].client, client("anna"));
}

#[tokio::test]
async fn a_notifier_without_the_right_sends_nothing_until_it_may_have_ended() {
    let log = FakeLog::new(Faults::default(), 1);
    let store = ReplicatedStore::start(config(), with_snapshots(&log));
    store.open().await.unwrap();
    store.notifier("one", LONG, None).await.unwrap().unwrap();
    let before = log.records().len();
    assert_eq!(store.notifier("other", SHORT, None).await.unwrap(), None);
    assert_eq!(log.records().len(), before);
    store.notifier("one", SHORT, None).await.unwrap().unwrap();
    assert_eq!(log.records().len(), before + 1, "a renewal is a command");
    log.advance(SHORT);
    while store.notifier("other", SHORT, None).await.unwrap().is_none() {
        tokio::task::yield_now().await;
    }
}

/// Half of a call must not take effect when the other half is refused.
#[tokio::test]
async fn a_call_that_does_not_fit_among_those_that_wait_is_not_sent_at_all() {
    let log = FakeLog::new(Faults::default(), 1);
    let config = ReplicatedConfig { timeout: Duration::from_secs(120), ..config() };
    let store = Arc::new(ReplicatedStore::start(config, with_snapshots(&log)));
    place(&store, "anna").await;
    log.set_frozen(true);
    let (mut waiting, begun) = (JoinSet::new(), Arc::new(AtomicUsize::new(0)));
    let mut wait = |calls: usize| {
        for _ in 0..calls {
            let (store, begun) = (Arc::clone(&store), Arc::clone(&begun));
            waiting.spawn(async move {
                // In the same step as what follows, up to where that waits.
                begun.fetch_add(1, Ordering::SeqCst);
                store.latest_event().await
            });
        }
    };
    wait(1);
    let sent = log.records().len();
    while log.records().len() == sent {
        tokio::task::yield_now().await;
    }
    // All places but one.
    wait(16_383);
    while begun.load(Ordering::SeqCst) < 16_384 {
        tokio::task::yield_now().await;
    }
    let clients = (0..2500).map(|n| join_with(&format!("c{n}"), b"")).collect();
    let error = store.enqueue(clients).await.unwrap_err();
    assert!(matches!(error, StoreError::Overloaded { .. }), "{error}");
    log.set_frozen(false);
    while let Some(done) = waiting.join_next().await {
        done.unwrap().unwrap();
    }
    assert_eq!(store.snapshot().await.unwrap().totals.enqueued, 1);
    assert_eq!(store.status(vec![client("c0")]).await.unwrap(), [None]);
}
