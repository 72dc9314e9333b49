//! The crowd, through real sockets, at a tiny worker service that behaves or misbehaves as told.

#![allow(clippy::unwrap_used)]

mod fake;

use std::collections::HashSet;
use std::net::SocketAddr;
use std::time::Duration;

use bookingq_core::QueueName;
use bookingq_core::backoff::Backoff;
use bookingq_sim::crowd::{Behaviour, Behaviours, Manners};
use bookingq_sim::{Crowd, CrowdConfig, CrowdReport};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::fake::{FakeLine, Flaw};

const HOLD: Duration = Duration::from_millis(1500);

fn crowd(clients: u32, behaviours: Behaviours) -> CrowdConfig {
    let manners = Manners {
        think: (0.1, 0.3),
        leave_within: Duration::from_millis(300),
        late_within: Duration::from_secs(1),
    };
    let queue = QueueName::new("concert").unwrap();
    let backoff = Backoff { initial: Duration::from_millis(10), max: Duration::from_millis(50) };
    CrowdConfig {
        behaviours,
        manners,
        backoff,
        ..CrowdConfig::new(queue, clients, Duration::from_millis(200))
    }
}

async fn run(config: CrowdConfig, flaw: Flaw) -> CrowdReport {
    let line = FakeLine::new(flaw, HOLD);
    let (one, first) = line.serve().await;
    let (two, second) = line.serve().await;
    let (_sender, endpoints) = watch::channel(vec![one, two]);
    let report = within_limits(Crowd::new(config).run(endpoints, CancellationToken::new())).await;
    first.abort();
    second.abort();
    report
}

async fn within_limits<T>(run: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), run).await.unwrap()
}

#[track_caller]
fn assert_kept(report: &CrowdReport) {
    assert_eq!(report.promises_broken_total, 0, "{:?}", report.promises_broken);
}

#[track_caller]
fn assert_broken(report: &CrowdReport, what: &str) {
    assert!(report.promises_broken_total > 0);
    let broken = &report.promises_broken[0];
    assert!(broken.what.contains(what), "{broken:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mixed_crowd_comes_and_every_booking_ends() {
    let report = run(crowd(300, Behaviours::default()), Flaw::None).await;
    assert_kept(&report);
    let progress = report.progress;
    assert_eq!((progress.arrived, progress.acknowledged, progress.finished), (300, 300, 300));
    assert_eq!(report.finals.values().sum::<u64>(), 300);
    assert_eq!(report.finals["confirmed"], progress.paid);
    assert_eq!(report.finals["cancelled"], progress.left);
    assert!(report.finals["expired"] >= progress.paid_late && progress.paid_late > 0);
    assert!(progress.paid > 200 && progress.left > 5, "{progress:?}");

    let clients: HashSet<_> = report.acknowledged.iter().map(|a| a.client.clone()).collect();
    let bookings: HashSet<_> = report.acknowledged.iter().map(|a| a.booking).collect();
    assert_eq!((clients.len(), bookings.len()), (300, 300));
    assert!(report.acknowledged.len() > 320, "who comes twice is acknowledged three times");
    let latency = report.latency_ms;
    assert_eq!(latency.enqueue.count, report.acknowledged.len() as u64);
    assert!(latency.payment.count >= progress.paid && latency.queued.count == 300);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_is_repeated_until_it_is_answered() {
    let report = run(crowd(50, Behaviours::all(Behaviour::Pays)), Flaw::Shaky).await;
    assert_kept(&report);
    assert_eq!(report.finals["confirmed"], 50);
    assert!(report.errors["STORE_UNAVAILABLE"] >= 50, "{:?}", report.errors);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_that_ends_is_opened_again() {
    let report = run(crowd(20, Behaviours::all(Behaviour::Pays)), Flaw::ShortWatches).await;
    assert_kept(&report);
    assert_eq!(report.finals["confirmed"], 20);
    assert!(report.progress.watches > 40, "{:?}", report.progress);
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_go_to_another_worker_when_theirs_dies_or_none_is_there_yet() {
    let line = FakeLine::new(Flaw::None, HOLD);
    let (sender, endpoints) = watch::channel(Vec::<SocketAddr>::new());
    let crowd = Crowd::new(crowd(40, Behaviours::all(Behaviour::NeverPays)));
    let progress = crowd.progress();
    let running = tokio::spawn(crowd.run(endpoints, CancellationToken::new()));

    let (one, first) = line.serve().await;
    sender.send_replace(vec![one]);
    let held = async {
        while progress.view().held < 40 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    within_limits(held).await;
    let (two, _second) = line.serve().await;
    first.abort();
    sender.send_replace(vec![one, two]);
    let report = within_limits(running).await.unwrap();
    assert_kept(&report);
    assert_eq!(report.finals["expired"], 40);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_crowd_goes_home_at_once() {
    let line = FakeLine::new(Flaw::None, Duration::from_secs(3600));
    let (one, _first) = line.serve().await;
    let (_sender, endpoints) = watch::channel(vec![one]);
    let crowd = Crowd::new(crowd(30, Behaviours::all(Behaviour::NeverPays)));
    let (progress, stop) = (crowd.progress(), CancellationToken::new());
    let running = tokio::spawn(crowd.run(endpoints, stop.clone()));
    let held = async {
        while progress.view().held < 30 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    within_limits(held).await;
    stop.cancel();
    let report = tokio::time::timeout(Duration::from_secs(5), running).await.unwrap().unwrap();
    assert_eq!((report.progress.acknowledged, report.progress.finished), (30, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_becomes_two_bookings_is_noticed() {
    let report = run(crowd(5, Behaviours::all(Behaviour::ComesTwice)), Flaw::ForgetsRequests).await;
    assert_broken(&report, "got booking");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_position_that_grows_is_noticed() {
    let report = run(crowd(5, Behaviours::all(Behaviour::Pays)), Flaw::MovesBack).await;
    assert_broken(&report, "went back in line from 3 to 5");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_refused_before_the_deadline_is_noticed() {
    let report = run(crowd(5, Behaviours::all(Behaviour::Pays)), Flaw::RefusesPayments).await;
    assert_broken(&report, "before the deadline");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_taken_after_the_deadline_is_noticed() {
    let report = run(crowd(5, Behaviours::all(Behaviour::PaysLate)), Flaw::TakesLatePayments).await;
    assert_broken(&report, "after the deadline was accepted");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_pays_late_pays_even_though_the_booking_has_expired_meanwhile() {
    let report = run(crowd(10, Behaviours::all(Behaviour::PaysLate)), Flaw::None).await;
    assert_kept(&report);
    assert_eq!((report.finals["expired"], report.progress.paid_late), (10, 10));
}
