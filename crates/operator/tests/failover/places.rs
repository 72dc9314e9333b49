//! Clients join through the store while the primary fails: no acknowledged place is lost.
//!
//! `FAILOVER_RUNS=50 cargo test -p bookingq-operator --test failover places -- --nocapture` prints
//! how long joins paused in each run.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bookingq_core::{BookingId, ClientId, Details, QueueName, RequestId};
use bookingq_harness::redis::RedisServer;
use bookingq_harness::wait::eventually;
use bookingq_operator::redis_failover::plan::FailoverState;
use bookingq_operator::redis_failover::surroundings::DesiredFailover;
use bookingq_store::{Enqueue, RedisConfig, Store};
use parking_lot::Mutex;
use rustix::process::Signal;

use super::trio::{Driver, LIMIT, Trio};

/// Clients that join at once.
const CALLERS: usize = 8;
/// Between two passes of an operator.
const PERIOD: Duration = Duration::from_secs(1);

/// What happens to the primary.
#[derive(Debug, Clone, Copy)]
enum Fault {
    Frozen(Duration),
    /// It thaws at the worst moment: the record is written, and nothing is promoted yet.
    FrozenUntilElection,
    Killed,
    AllKilled,
    /// No fault: the primary gets a new template.
    HandOver,
}

fn fault(run: u32) -> Fault {
    match run % 4 {
        0 => Fault::Frozen(Duration::from_millis(500 + u64::from(run) * 997 % 7500)),
        1 => Fault::Killed,
        2 => Fault::FrozenUntilElection,
        _ => Fault::AllKilled,
    }
}

/// The joins that were acknowledged.
#[derive(Default)]
struct Joined {
    clients: BTreeSet<String>,
    last: Option<Instant>,
    /// The longest time without one.
    pause: Duration,
}

fn store(trio: &Trio) -> Arc<dyn Store> {
    store_that_waits_for(trio, 1)
}

fn store_that_waits_for(trio: &Trio, replicas: u8) -> Arc<dyn Store> {
    let hosts: Vec<_> = trio
        .servers
        .iter()
        .map(|server| format!("localhost:{}", server.address().port()))
        .collect();
    let url = format!("redis://{}/0", hosts.join(","));
    let mut config = RedisConfig::new(url, QueueName::new("q").unwrap());
    config.acknowledge_replicas = replicas;
    bookingq_store::open(config).unwrap()
}

/// Joins until `ended`, each client once.
async fn call(
    store: Arc<dyn Store>,
    caller: usize,
    joined: Arc<Mutex<Joined>>,
    ended: Arc<AtomicBool>,
) {
    for number in 0.. {
        if ended.load(Ordering::Relaxed) {
            return;
        }
        let client = format!("{caller}-{number}");
        let join = Enqueue {
            client: ClientId::new(&client).unwrap(),
            request: RequestId::new(&client).unwrap(),
            booking: BookingId::generate(),
            details: Details::default(),
            trace: None,
        };
        if let Ok(answers) = store.enqueue(vec![join]).await {
            assert!(answers[0].is_ok(), "{answers:?}");
            let mut joined = joined.lock();
            joined.clients.insert(client);
            let now = Instant::now();
            if let Some(last) = joined.last.replace(now) {
                joined.pause = joined.pause.max(now - last);
            }
        } else {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// As autoscaler/redis_loop.rs does, with at most so many passes in a row.
async fn operate(mut driver: Driver, desired: Arc<Mutex<DesiredFailover>>, in_a_row: usize) {
    loop {
        for _ in 0..in_a_row {
            let now = *desired.lock();
            let report = driver.pass(now, usize::MAX).await;
            if report.done == 0 || matches!(report.state, FailoverState::Serving { .. }) {
                break;
            }
        }
        tokio::time::sleep(PERIOD).await;
    }
}

async fn inject(trio: &mut Trio, fault: Fault, desired: &Mutex<DesiredFailover>) {
    let primary = trio.primary();
    match fault {
        Fault::Frozen(time) => {
            trio.servers[primary].process().signal(Signal::STOP);
            tokio::time::sleep(time).await;
            trio.servers[primary].process().signal(Signal::CONT);
        }
        Fault::FrozenUntilElection => {
            let before = trio.record();
            trio.servers[primary].process().signal(Signal::STOP);
            eventually("another record", LIMIT, async || trio.record() != before).await;
            trio.servers[primary].process().signal(Signal::CONT);
            // All steps of the slow operator.
            tokio::time::sleep(6 * PERIOD).await;
        }
        Fault::Killed => {
            trio.servers[primary].kill();
            tokio::time::sleep(Duration::from_secs(12)).await;
            trio.servers[primary].restart().unwrap();
        }
        Fault::HandOver => {
            desired.lock().outdated[primary] = true;
            eventually("its Pod to be replaced", LIMIT, async || {
                trio.lasting.lock().replaced.contains(&primary)
            })
            .await;
        }
        Fault::AllKilled => {
            trio.servers.iter_mut().for_each(RedisServer::kill);
            for server in &mut trio.servers {
                server.restart().unwrap();
            }
        }
    }
}

/// Returns the number of acknowledged joins, those that are lost, and the longest pause.
async fn run(fault: Fault) -> (usize, Vec<String>, Duration) {
    // A slow operator leaves the thawed primary time to acknowledge.
    let in_a_row = if matches!(fault, Fault::FrozenUntilElection) { 1 } else { 20 };
    let mut trio = Trio::start();
    let mut driver = trio.driver();
    trio.until_whole(&mut driver).await;
    let desired = Arc::new(Mutex::new(trio.desired));
    let operator = tokio::spawn(operate(driver, desired.clone(), in_a_row));
    let (joined, ended) =
        (Arc::new(Mutex::new(Joined::default())), Arc::new(AtomicBool::new(false)));
    let callers: Vec<_> = (0..CALLERS)
        .map(|caller| tokio::spawn(call(store(&trio), caller, joined.clone(), ended.clone())))
        .collect();
    eventually("some joins", LIMIT, async || joined.lock().clients.len() > 200).await;
    inject(&mut trio, fault, &desired).await;
    let before = joined.lock().clients.len();
    eventually("more joins", LIMIT, async || joined.lock().clients.len() > before + 200).await;
    ended.store(true, Ordering::Relaxed);
    for caller in callers {
        caller.await.unwrap();
    }
    operator.abort();
    let reader = store(&trio);
    let Joined { clients, pause, .. } = std::mem::take(&mut *joined.lock());
    let mut lost = Vec::new();
    let all: Vec<_> = clients.into_iter().collect();
    for batch in all.chunks(256) {
        let asked = batch.iter().map(|client| ClientId::new(client).unwrap()).collect();
        let found = reader.status(asked).await.unwrap();
        lost.extend(
            batch.iter().zip(found).filter(|(_, found)| found.is_none()).map(|(c, _)| c.clone()),
        );
    }
    (all.len(), lost, pause)
}

/// Joins of one caller until `ended`.
struct Joining {
    joined: Arc<Mutex<Joined>>,
    ended: Arc<AtomicBool>,
    caller: tokio::task::JoinHandle<()>,
}

impl Joining {
    fn start(trio: &Trio, caller: usize, replicas: u8) -> Self {
        let (joined, ended) = (Arc::default(), Arc::default());
        let store = store_that_waits_for(trio, replicas);
        let caller = tokio::spawn(call(store, caller, Arc::clone(&joined), Arc::clone(&ended)));
        Self { joined, ended, caller }
    }

    async fn until_more(&self) {
        let before = self.joined.lock().clients.len();
        eventually("more joins", LIMIT, async || self.joined.lock().clients.len() > before + 100)
            .await;
    }

    /// Returns the longest pause.
    async fn end(self) -> Duration {
        self.ended.store(true, Ordering::Relaxed);
        self.caller.await.unwrap();
        self.joined.lock().pause
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn joins_go_on_while_a_redis_of_one_becomes_one_of_three() {
    let mut trio = Trio::from_one();
    let others = [1, 2];
    for index in others {
        trio.servers[index].kill();
    }
    let joining = Joining::start(&trio, 0, trio.waited_for());
    joining.until_more().await;
    let mut driver = trio.driver();
    for _ in 0..20 {
        driver.pass(trio.desired, usize::MAX).await;
    }
    assert_eq!(trio.waited_for(), 0, "no replica answers");
    joining.until_more().await;
    for index in others {
        trio.servers[index].restart().unwrap();
    }
    trio.until(&mut driver, "a copy on disk", |_| trio.waited_for() > 0).await;
    joining.until_more().await;
    // The next workers wait for a replica.
    let waiting = Joining::start(&trio, 1, trio.waited_for());
    waiting.until_more().await;
    trio.until_whole(&mut driver).await;
    waiting.until_more().await;
    for pause in [joining.end().await, waiting.end().await] {
        assert!(pause < Duration::from_secs(2), "{pause:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hand_over_loses_no_place_and_delays_joins_for_a_moment() {
    let (joins, lost, pause) = run(Fault::HandOver).await;
    println!("HandOver: {joins} joins, {} lost, paused for {pause:?}", lost.len());
    assert!(lost.is_empty(), "{lost:?}");
    // 0.6 to 0.7 s on an idle machine; a failover takes 5 s at least.
    assert!(pause < Duration::from_secs(3), "{pause:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_acknowledged_place_is_lost_when_the_primary_fails() {
    let runs = std::env::var("FAILOVER_RUNS").ok().and_then(|runs| runs.parse().ok()).unwrap_or(4);
    for number in 0..runs {
        let fault = fault(number);
        let (joins, lost, pause) = run(fault).await;
        println!("{fault:?}: {joins} joins, {} lost, paused for {pause:?}", lost.len());
        assert!(lost.is_empty(), "{fault:?}: {} of {joins} are lost: {lost:?}", lost.len());
        assert!(pause < Duration::from_secs(15), "{fault:?}: {pause:?}");
    }
}
