//! Faults of calls, with a paused clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bookingq_sim::fault_injector::FaultInjector;
use bookingq_sim::share::Share;
use bookingq_sim::spec::{Faults, ServiceSpec};
use tokio::time::Instant;
use tonic::Code;

fn injector(faults: Faults) -> Arc<FaultInjector> {
    FaultInjector::new(ServiceSpec { faults, seed: 3 })
}

#[tokio::test(start_paused = true)]
async fn a_call_that_fails_has_no_effect() {
    let injector = injector(Faults { errors: Share::ALL, ..Faults::default() });
    for _ in 0..20 {
        let status = injector.run(|| -> () { panic!("done") }).await.unwrap_err();
        assert!(matches!(status.code(), Code::Internal | Code::Unavailable), "{status:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_reply_is_lost_took_effect() {
    let injector = injector(Faults { lost_replies: Share::ALL, ..Faults::default() });
    let done = Arc::new(AtomicU32::new(0));
    let (mut silent, mut loud) = (0, 0);
    for _ in 0..40 {
        let done = done.clone();
        let call = injector.run(move || done.fetch_add(1, Ordering::Relaxed));
        match tokio::time::timeout(Duration::from_secs(1), call).await {
            Err(_deadline) => silent += 1,
            Ok(answer) => {
                assert_eq!(answer.unwrap_err().code(), Code::Unavailable);
                loud += 1;
            }
        }
    }
    assert_eq!(done.load(Ordering::Relaxed), 40);
    assert!(silent > 5 && loud > 5, "{silent} silent, {loud} loud");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_has_begun_takes_effect_although_its_caller_left() {
    let injector = injector(Faults { latency: Duration::from_secs(2), ..Faults::default() });
    let (done, mut receiver) = tokio::sync::mpsc::unbounded_channel();
    let call = injector.run(move || done.send(()));
    assert!(tokio::time::timeout(Duration::from_secs(1), call).await.is_err());
    assert!(receiver.recv().await.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_pause_holds_calls_until_it_is_resumed_or_over() {
    let injector = injector(Faults::default());
    injector.pause();
    assert!(injector.is_paused());
    assert!(tokio::time::timeout(Duration::from_secs(9), injector.run(|| ())).await.is_err());
    let waiting = tokio::spawn({
        let injector = injector.clone();
        async move { injector.run(|| ()).await }
    });
    injector.resume();
    waiting.await.unwrap().unwrap();

    let start = Instant::now();
    injector.pause_for(Duration::from_secs(30));
    injector.run(|| ()).await.unwrap();
    assert!(start.elapsed() >= Duration::from_secs(30));
    assert!(!injector.is_paused());
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_gives_the_same_faults() {
    let faults =
        Faults { jitter: Duration::from_secs(1), errors: Share::percent(50), ..Faults::default() };
    let (one, other) = (injector(faults), injector(faults));
    for _ in 0..100 {
        let start = Instant::now();
        let first = one.run(|| ()).await.map_err(|status| status.code());
        let time = start.elapsed();
        assert_eq!(other.run(|| ()).await.map_err(|status| status.code()), first);
        assert_eq!(start.elapsed(), 2 * time);
    }
}
