//! `watch`: many clients follow their bookings on one worker while the line moves: what each of
//! them costs, and how old the positions are that they see.
//!
//! ```text
//!   watch ──┬─ serve     the worker, a process of its own, so that its memory is only its own
//!           ├─ streams   WatchStatus streams, and what each was told last
//!           └─ truth     when which position stopped being true
//! ```

pub mod serve;
mod streams;
mod truth;

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use bookingq_core::QueueName;
use bookingq_crowd::latency::Latency;
use bookingq_store::RedisConfig;
use bookingq_store::{Cancel, Store};
use tokio::runtime::Builder;
use tokio::time::MissedTickBehavior;

use self::serve::Served;
use self::streams::Streams;
use self::truth::Truth;
use crate::figures::Figures;
use crate::grpc::Channels;
use crate::machine::Machine;
use crate::pin::Placement;
use crate::redis_server::{Fsync, RedisServer};

/// How to measure.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Clients that watch, one size after the other
    #[arg(long, value_delimiter = ',', default_values_t = [20_000, 100_000], value_name = "N,N,…")]
    clients: Vec<u64>,
    /// Connections they share
    #[arg(long, default_value_t = 100, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=10_000))]
    connections: u64,
    /// Clients that leave the front of the line each second
    #[arg(long, default_value_t = 500, value_name = "N", value_parser = clap::value_parser!(u64).range(20..=5000))]
    pace: u64,
    /// For how long the line moves
    #[arg(long, default_value_t = 30, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=240))]
    seconds: u64,
    /// Runs of each size; the figures are their median, least and greatest
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    runs: u32,
}

const COST: &str = "Watching";
const AGE: &str = "Age of the position shown";
/// Where somebody stands, in places from the front, and what that is called.
const GROUPS: [(u64, &str); 3] =
    [(1000, "the first 1,000"), (10_000, "from there to 10,000"), (u64::MAX, "all behind")];
/// Between two looks at everybody's positions.
const LOOK: Duration = Duration::from_millis(200);
/// Between two times that somebody leaves.
const STEP: Duration = Duration::from_millis(50);
/// Enqueues under way at once.
const JOINING: usize = 64;
/// Before the first look: the streams have just been opened, and have told everybody.
const SETTLE: Duration = Duration::from_secs(5);

/// Measures and prints.
pub fn run(args: &Args) -> Result<()> {
    let leave = args.pace * args.seconds;
    if let Some(few) = args.clients.iter().find(|clients| **clients <= leave) {
        bail!("--clients {few} is too few: {} leave each second for {} s", args.pace, args.seconds);
    }
    let machine = Machine::look();
    println!("{machine}");
    println!("worker, clients and Redis share the cores; nothing is pinned");
    println!(
        "{} connections; {} leave the front each second, for {} s\n",
        args.connections, args.pace, args.seconds
    );
    let mut figures = Figures::new(&[COST, AGE]);
    Builder::new_multi_thread().enable_all().build()?.block_on(async {
        let mut redis = RedisServer::start(Fsync::Off, Placement::Free).await?;
        for run in 1..=args.runs {
            for &clients in &args.clients {
                eprintln!("run {run} of {}", args.runs);
                redis.empty().await?;
                one_size(args, &redis, clients, &mut figures).await?;
            }
        }
        anyhow::Ok(())
    })?;
    print!("{}", figures.table());
    Ok(())
}

async fn one_size(
    args: &Args,
    redis: &RedisServer,
    clients: u64,
    figures: &mut Figures,
) -> Result<()> {
    let row = format!("{clients} clients");
    let mut worker = Served::start(redis.url()).await?;
    let queue = QueueName::new(worker.queue())?;
    let few = Channels::connect(worker.address(), JOINING).await?;
    eprintln!("{row}: joining");
    few.enqueue(&queue, 0, clients).await?;
    let before = worker.usage()?;
    eprintln!("{row}: opening the streams");
    let channels =
        Channels::connect_many(worker.address(), usize::try_from(args.connections)?).await?;
    let opening = Instant::now();
    let streams = Streams::open(&channels, &queue, clients).await?;
    let opened = opening.elapsed();
    tokio::time::sleep(SETTLE).await;
    let open = worker.usage()?;

    eprintln!("{row}: the line moves");
    let told = streams.told();
    let moving = Instant::now();
    let ages =
        move_on(args, &*bookingq_store::open(RedisConfig::new(redis.url(), queue))?, &streams)
            .await?;
    let time = moving.elapsed().as_secs_f64();
    let moved = worker.usage()?;
    worker.stop().await?;

    let columns = [
        ("KiB/stream", (open.rss_kib - before.rss_kib) / clients as f64),
        ("opened/s", clients as f64 / opened.as_secs_f64()),
        ("told/s", (streams.told() - told) as f64 / time),
        ("worker's CPU, of a core", (moved.cpu_seconds - open.cpu_seconds) / time),
    ];
    figures.record(COST, &row, columns);
    for ((_, group), age) in GROUPS.iter().zip(ages) {
        let age = age.summary();
        if age.count == 0 {
            continue;
        }
        let columns = [("p50 ms", age.p50), ("p99 ms", age.p99), ("max ms", age.max)];
        figures.record(AGE, &format!("{row}, {group}"), columns);
    }
    Ok(())
}

/// The front of the line leaves, at an even pace, and everybody's positions are looked at again and
/// again.
async fn move_on(args: &Args, store: &dyn Store, streams: &Streams) -> Result<[Latency; 3]> {
    let mut truth = Truth::default();
    let mut ages = [Latency::new(), Latency::new(), Latency::new()];
    let (start, time) = (Instant::now(), Duration::from_secs(args.seconds));
    let (mut steps, mut looks) = (tokio::time::interval(STEP), tokio::time::interval(LOOK));
    steps.set_missed_tick_behavior(MissedTickBehavior::Skip);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while start.elapsed() < time {
        tokio::select! {
            _ = steps.tick() => {
                let from = truth.left();
                let leave = start.elapsed().min(time).as_millis() as u64 * args.pace / 1000 - from;
                let batch = (from + 1..=from + leave).map(|number| Ok(Cancel { client: streams.client(number)?, booking: None }));
                // Before the call: what is true changes during it.
                let at = Instant::now();
                for left in store.cancel(batch.collect::<Result<_>>()?).await? {
                    left?;
                }
                truth.leave(leave, at);
            }
            _ = looks.tick() => streams.look(&truth, &GROUPS.map(|(end, _)| end), &mut ages),
        }
    }
    Ok(ages)
}
