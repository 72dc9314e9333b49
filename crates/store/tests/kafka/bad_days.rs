//! Brokers that are killed, frozen and restarted while callers join: nothing that was acknowledged
//! is lost, and the history adds up.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bookingq_core::ClientId;
use bookingq_harness::wait::eventually;
use bookingq_harness::{KafkaCluster, KafkaOptions};
use bookingq_store::Store;
use bookingq_store::replicated::{KafkaAddress, KafkaLog, ReplicatedConfig, ReplicatedStore};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};

use crate::broker::{address, queue, topics_of};
use crate::logs::enqueue;

/// Longest that joins may be refused. A leader that is gone is replaced when its session is over.
const BACK_WITHIN: Duration = Duration::from_secs(45);
const CALLERS: usize = 8;
/// Joins between two faults.
const MANY: usize = 500;

/// Two workers of a queue, and callers that join at them without end.
struct Run {
    stores: [Arc<ReplicatedStore<KafkaLog>>; 2],
    acknowledged: Arc<AtomicUsize>,
    is_over: Arc<AtomicBool>,
    callers: Vec<tokio::task::JoinHandle<(BTreeMap<String, u64>, Duration)>>,
}

impl Run {
    async fn start(cluster: &KafkaCluster) -> (Self, KafkaAddress, String) {
        let (address, queue) = (address(cluster), queue());
        topics_of(&address, &queue, cluster.brokers() as u16).await;
        let store = || {
            let logs = KafkaLog::pair(&address, &queue).unwrap();
            let config =
                ReplicatedConfig { digest_every: 100, ..ReplicatedConfig::new(queue.clone()) };
            Arc::new(ReplicatedStore::start(config, logs))
        };
        let stores = [store(), store()];
        let (acknowledged, is_over) = (Arc::default(), Arc::default());
        let callers = (0..CALLERS)
            .map(|caller| {
                let store = Arc::clone(&stores[caller % 2]);
                let calls = join(store, caller, Arc::clone(&acknowledged), Arc::clone(&is_over));
                tokio::spawn(calls)
            })
            .collect();
        let topic = address.commands(&queue);
        (Self { stores, acknowledged, is_over, callers }, address, topic)
    }

    /// Waits until joins are acknowledged again, then until many are. Returns how long the first
    /// took.
    async fn goes_on(&self) -> Duration {
        let (before, since) = (self.acknowledged.load(Ordering::SeqCst), Instant::now());
        let more = async |joins| {
            eventually("joins are acknowledged", BACK_WITHIN, async || {
                self.acknowledged.load(Ordering::SeqCst) > before + joins
            })
            .await;
            since.elapsed()
        };
        let first = more(2 * CALLERS).await;
        more(MANY).await;
        first
    }

    /// Ends the calls and compares what was acknowledged with what the queue holds.
    async fn adds_up(self) {
        self.is_over.store(true, Ordering::SeqCst);
        let (mut places, mut longest) = (BTreeMap::new(), Duration::ZERO);
        for caller in self.callers {
            let (joined, wait) = caller.await.unwrap();
            places.extend(joined);
            longest = longest.max(wait);
        }
        let mut numbers: Vec<u64> = places.values().copied().collect();
        numbers.sort_unstable();
        let joined = numbers.len() as u64;
        assert!(numbers.iter().copied().eq(1..=joined), "each place is one client's");
        eprintln!("{joined} joined; the longest wait of one was {longest:?}");
        for store in &self.stores {
            assert_eq!(store.snapshot().await.unwrap().totals.enqueued, joined);
            for client in places.keys() {
                let asked = vec![ClientId::new(client).unwrap()];
                let found = store.status(asked).await.unwrap().remove(0).unwrap();
                assert_eq!(found.place.number.get(), places[client], "{client}");
            }
        }
        // Both have read the same and are in the same state.
        let [one, other] = &self.stores;
        eventually("both workers have read the same", BACK_WITHIN, async || {
            one.snapshot().await.unwrap();
            other.digest().0 == one.digest().0
        })
        .await;
        assert_eq!(one.digest(), other.digest());
    }
}

/// Joins with one client after another; repeats a join until it is acknowledged.
async fn join(
    store: Arc<ReplicatedStore<KafkaLog>>,
    caller: usize,
    acknowledged: Arc<AtomicUsize>,
    is_over: Arc<AtomicBool>,
) -> (BTreeMap<String, u64>, Duration) {
    let (mut places, mut longest) = (BTreeMap::new(), Duration::ZERO);
    while !is_over.load(Ordering::SeqCst) {
        let client = format!("{caller}-{}", places.len());
        let (asked, since) = (enqueue(&client), Instant::now());
        let place = loop {
            match store.enqueue(asked.clone()).await {
                Ok(mut joined) => break joined.remove(0).unwrap().booking.place.number.get(),
                Err(error) => assert!(error.is_transient(), "{error}"),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        longest = longest.max(since.elapsed());
        places.insert(client, place);
        acknowledged.fetch_add(1, Ordering::SeqCst);
        // A thousand joins a second, not all that the machine can do.
        tokio::time::sleep(Duration::from_millis(8)).await;
    }
    (places, longest)
}

#[tokio::test(flavor = "multi_thread")]
async fn one_broker_that_is_killed_or_frozen_loses_nothing_that_was_acknowledged() {
    let mut cluster = KafkaCluster::start(1).unwrap();
    let (run, ..) = Run::start(&cluster).await;
    run.goes_on().await;
    for round in 0..2 {
        cluster.kill(0);
        cluster.restart(0).unwrap();
        eprintln!("killed, round {round}: joins go on {:?} after its start", run.goes_on().await);
        let frozen = Duration::from_secs(7);
        cluster.process(0).freeze(frozen);
        tokio::time::sleep(frozen).await;
        eprintln!("frozen, round {round}: joins go on {:?} after it", run.goes_on().await);
    }
    run.adds_up().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn three_brokers_lose_nothing_while_leaders_are_killed_and_frozen() {
    // A third of the default sessions of 9 s, and of 30 s for replicas that lag.
    let sessions = [("broker.session.timeout.ms", "3000"), ("replica.lag.time.max.ms", "10000")];
    let properties = sessions.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let options = KafkaOptions { properties, ..KafkaOptions::default() };
    let mut cluster = KafkaCluster::start_with(3, &options).unwrap();
    let (run, address, topic) = Run::start(&cluster).await;
    run.goes_on().await;
    let killed = leader(&address, &topic).await;
    cluster.kill(killed);
    eprintln!("leader killed: joins go on after {:?}", run.goes_on().await);
    cluster.restart(killed).unwrap();
    // Two replicas have to be in sync, and the next leader is not to be the last one that is.
    eventually("three replicas are in sync", BACK_WITHIN, async || {
        in_sync(&address, &topic).await == 3
    })
    .await;
    let frozen = leader(&address, &topic).await;
    cluster.process(frozen).freeze(Duration::from_secs(12));
    eprintln!("leader frozen: joins go on after {:?}", run.goes_on().await);
    eventually("the frozen broker is in sync again", 2 * BACK_WITHIN, async || {
        in_sync(&address, &topic).await == 3
    })
    .await;
    run.goes_on().await;
    run.adds_up().await;
}

/// Of the first partition: the index of the leader, if a broker knows it, and the replicas in sync.
async fn partition(address: &KafkaAddress, topic: &str) -> Option<(usize, usize)> {
    let (bootstrap, topic) = (address.bootstrap(), topic.to_owned());
    let asked = tokio::task::spawn_blocking(move || {
        let consumer: BaseConsumer =
            ClientConfig::new().set("bootstrap.servers", bootstrap).create().ok()?;
        let metadata = consumer.fetch_metadata(Some(&topic), Duration::from_secs(5)).ok()?;
        let partition = metadata.topics().first()?.partitions().first()?;
        Some((usize::try_from(partition.leader() - 1).ok()?, partition.isr().len()))
    });
    asked.await.unwrap()
}

async fn leader(address: &KafkaAddress, topic: &str) -> usize {
    let mut found = None;
    eventually("there is a leader", BACK_WITHIN, async || {
        found = partition(address, topic).await;
        found.is_some()
    })
    .await;
    found.unwrap().0
}

async fn in_sync(address: &KafkaAddress, topic: &str) -> usize {
    partition(address, topic).await.map_or(0, |(_, in_sync)| in_sync)
}
