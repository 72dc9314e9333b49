//! Group commit: which calls form a batch, and who gets which answer.
#![allow(clippy::unwrap_used)]

mod gated;

use std::sync::Arc;
use std::time::Duration;

use bookingq_core::{BookingId, ClientId, Details, RequestId};
use bookingq_store::group::GroupCommit;
use bookingq_store::{Enqueue, Enqueued, Result, StoreError};
use gated::Gated;
use tokio::task::JoinHandle;

fn enqueue(n: usize) -> Enqueue {
    Enqueue {
        client: ClientId::new(&format!("c{n}")).unwrap(),
        request: RequestId::new("r").unwrap(),
        booking: BookingId::generate(),
        details: Details::default(),
        trace: None,
    }
}

/// Starts a call and lets it reach its queue.
async fn start(group: &GroupCommit, n: usize) -> JoinHandle<Result<Enqueued>> {
    let group = group.clone();
    let call =
        tokio::spawn(async move { group.enqueue(enqueue(n)).await.map(|answer| answer.unwrap()) });
    tokio::task::yield_now().await;
    call
}

#[tokio::test]
async fn an_idle_group_sends_at_once() {
    let store = Arc::new(Gated::open());
    let group = GroupCommit::new(store.clone());
    for n in 0..3 {
        let place = group.enqueue(enqueue(n)).await.unwrap().unwrap();
        assert_eq!(place.booking.position, Some(n as u64 + 1));
    }
    assert_eq!(store.batches(), [1, 1, 1]);
}

#[tokio::test]
async fn calls_that_arrive_during_a_call_form_one_batch_in_order() {
    let store = Arc::new(Gated::closed());
    let group = GroupCommit::new(store.clone());
    let mut calls = Vec::new();
    for n in 0..301 {
        calls.push(start(&group, n).await);
    }
    store.let_all_pass();
    for (n, call) in calls.into_iter().enumerate() {
        let place = call.await.unwrap().unwrap();
        assert_eq!(place.booking.position, Some(n as u64 + 1));
    }
    assert_eq!(store.batches(), [1, 256, 44]);
}

#[tokio::test]
async fn every_caller_of_a_failed_batch_gets_the_error_and_the_next_batch_works() {
    let store = Arc::new(Gated::closed());
    let group = GroupCommit::new(store.clone());
    let mut calls = Vec::new();
    for n in 0..3 {
        calls.push(start(&group, n).await);
    }
    store.fail_the_next(2);
    store.let_all_pass();
    for call in calls {
        let failed = call.await.unwrap();
        assert!(matches!(failed, Err(StoreError::Timeout(_))), "{failed:?}");
    }
    assert!(!group.enqueue(enqueue(0)).await.unwrap().unwrap().existing);
}

#[tokio::test]
async fn a_cancelled_caller_affects_no_other_caller() {
    let store = Arc::new(Gated::closed());
    let group = GroupCommit::new(store.clone());
    let first = start(&group, 0).await;
    let gone = start(&group, 1).await;
    let last = start(&group, 2).await;
    gone.abort();
    assert!(gone.await.unwrap_err().is_cancelled());
    store.let_all_pass();
    assert!(first.await.unwrap().is_ok());
    let place = last.await.unwrap().unwrap();
    assert_eq!(place.booking.position, Some(3), "the cancelled call took effect");
}

#[tokio::test]
async fn a_call_beyond_the_limit_is_refused_at_once() {
    const MAX_WAITING: usize = 16_384;
    let store = Arc::new(Gated::closed());
    let group = GroupCommit::new(store.clone());
    // One in flight, then as many as may wait.
    let mut calls = vec![start(&group, 0).await];
    for n in 1..=MAX_WAITING {
        calls.push(start(&group, n).await);
    }
    let refused = group.enqueue(enqueue(MAX_WAITING + 1)).await;
    assert!(matches!(refused, Err(StoreError::Overloaded { waiting: MAX_WAITING })), "{refused:?}");
    store.let_all_pass();
    for call in calls {
        call.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn its_tasks_end_with_the_last_clone() {
    let store = Arc::new(Gated::open());
    let group = GroupCommit::new(store.clone());
    group.clone().enqueue(enqueue(0)).await.unwrap().unwrap();
    drop(group);
    let ended = async {
        while Arc::strong_count(&store) > 1 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), ended)
        .await
        .expect("only the test holds the store");
}
