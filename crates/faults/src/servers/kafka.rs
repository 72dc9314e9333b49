//! Brokers of Kafka, a proxy in front of each, and their faults.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use bookingq_core::QueueName;
use bookingq_core::backoff::Backoff;
use bookingq_core::retry::Retry;
use bookingq_harness::port::free_address;
use bookingq_harness::{BrokerAddress, KafkaCluster, KafkaOptions, Process, Restart, Signal};
use bookingq_store::StoreError;
use bookingq_store::replicated::{
    KafkaAddress, KafkaConfig, ReplicatedConfig, create_topics, log_placement,
};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, timeout};

use super::envelopes::EnvelopeFaults;
use crate::kinds::FaultKind;
use crate::plan::NetworkFault;
use crate::proxy::Proxy;

/// Settings of brokers beside those of tests: a third of the default sessions of 9 s, and of 30 s
/// for replicas that lag.
const PROPERTIES: [(&str, &str); 3] = [
    ("broker.session.timeout.ms", "3000"),
    ("broker.heartbeat.interval.ms", "1000"),
    ("replica.lag.time.max.ms", "10000"),
];
/// Between two attempts to make the topics of brokers that have just started.
const BACKOFF: Backoff =
    Backoff { initial: Duration::from_millis(100), max: Duration::from_secs(2) };
/// Longest wait until all brokers are in sync.
const WHOLE: Duration = Duration::from_secs(90);
/// A worker whose envelope was not read back for this long connects again: until then a fault that
/// has ended lasts for it.
const READ_BACK: Duration = Duration::from_secs(5);
/// Between two looks at them.
const LOOK: Duration = Duration::from_millis(100);
/// Longest that a broker may take to end in order.
const TERM: Duration = Duration::from_secs(20);
/// A slow broker stands still so long, in milliseconds, and goes on so long.
const STANDS_STILL_MS: std::ops::Range<u64> = 20..150;
const GOES_ON: Duration = Duration::from_millis(60);
/// Records between two snapshots, and longest time of one.
const SNAPSHOT_EVERY: u64 = 300;
const SNAPSHOT_WITHIN: Duration = Duration::from_secs(30);

/// The brokers of a run.
#[derive(Debug)]
pub(crate) struct KafkaBrokers(Arc<BrokerGroup>);

#[derive(Debug)]
struct BrokerGroup {
    cluster: KafkaCluster,
    /// In front of each broker, in the same order; brokers reach each other through them too.
    proxies: Vec<Proxy>,
    address: KafkaAddress,
    queue: QueueName,
    envelopes: EnvelopeFaults,
    /// Held by what nothing else may disturb.
    change: Mutex<()>,
    /// Held from a fault of a leader until all brokers are in sync again.
    leader: Mutex<()>,
    /// Held while a snapshot is taken.
    snapshot: Mutex<()>,
    left_out: AtomicU64,
}

impl KafkaBrokers {
    /// Starts so many brokers, makes the queue's topics, and waits until all brokers have them.
    pub(crate) async fn start(
        brokers: usize,
        folder: &Path,
        queue: &QueueName,
        restart: Restart,
    ) -> Result<Self> {
        let (mut addresses, mut proxies) = (Vec::new(), Vec::new());
        for _ in 0..brokers {
            let listen = free_address()?;
            let proxy = Proxy::start(listen).await?;
            addresses.push(BrokerAddress { listen, advertised: proxy.address() });
            proxies.push(proxy);
        }
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        let options = KafkaOptions {
            directory: Some(folder.join("kafka")),
            restart,
            addresses,
            properties: PROPERTIES.into_iter().map(owned).collect(),
            ..KafkaOptions::default()
        };
        let start = move || KafkaCluster::start_with(brokers, &options);
        let cluster = tokio::task::spawn_blocking(start).await??;
        let address = KafkaAddress::new(&cluster.url()).context("the brokers have no address")?;
        let make = || create_topics(&address, queue, brokers as u16);
        Retry::within(BACKOFF, WHOLE).run(StoreError::is_transient, make).await?;
        let group = BrokerGroup {
            envelopes: EnvelopeFaults::start(&address, queue)?,
            cluster,
            proxies,
            address,
            queue: queue.clone(),
            change: Mutex::default(),
            leader: Mutex::default(),
            snapshot: Mutex::default(),
            left_out: AtomicU64::default(),
        };
        group.wait_whole().await?;
        Ok(Self(Arc::new(group)))
    }

    pub(crate) fn url(&self) -> String {
        self.0.cluster.url()
    }

    /// The settings of a store on these brokers.
    pub(crate) fn config(&self) -> KafkaConfig {
        self.0.config()
    }

    pub(crate) fn processes(&self) -> Vec<&Process> {
        self.0.cluster.processes().collect()
    }

    /// The faults that found brokers in a state in which they are not injected.
    pub(crate) fn left_out(&self) -> u64 {
        self.0.left_out.load(Ordering::Relaxed)
    }

    /// Injects a fault, at once or never. It ends by itself.
    pub(crate) fn inject(&self, fault: FaultKind, pick: u8, time: Duration) {
        let group = Arc::clone(&self.0);
        tokio::spawn(async move {
            if group.inject(fault, usize::from(pick), time).await.is_none() {
                group.left_out.fetch_add(1, Ordering::Relaxed);
            }
        });
    }

    /// Ends all faults, and waits until all brokers are in sync and workers had time to notice.
    pub(crate) async fn clear(&self) {
        let group = &self.0;
        group.envelopes.clear();
        println!("{} envelopes came into the log once more", group.envelopes.again());
        for process in group.cluster.processes() {
            process.signal(Signal::CONT);
        }
        group.proxies.iter().for_each(Proxy::clear);
        drop(group.change.lock().await);
        if let Err(error) = group.wait_whole().await {
            println!("{error}");
        }
        drop(group.snapshot.lock().await);
        sleep(READ_BACK).await;
    }
}

impl BrokerGroup {
    fn config(&self) -> KafkaConfig {
        let replicated = ReplicatedConfig::new(self.queue.clone());
        KafkaConfig { address: self.address.clone(), replicated }
    }

    /// The brokers that have all of the log, and the index of the one that leads it.
    async fn placement(&self) -> Option<(usize, usize)> {
        let found = log_placement(&self.address, &self.queue).await.ok()?;
        let leader = usize::try_from(found.leader?.checked_sub(1)?).ok()?;
        Some((found.in_sync, leader))
    }

    async fn wait_whole(&self) -> Result<()> {
        let (start, brokers) = (Instant::now(), self.proxies.len());
        loop {
            let found = self.placement().await;
            if found.is_some_and(|(in_sync, _)| in_sync == brokers) {
                return Ok(());
            }
            if start.elapsed() > WHOLE {
                bail!("after {WHOLE:?} not all brokers are in sync: {found:?}");
            }
            sleep(LOOK).await;
        }
    }

    /// `None` if the brokers are in a state in which this fault is left out.
    async fn inject(&self, fault: FaultKind, pick: usize, time: Duration) -> Option<()> {
        let broker = pick % self.proxies.len();
        match fault {
            FaultKind::DoubleEnvelopes => self.envelopes.double_for(time),
            FaultKind::ResendEnvelopes => self.envelopes.resend(pick).await,
            FaultKind::Snapshot => return self.take_snapshot(pick, time).await,
            FaultKind::KillLeader | FaultKind::FreezeLeader => {
                return self.break_leader(fault, time).await;
            }
            _ => {
                // Nothing else of brokers is broken during a planned change.
                let one = self.change.try_lock().ok()?;
                self.break_broker(fault, (broker, pick), time).await?;
                drop(one);
            }
        }
        Some(())
    }

    async fn break_broker(
        &self,
        fault: FaultKind,
        (broker, pick): (usize, usize),
        time: Duration,
    ) -> Option<()> {
        let process = self.cluster.process(broker);
        match fault {
            FaultKind::KillBroker => process.kill_for(time),
            FaultKind::TermBroker => process.signal(Signal::TERM),
            FaultKind::FreezeBroker => process.freeze(time),
            FaultKind::SlowBroker => slow_down(process, time).await,
            FaultKind::CutBroker => {
                let cuts = [
                    NetworkFault::Cut,
                    NetworkFault::HalfOpen,
                    NetworkFault::LostReplies,
                    NetworkFault::Delay(200),
                ];
                self.proxies[broker].inject(cuts[pick / 3 % cuts.len()], time);
            }
            FaultKind::RollingRestart => self.restart_all().await?,
            _ => return None,
        }
        Some(())
    }

    /// Kills or freezes the leader, if all brokers are in sync, and waits until they are again: two
    /// of three that are away stop the queue until one comes back.
    async fn break_leader(&self, fault: FaultKind, time: Duration) -> Option<()> {
        let _last = self.leader.try_lock().ok()?;
        let change = self.change.try_lock().ok()?;
        let (in_sync, leader) = self.placement().await?;
        if in_sync < self.proxies.len() {
            return None;
        }
        let process = self.cluster.process(leader);
        match fault {
            FaultKind::KillLeader => process.kill_for(time),
            _ => process.freeze(time),
        }
        drop(change);
        sleep(time).await;
        // Too slow is a matter of the machine.
        let _ = self.wait_whole().await;
        Some(())
    }

    /// Restarts the brokers in order, each when all of them are in sync.
    async fn restart_all(&self) -> Option<()> {
        for process in self.cluster.processes() {
            self.wait_whole().await.ok()?;
            let (starts, since) = (process.starts(), Instant::now());
            process.signal(Signal::TERM);
            while process.starts() == starts {
                if since.elapsed() > TERM {
                    process.signal(Signal::KILL);
                }
                sleep(LOOK).await;
            }
        }
        self.wait_whole().await.ok()
    }

    /// Takes a snapshot, as a sweeper does. In one of two cases its process is killed after `time`,
    /// if it is not done by then.
    async fn take_snapshot(&self, pick: usize, time: Duration) -> Option<()> {
        let _one = self.snapshot.try_lock().ok()?;
        let mut config = self.config();
        config.replicated.snapshot_every = SNAPSHOT_EVERY;
        let store = bookingq_store::open(config).ok()?;
        let within = if pick.is_multiple_of(2) { SNAPSHOT_WITHIN } else { time / 8 };
        let taken = async {
            store.open().await.ok()?;
            store.compact().await.ok()
        };
        timeout(within, taken).await.ok().flatten()
    }
}

/// Lets a process stand still again and again.
async fn slow_down(process: &Process, time: Duration) {
    let until = Instant::now() + time;
    while Instant::now() < until {
        process.signal(Signal::STOP);
        sleep(Duration::from_millis(rand::random_range(STANDS_STILL_MS))).await;
        process.signal(Signal::CONT);
        sleep(GOES_ON).await;
    }
}
