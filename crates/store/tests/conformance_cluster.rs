//! The conformance suite against the Redis store on a real Redis Cluster, while the queue's slot
//! moves to and fro and replicas take over.
#![allow(clippy::unwrap_used)]

#[macro_use]
mod conformance;
#[path = "support/patient.rs"]
mod patient;
mod support;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{LazyLock, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use async_trait::async_trait;
use bookingq_core::{EventSeq, QueueName, Timestamp, time};
use bookingq_harness::ClusterNodes;
use bookingq_harness::wait::eventually;
use bookingq_store::Store;
use bookingq_store::redis::{RedisConfig, RedisStore};
use conformance::Subject;
use patient::PatientStore;
use tokio::time::{sleep, timeout};

/// One for all cases, which use different queues.
static CLUSTER: LazyLock<ClusterNodes> = LazyLock::new(|| ClusterNodes::start().unwrap());
/// Longest wait for an answer, or an event.
const LIMIT: Duration = Duration::from_secs(20);
/// Failovers of one primary must not overlap.
static CHANGE: Mutex<()> = Mutex::new(());

struct Moving {
    store: PatientStore,
    now: AtomicU64,
    key: String,
    calls: AtomicU64,
    change: Mutex<Option<JoinHandle<()>>>,
}

#[async_trait]
impl Subject for Moving {
    /// The store, of which every third call finds a change under way.
    fn store(&self) -> &dyn Store {
        let call = self.calls.fetch_add(1, Ordering::SeqCst);
        let mut change = self.change.lock().unwrap();
        if call.is_multiple_of(3) && change.as_ref().is_none_or(JoinHandle::is_finished) {
            ended(change.take());
            let (key, fails_over) = (self.key.clone(), call % 4 == 3);
            *change = Some(std::thread::spawn(move || start_change(&key, fails_over)));
        }
        &self.store
    }

    async fn advance(&self, by: Duration) {
        let by = time::millis(by);
        self.set_clock(self.now.fetch_add(by, Ordering::SeqCst) + by).await;
    }

    async fn set_back(&self, by: Duration) {
        let by = time::millis(by);
        self.set_clock(self.now.fetch_sub(by, Ordering::SeqCst) - by).await;
    }
}

impl Moving {
    async fn set_clock(&self, now: u64) {
        let set = async {
            while self.store.0.set_clock(Timestamp(now)).await.is_err() {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(Duration::from_secs(20), set).await.expect("the Cluster must come back");
    }
}

impl Drop for Moving {
    fn drop(&mut self) {
        ended(self.change.lock().unwrap().take());
    }
}

fn ended(change: Option<JoinHandle<()>>) {
    let failed = change.is_some_and(|change| change.join().is_err());
    assert!(!failed || std::thread::panicking(), "a change of the Cluster has failed");
}

/// Moves the slot, or lets a replica take over.
fn start_change(key: &str, fails_over: bool) {
    let _one = CHANGE.lock().unwrap();
    if fails_over {
        CLUSTER.fail_over(key).unwrap();
    } else {
        CLUSTER.move_slot(key).unwrap();
    }
}

async fn moving() -> Moving {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let queue = format!("q{}", NEXT.fetch_add(1, Ordering::Relaxed));
    let key = format!("booking-meta:{{{queue}}}");
    let url = format!("redis-cluster://{}", CLUSTER.hosts());
    let config = RedisConfig::new(url, QueueName::new(&queue).unwrap());
    let store = PatientStore(RedisStore::connect_with_test_clock(config).unwrap());
    let (now, calls) = (AtomicU64::new(1_800_000_000_000), AtomicU64::default());
    let subject = Moving { store, now, key, calls, change: Mutex::default() };
    subject.advance(Duration::ZERO).await;
    subject
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_only_reads_the_outbox_follows_the_slot() {
    let queue = QueueName::new("only-reads").unwrap();
    let url = format!("redis-cluster://{}", CLUSTER.hosts());
    let open = || RedisStore::connect(RedisConfig::new(url.clone(), queue.clone())).unwrap();
    let (writer, reader) = (open(), open());
    let mut after = EventSeq::START;
    for name in ["before", "after-a-move", "after-another"] {
        support::joins(&writer, name, LIMIT).await;
        eventually(&format!("the event of {name}"), LIMIT, async || {
            let Ok(read) = reader.events(after, 16, Duration::from_millis(100)).await else {
                return false;
            };
            after = read.next;
            !read.events.is_empty()
        })
        .await;
        let key = format!("booking-meta:{{{queue}}}");
        tokio::task::spawn_blocking(move || start_change(&key, false)).await.unwrap();
    }
}

conformance_tests!(moving);
