//! The crowd and the check of its answers, through real sockets, at a small worker service that
//! behaves or misbehaves as configured.

#![allow(clippy::unwrap_used)]

mod fake;

use std::net::SocketAddr;
use std::time::Duration;

use bookingq_check::{CallRecorder, Violation, Violations};
use bookingq_core::QueueName;
use bookingq_core::backoff::Backoff;
use bookingq_crowd::{
    ActionTiming, Arrivals, Behaviour, Behaviours, Crowd, CrowdConfig, CrowdReport, Following,
    Repeats,
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::fake::{FakeLine, Flaw};

const HOLD: Duration = Duration::from_millis(1500);

fn crowd(clients: u32, behaviours: Behaviours) -> CrowdConfig {
    let timing = ActionTiming {
        think: (0.1, 0.3),
        leave_within: Duration::from_millis(300),
        late_within: Duration::from_secs(1),
    };
    let queue = QueueName::new("concert").unwrap();
    let backoff = Backoff { initial: Duration::from_millis(10), max: Duration::from_millis(50) };
    CrowdConfig {
        behaviours,
        timing,
        backoff,
        ..CrowdConfig::new(queue, clients, Duration::from_millis(200))
    }
}

async fn run(config: CrowdConfig, flaw: Flaw) -> (CrowdReport, Violations) {
    // An unavailable store asks for a second before the next try.
    let hold = if flaw == Flaw::Shaky { 6 * HOLD } else { HOLD };
    let line = FakeLine::new(flaw, hold);
    let recorder = CallRecorder::start(250);
    let config = CrowdConfig { recorder: Some(recorder.clone()), ..config };
    let (one, first) = line.serve().await;
    let (two, second) = line.serve().await;
    let (_sender, endpoints) = watch::channel(vec![one, two]);
    let report = within_limits(Crowd::new(config).run(endpoints, CancellationToken::new())).await;
    first.abort();
    second.abort();
    (report, recorder.finish().unwrap().violations())
}

async fn within_limits<T>(run: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), run).await.unwrap()
}

#[track_caller]
fn assert_kept(violations: &Violations) {
    assert!(violations.is_clean(), "{violations:?}");
}

#[track_caller]
fn assert_broken(violations: &Violations, kind: Violation, what: &str) {
    assert!(violations.examples(kind).iter().any(|case| case.contains(what)), "{violations:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mixed_crowd_comes_and_every_booking_ends() {
    let (report, violations) = run(crowd(300, Behaviours::default()), Flaw::None).await;
    assert_kept(&violations);
    let progress = report.progress;
    assert_eq!((progress.arrived, progress.acknowledged, progress.finished), (300, 300, 300));
    assert_eq!(report.finals.values().sum::<u64>(), 300);
    assert_eq!(report.finals["confirmed"], progress.paid);
    assert_eq!(report.finals["cancelled"], progress.left);
    assert!(report.finals["expired"] >= progress.paid_late && progress.paid_late > 0);
    assert!(progress.paid > 200 && progress.left > 5, "{progress:?}");

    let latency = report.latency_ms;
    assert!(latency.enqueue.count > 320, "a client that comes twice is acknowledged three times");
    assert!(latency.payment.count >= progress.paid && latency.queued.count == 300);
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_calls_are_repeated_until_they_are_answered() {
    let (report, violations) = run(crowd(50, Behaviours::all(Behaviour::Pays)), Flaw::Shaky).await;
    assert_kept(&violations);
    assert_eq!(report.finals["confirmed"], 50);
    assert!(report.errors["STORE_UNAVAILABLE"] >= 50, "{:?}", report.errors);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_that_ends_is_opened_again() {
    let (report, violations) =
        run(crowd(20, Behaviours::all(Behaviour::Pays)), Flaw::ShortWatches).await;
    assert_kept(&violations);
    assert_eq!(report.finals["confirmed"], 20);
    assert!(report.progress.watches > 40, "{:?}", report.progress);
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_go_to_another_worker_when_theirs_dies_or_none_is_there_yet() {
    let line = FakeLine::new(Flaw::None, HOLD);
    let (sender, endpoints) = watch::channel(Vec::<SocketAddr>::new());
    let recorder = CallRecorder::start(250);
    let config = crowd(40, Behaviours::all(Behaviour::NeverPays));
    let crowd = Crowd::new(CrowdConfig { recorder: Some(recorder.clone()), ..config });
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
    let violations = recorder.finish().unwrap().violations();
    assert_kept(&violations);
    assert_eq!(report.finals["expired"], 40);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_crowd_ends_at_once() {
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
    let (_, violations) =
        run(crowd(5, Behaviours::all(Behaviour::ComesTwice)), Flaw::ForgetsRequests).await;
    assert_broken(&violations, Violation::Duplicated, "became");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_position_that_grows_is_noticed() {
    let (_, violations) = run(crowd(5, Behaviours::all(Behaviour::Pays)), Flaw::MovesBack).await;
    assert_broken(&violations, Violation::MovedPlace, "went back in line from 3 to 5");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_refused_before_the_deadline_is_noticed() {
    let (_, violations) =
        run(crowd(5, Behaviours::all(Behaviour::Pays)), Flaw::RefusesPayments).await;
    assert_broken(&violations, Violation::BrokenDeadline, "before the deadline");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_taken_after_the_deadline_is_noticed() {
    let (_, violations) =
        run(crowd(5, Behaviours::all(Behaviour::PaysLate)), Flaw::TakesLatePayments).await;
    assert_broken(&violations, Violation::BrokenDeadline, "after the deadline");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_pays_late_does_so_although_the_booking_has_expired() {
    let (report, violations) =
        run(crowd(10, Behaviours::all(Behaviour::PaysLate)), Flaw::None).await;
    assert_kept(&violations);
    assert_eq!((report.finals["expired"], report.progress.paid_late), (10, 10));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_behaviour_and_habit_is_answered_correctly_by_polling_too() {
    use Behaviour as B;
    let behaviours = [B::Pays, B::PaysLate, B::PaysAtDeadline, B::PaysTwice, B::LeavesAtOnce];
    let more = [B::Leaves, B::GivesHoldBack, B::LeavesAfterPaying, B::NeverPays];
    let weights = behaviours.into_iter().chain(more).map(|behaviour| (behaviour, 1));
    let config = CrowdConfig {
        arrivals: Arrivals::Even,
        present: 60,
        repeats: Repeats { twin_request: 0.2, repeat_request: 0.3, join_again: 0.0 },
        following: Following::Poll,
        ..crowd(150, Behaviours::new(weights))
    };
    let (report, violations) = run(config, Flaw::None).await;
    assert_kept(&violations);
    assert_eq!((report.progress.arrived, report.progress.finished), (150, 150));
}
