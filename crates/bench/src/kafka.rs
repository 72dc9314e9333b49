//! `engine` and `growth` on Kafka: one broker on its own core, and a process that has the whole
//! queue in its memory, as every worker has.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use bookingq_core::QueueName;
use bookingq_harness::{KafkaCluster, KafkaOptions, ProcessUsage};
use bookingq_store::replicated::{KafkaAddress, KafkaConfig, ReplicatedConfig, create_topics};
use bookingq_store::{Scope, Store};
use tokio::task::JoinSet;

use crate::bookings::{
    LANES, LONG, fill_by, filled_client, fresh_queue, hold_front, request, reserve, whole_lives,
};
use crate::drive::{Ending, worked_off};
use crate::figures::Figures;
use crate::machine::Placement;

/// Whole lives, and a full queue that a worker drains.
pub const LIVES: &str = "Whole life of a booking through a store on Kafka";
/// As the section of `peers` with the same jobs.
pub const DRAIN: &str = "Drain, no-op jobs, on Kafka";
/// A call with one booking, one at a time.
pub const ALONE: &str = "One call at a time on Kafka";
/// What calls cost beside a line of some length.
pub const CALLS: &str = "µs of CPU for each booking, 64 in a call, on Kafka";
/// What the process has in memory.
pub const MEMORY: &str = "Memory of a process on Kafka";
/// How long a process takes to start.
pub const START: &str = "Start of a process on Kafka";

/// Which store is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum MeasuredStore {
    /// A redis-server
    Redis,
    /// A broker of Kafka: needs Java, Kafka's jars, and the feature kafka
    Kafka,
}

/// Bookings in a call of `engine`.
const BATCHES: [u64; 3] = [1, 64, 256];
/// Bookings in a call of `growth`, and its calls of each kind in each run.
const CALL: u64 = 64;
const CALLS_OF_A_KIND: u64 = 100;
/// Tasks in flight of a worker.
const IN_FLIGHT: [usize; 2] = [64, 256];
/// Calls of one booking, one at a time.
const SINGLE_CALLS: u64 = 2000;
/// Bookings that are written with one call to fill a queue.
const FILLED_BY: u64 = 256;
/// Longest wait for an answer: a snapshot of a long line takes a while.
const TIMEOUT: Duration = Duration::from_secs(60);
const KINDS: [&str; 5] =
    ["enqueue", "status with position", "claim", "settle as reserved", "sweep"];

/// A broker that is measured. It ends when dropped.
pub struct MeasuredKafka {
    cluster: KafkaCluster,
    address: KafkaAddress,
}

/// CPU since a moment, in microseconds.
#[derive(Debug, Clone, Copy)]
struct CpuUsed {
    broker: f64,
    own: f64,
}

impl MeasuredKafka {
    pub fn start(placement: Placement) -> Result<Self> {
        let options =
            KafkaOptions { wrapper: placement.redis_wrapper(), ..KafkaOptions::default() };
        let cluster = KafkaCluster::start_with(1, &options).context("no broker")?;
        let address = KafkaAddress::new(&cluster.url())?;
        Ok(Self { cluster, address })
    }

    /// The address of a store on it.
    pub fn url(&self) -> String {
        self.cluster.url()
    }

    async fn fresh_store(&self) -> Result<(QueueName, Arc<dyn Store>)> {
        let queue = fresh_queue()?;
        create_topics(&self.address, &queue, 1).await?;
        let store = self.store(&queue)?;
        store.open().await?;
        Ok((queue, store))
    }

    fn store(&self, queue: &QueueName) -> Result<Arc<dyn Store>> {
        let replicated = ReplicatedConfig {
            timeout: TIMEOUT,
            snapshot_every: 1,
            ..ReplicatedConfig::new(queue.clone())
        };
        Ok(bookingq_store::open(KafkaConfig { address: self.address.clone(), replicated })?)
    }

    fn used(&self) -> Result<CpuUsed> {
        let pid = self.cluster.process(0).pid().context("the broker has ended")?;
        let own = ProcessUsage::of(std::process::id())?.cpu * 1e6;
        Ok(CpuUsed { broker: ProcessUsage::of(pid)?.cpu * 1e6, own })
    }
}

impl std::ops::Sub for CpuUsed {
    type Output = Self;
    fn sub(self, earlier: Self) -> Self {
        Self { broker: self.broker - earlier.broker, own: self.own - earlier.own }
    }
}

/// What runs where.
pub fn placed(placement: Placement) -> &'static str {
    match placement {
        Placement::Pinned => "the broker on core 0, this process on core 1 (taskset)",
        Placement::Free => "nothing is pinned",
    }
}

/// The part of `engine`.
pub async fn engine(
    bookings: u64,
    runs: u32,
    placement: Placement,
    figures: &mut Figures,
) -> Result<()> {
    let kafka = MeasuredKafka::start(placement)?;
    for run in 1..=runs {
        eprintln!("store on Kafka, run {run} of {runs}");
        for batch in BATCHES {
            lives(&kafka, bookings, batch, figures).await?;
        }
        for in_flight in IN_FLIGHT {
            drain(&kafka, bookings, in_flight, Ending::Rejected, figures).await?;
            drain(&kafka, bookings, in_flight, Ending::Confirmed, figures).await?;
        }
        alone(&kafka, figures).await?;
    }
    Ok(())
}

async fn lives(
    kafka: &MeasuredKafka,
    bookings: u64,
    batch: u64,
    figures: &mut Figures,
) -> Result<()> {
    let (_, store) = kafka.fresh_store().await?;
    let before = kafka.used()?;
    let elapsed = whole_lives(store, bookings, batch).await?;
    let used = kafka.used()? - before;
    let columns = [
        ("bookings/s", bookings as f64 / elapsed.as_secs_f64()),
        ("broker µs/booking", used.broker / bookings as f64),
        ("own µs/booking", used.own / bookings as f64),
    ];
    figures.record(LIVES, &format!("{LANES} calls in flight, batch {batch}"), columns);
    Ok(())
}

async fn drain(
    kafka: &MeasuredKafka,
    bookings: u64,
    in_flight: usize,
    ending: Ending,
    figures: &mut Figures,
) -> Result<()> {
    let (_, store) = kafka.fresh_store().await?;
    fill_fast(&store, 0..bookings).await?;
    let before = kafka.used()?;
    let elapsed = worked_off(store, bookings, in_flight, ending).await?;
    let used = kafka.used()? - before;
    let name = match ending {
        Ending::Rejected => "claim + rejected",
        Ending::Confirmed => "whole life",
    };
    let columns = [
        ("jobs/s", bookings as f64 / elapsed.as_secs_f64()),
        ("broker µs/job", used.broker / bookings as f64),
        ("own µs/job", used.own / bookings as f64),
    ];
    figures.record(DRAIN, &format!("{name}, {in_flight}"), columns);
    Ok(())
}

/// How long one call takes that nothing shares an envelope with.
async fn alone(kafka: &MeasuredKafka, figures: &mut Figures) -> Result<()> {
    let (_, store) = kafka.fresh_store().await?;
    let mut took = Vec::new();
    for number in 0..SINGLE_CALLS {
        let asked = request(number, &[b'x'; 64])?;
        let start = Instant::now();
        for answer in store.enqueue(vec![asked]).await? {
            ensure!(!answer?.existing, "a new client had a booking already");
        }
        took.push(start.elapsed().as_secs_f64() * 1e3);
    }
    took.sort_by(f64::total_cmp);
    let at = |share: f64| took[(share * (took.len() - 1) as f64) as usize];
    figures.record(ALONE, "enqueue", [("p50 ms", at(0.5)), ("p99 ms", at(0.99))]);
    Ok(())
}

/// The part of `growth`.
pub async fn growth(
    sizes: &[u64],
    runs: u32,
    placement: Placement,
    figures: &mut Figures,
) -> Result<()> {
    let kafka = MeasuredKafka::start(placement)?;
    for run in 1..=runs {
        for &waiting in sizes {
            eprintln!("run {run} of {runs}: {waiting} waiting");
            one_size(&kafka, waiting, figures).await?;
        }
    }
    Ok(())
}

async fn one_size(kafka: &MeasuredKafka, waiting: u64, figures: &mut Figures) -> Result<()> {
    let (queue, store) = kafka.fresh_store().await?;
    let rss = || anyhow::Ok(ProcessUsage::of(std::process::id())?.rss_mib);
    let (empty, start) = (rss()?, Instant::now());
    fill_fast(&store, 0..waiting).await?;
    let (filled, each) = (start.elapsed(), (rss()? - empty) * 1_048_576.0 / waiting as f64);
    let row = format!("{waiting} waiting");
    let columns = [
        ("bytes/waiting booking", each),
        ("filled, bookings/s", waiting as f64 / filled.as_secs_f64()),
    ];
    figures.record(MEMORY, &row, columns);
    start_again(kafka, &queue, &store, &row, figures).await?;
    // As many holds as bookings that wait.
    hold_front(&*store, waiting, |_| LONG).await?;
    fill_fast(&store, waiting..2 * waiting).await?;
    calls(kafka, &*store, waiting, &row, figures).await
}

/// How long another process takes to serve: from the log, and from a snapshot.
async fn start_again(
    kafka: &MeasuredKafka,
    queue: &QueueName,
    store: &Arc<dyn Store>,
    row: &str,
    figures: &mut Figures,
) -> Result<()> {
    let opened = async || {
        let (start, other) = (Instant::now(), kafka.store(queue)?);
        other.open().await?;
        let found = other.snapshot().await?.backlog;
        anyhow::Ok((start.elapsed().as_secs_f64(), found))
    };
    let waiting = store.snapshot().await?.backlog;
    let (from_log, found) = opened().await?;
    ensure!(found == waiting, "another process sees {found} of {waiting}");
    let start = Instant::now();
    store.compact().await?;
    let snapshot = start.elapsed().as_secs_f64();
    let (again, found) = opened().await?;
    ensure!(found == waiting, "another process sees {found} of {waiting}");
    let columns =
        [("from the log, s", from_log), ("snapshot taken, s", snapshot), ("then, s", again)];
    figures.record(START, row, columns);
    Ok(())
}

/// CPU of one booking in each kind of call, of the broker and of this process.
async fn calls(
    kafka: &MeasuredKafka,
    store: &dyn Store,
    waiting: u64,
    row: &str,
    figures: &mut Figures,
) -> Result<()> {
    let bookings = CALLS_OF_A_KIND * CALL;
    let (mut used, mut at) = (kafka.used()?, Instant::now());
    let mut since = |kind: &str, figures: &mut Figures| {
        let now = kafka.used()?;
        let CpuUsed { broker, own } = now - std::mem::replace(&mut used, now);
        let took = std::mem::replace(&mut at, Instant::now()).elapsed();
        let columns = [
            ("broker µs", broker / bookings as f64),
            ("own µs", own / bookings as f64),
            ("ms/call", took.as_secs_f64() * 1e3 / CALLS_OF_A_KIND as f64),
        ];
        figures.record(CALLS, &format!("{row}: {kind}"), columns);
        anyhow::Ok(())
    };
    fill_by(store, 2 * waiting..2 * waiting + bookings, CALL).await?;
    since(KINDS[0], figures)?;
    for call in 0..CALLS_OF_A_KIND {
        // Spread over the whole line.
        let number = |n| waiting + (call * CALL + n) * 7919 % waiting;
        let clients = (0..CALL).map(|n| filled_client(number(n)));
        let seen = store.status(clients.collect::<Result<_>>()?).await?;
        let in_line = seen.iter().flatten().all(|booking| booking.position.is_some());
        ensure!(in_line, "a client is not in the line");
    }
    since(KINDS[1], figures)?;
    let mut tasks = Vec::new();
    for _ in 0..CALLS_OF_A_KIND {
        tasks.push(store.claim(CALL as usize, LONG, Scope::Everything).await?.tasks);
    }
    since(KINDS[2], figures)?;
    for batch in tasks {
        reserve(store, &batch, |_| Duration::ZERO).await?;
    }
    since(KINDS[3], figures)?;
    let mut swept = 0;
    while swept < bookings as usize {
        swept += store.sweep(CALL as usize).await?.expired;
    }
    since(KINDS[4], figures)
}

/// Fills a queue with several calls in flight.
async fn fill_fast(store: &Arc<dyn Store>, numbers: std::ops::Range<u64>) -> Result<()> {
    let (mut lanes, length) = (JoinSet::new(), numbers.end - numbers.start);
    for lane in 0..LANES {
        let at = |lane| numbers.start + length * lane / LANES;
        let (store, part) = (Arc::clone(store), at(lane)..at(lane + 1));
        lanes.spawn(async move { fill_by(&*store, part, FILLED_BY).await });
    }
    while let Some(filled) = lanes.join_next().await {
        filled??;
    }
    Ok(())
}
