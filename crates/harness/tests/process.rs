//! A supervised process from its start to its end, with real programs.
#![allow(clippy::unwrap_used)]

use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use bookingq_core::backoff::Backoff;
use bookingq_harness::port::free_address;
use bookingq_harness::wait::eventually;
use bookingq_harness::{Process, ProcessEvent, ProcessSpec, Restart, Signal};

const LIMIT: Duration = Duration::from_secs(20);
const BACKOFF: Backoff =
    Backoff { initial: Duration::from_millis(20), max: Duration::from_millis(100) };

fn shell(script: &str, restart: Restart) -> ProcessSpec {
    ProcessSpec { restart, ..ProcessSpec::new("test", "sh").arguments(["-c", script]) }
}

fn observed(spec: ProcessSpec) -> (Process, Receiver<ProcessEvent>) {
    let (sender, events) = channel();
    let process = Process::start_with(spec, move |event| drop(sender.send(event))).unwrap();
    (process, events)
}

fn next(events: &Receiver<ProcessEvent>) -> ProcessEvent {
    events.recv_timeout(LIMIT).unwrap()
}

#[test]
fn a_missing_program_is_an_error() {
    let error = Process::start(ProcessSpec::new("test", "no-such-program")).unwrap_err();
    let expected = "test cannot be started: no-such-program is not installed or not on the PATH";
    assert_eq!(error.to_string(), expected);
}

#[tokio::test]
async fn a_process_that_ends_by_itself_starts_again_and_its_end_is_recorded() {
    let (process, events) = observed(shell("exit 3", Restart::Always(BACKOFF)));
    for _ in 0..3 {
        assert!(matches!(next(&events), ProcessEvent::Started { .. }));
        let mut event = next(&events);
        if event == ProcessEvent::Ready {
            event = next(&events);
        }
        let ProcessEvent::Ended { how, restart_in } = event else { panic!("{event:?}") };
        assert!(how.contains('3') && restart_in.is_some(), "{how}");
    }
    assert!(process.unexplained_ends()[0].contains('3'));
    process.stop().await;
    assert_eq!(events.iter().last(), Some(ProcessEvent::Stopped));
}

#[tokio::test]
async fn a_process_that_was_killed_starts_again_and_its_end_is_explained() {
    let process = Process::start(shell("exec sleep 60", Restart::Always(BACKOFF))).unwrap();
    process.signal(Signal::KILL);
    eventually("the restart", LIMIT, async || process.starts() == 2).await;
    assert_eq!(process.unexplained_ends(), [""; 0]);
    process.stop().await;
}

#[tokio::test]
async fn a_round_that_succeeds_starts_again_at_once_and_one_that_stays_down_says_so() {
    let slow = Backoff { initial: LIMIT * 10, max: LIMIT * 10 };
    let process = Process::start(shell("exit 0", Restart::Rounds(slow))).unwrap();
    eventually("three rounds", LIMIT, async || process.starts() >= 3).await;
    process.stop().await;
    let folder = tempfile::tempdir().unwrap();
    let mut spec = shell("echo good-bye; exit 4", Restart::Never);
    spec.log = Some(folder.path().join("log"));
    let process = Process::start(spec).unwrap();
    eventually("its end", LIMIT, async || process.exit_status().is_some()).await;
    let error = process.check_running().unwrap_err().to_string();
    assert!(error.contains('4') && error.ends_with("good-bye"), "{error}");
}

#[tokio::test]
async fn a_process_that_ignores_sigterm_is_killed_after_its_grace_even_if_it_is_frozen() {
    let mut spec = shell("trap '' TERM; while :; do sleep 0.1; done", Restart::Always(BACKOFF));
    spec.grace = Duration::from_millis(200);
    let process = Process::start(spec).unwrap();
    process.freeze(LIMIT * 10);
    tokio::time::timeout(LIMIT, process.stop()).await.unwrap();
}

#[tokio::test]
async fn a_frozen_process_continues_after_its_time() {
    let folder = tempfile::tempdir().unwrap();
    let mut spec = shell("while :; do echo tick; sleep 0.01; done", Restart::Never);
    spec.log = Some(folder.path().join("log"));
    let process = Process::start(spec).unwrap();
    eventually("its first tick", LIMIT, async || !process.log().is_empty()).await;
    process.freeze(Duration::from_millis(300));
    let frozen = process.log().len();
    eventually("another tick", LIMIT, async || process.log().len() > frozen + 50).await;
    assert!(process.usage().unwrap().rss_mib > 0.0);
}

#[test]
fn a_process_is_ready_when_its_port_is_open() {
    let address = free_address().unwrap();
    let mut spec = ProcessSpec::new("redis", "redis-server").arguments(["--port".to_owned()]);
    spec = spec.arguments([address.port().to_string()]).arguments(["--save", ""]);
    spec.port = Some(address);
    let process = Process::start(spec).unwrap();
    process.wait_ready(LIMIT).unwrap();
    assert!(std::net::TcpStream::connect(address).is_ok());
    let mut never = shell("exec sleep 60", Restart::Never);
    never.port = Some(free_address().unwrap());
    let error = Process::start(never).unwrap().wait_ready(Duration::from_millis(100));
    assert!(error.unwrap_err().to_string().contains("was not ready within 100ms"));
}
