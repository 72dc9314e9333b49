//! `engine`: the store and the worker, beside what they are built on, all in the same run.

use std::time::Duration;

use anyhow::Result;
use bookingq_core::Admission;
use bookingq_store::{RedisConfig, StoreConfig};
use serde_json::json;
use tokio::runtime::{Builder, Handle};

use crate::figures::Figures;
use crate::grpc::{BareServer, Channels, Load, WorkerUnderTest};
use crate::life::{LANES, fresh_queue, whole_lives};
use crate::machine::Machine;
use crate::pin::{Placement, pinned};
use crate::plain;
use crate::redis_server::{Fsync, RedisServer};
use crate::report::{self, Report};

/// How to measure.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Bookings in each run of each row; requests and plain commands likewise
    #[arg(long, default_value_t = 50_000, value_name = "N", value_parser = clap::value_parser!(u64).range(1000..))]
    bookings: u64,
    /// Runs of each row; the figures are their median, least and greatest
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    runs: u32,
    /// gRPC requests under way at once
    #[arg(long, default_value_t = 64, value_name = "N", value_parser = in_flight)]
    in_flight: usize,
    /// What Redis promises about what it has acknowledged
    #[arg(long, value_enum, default_value_t = Fsync::Off)]
    fsync: Fsync,
    #[command(flatten)]
    report: report::Args,
}

fn in_flight(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|number| (1..=4096).contains(number));
    number.ok_or_else(|| format!("{text} is not allowed; allowed: 1 to 4096"))
}

/// Bookings in one store call.
const BATCHES: [u64; 3] = [1, 64, 256];
/// Commands in one pipeline.
const PIPELINES: [u64; 2] = [16, 64];
/// Redis CPU that a whole booking may cost at batch 64, in microseconds.
const BUDGET_US: f64 = 30.0;
/// Requests before the clock starts, so that connections and scripts are warm.
const WARM_UP: u64 = 2000;

/// Section: a store without a worker.
pub const STORE: &str = "Whole life of a booking through a store";
/// Section: a yardstick.
pub const PLAIN: &str = "Plain Redis commands";
/// Section: the way into the line, and its yardstick.
pub const GRPC: &str = "Enqueue over gRPC";
/// Section: a worker.
pub const LIFE: &str = "Whole life over gRPC";
/// Section: some of the above beside their yardsticks.
pub const RATIO: &str = "Compared";
/// Row: a yardstick.
pub const BARE: &str = "bare unary server";

/// Measures, prints and writes.
pub fn run(args: &Args) -> Result<()> {
    let baseline = args.report.baseline()?;
    let machine = Machine::look();
    let placement = Placement::of(&machine);
    let fsync = format!("{:?}", args.fsync).to_lowercase();
    println!("{machine}");
    println!("{} runs of {} bookings; append-only file: {fsync}", args.runs, args.bookings);
    println!("store and plain commands: {placement}, {LANES} calls under way");
    println!(
        "gRPC: nothing is pinned, {} requests under way; servers, clients and Redis share the cores\n",
        args.in_flight
    );
    let mut figures = Figures::new(&[STORE, PLAIN, GRPC, LIFE, RATIO]);
    pinned(placement.client(), || measure_stores(args, placement, &mut figures))?;
    measure_grpc(args, &mut figures)?;
    print!("{}", figures.table());
    let settings = json!({ "bookings": args.bookings, "runs": args.runs, "in_flight": args.in_flight, "append_only_file": fsync });
    args.report.finish(&Report::new(&machine, &settings, placement, &figures)?, baseline.as_ref())
}

async fn measure_stores(args: &Args, placement: Placement, figures: &mut Figures) -> Result<()> {
    let mut redis = RedisServer::start(args.fsync, placement).await?;
    for run in 1..=args.runs {
        eprintln!("store, run {run} of {}", args.runs);
        for batch in BATCHES {
            redis_store(&mut redis, args.bookings, batch, figures).await?;
        }
        for batch in BATCHES {
            let store = bookingq_store::open(StoreConfig::memory(fresh_queue()?))?;
            let elapsed = whole_lives(store, args.bookings, batch).await?;
            let columns = [("bookings/s", each_second(args.bookings, elapsed))];
            figures.record(STORE, &format!("embedded, batch {batch}"), columns);
        }
        for size in PIPELINES {
            plain_commands(&mut redis, args.bookings, size, figures).await?;
        }
    }
    Ok(())
}

async fn redis_store(
    redis: &mut RedisServer,
    bookings: u64,
    batch: u64,
    figures: &mut Figures,
) -> Result<()> {
    redis.empty().await?;
    let store = bookingq_store::open(RedisConfig::new(redis.url(), fresh_queue()?))?;
    let before = redis.usage().await?;
    let elapsed = whole_lives(store, bookings, batch).await?;
    let used = redis.usage().await? - before;
    let cpu = used.cpu_us / bookings as f64;
    let row = format!("Redis, batch {batch}");
    let calls = ("script calls/booking", used.scripts / bookings as f64);
    figures.record(
        STORE,
        &row,
        [("bookings/s", each_second(bookings, elapsed)), ("Redis µs/booking", cpu), calls],
    );
    if batch == 64 {
        figures.record(RATIO, "Redis CPU at batch 64 / 30 µs budget", [("ratio", cpu / BUDGET_US)]);
    }
    Ok(())
}

async fn plain_commands(
    redis: &mut RedisServer,
    count: u64,
    size: u64,
    figures: &mut Figures,
) -> Result<()> {
    redis.empty().await?;
    let (connection, count) = (redis.connect().await?, plain::really_set(count * 10, size));
    let before = redis.usage().await?;
    let elapsed = plain::sets(&connection, count, size).await?;
    let cpu = (redis.usage().await? - before).cpu_us / count as f64;
    let columns = [("commands/s", each_second(count, elapsed)), ("Redis µs/command", cpu)];
    figures.record(PLAIN, &format!("SET of 64 bytes, pipelines of {size}"), columns);
    Ok(())
}

fn measure_grpc(args: &Args, figures: &mut Figures) -> Result<()> {
    // Servers and clients on runtimes of their own, as in two processes.
    let servers = Builder::new_multi_thread().enable_all().build()?;
    let clients = Builder::new_multi_thread().enable_all().build()?;
    clients.block_on(async {
        let mut redis = RedisServer::start(args.fsync, Placement::Free).await?;
        for run in 1..=args.runs {
            eprintln!("gRPC, run {run} of {}", args.runs);
            let bare = bare_enqueue(args, servers.handle(), figures).await?;
            let ours = worker_enqueue(&mut redis, args, servers.handle(), figures).await?;
            figures.record(RATIO, "worker's Enqueue / bare unary", [("ratio", ours / bare)]);
            worker_life(&mut redis, args, servers.handle(), figures).await?;
        }
        Ok(())
    })
}

/// Requests each second.
async fn bare_enqueue(args: &Args, servers: &Handle, figures: &mut Figures) -> Result<f64> {
    let count = args.bookings;
    let server = servers.spawn(async { BareServer::start() }).await??;
    let channels = Channels::connect(server.address(), args.in_flight).await?;
    let queue = fresh_queue()?;
    channels.enqueue(&queue, 0, WARM_UP).await?;
    let load = channels.enqueue(&queue, WARM_UP, count).await?;
    record_enqueue(figures, BARE, &load);
    Ok(load.rate())
}

/// Requests each second. The queue is paused: what is measured is the way into the line.
async fn worker_enqueue(
    redis: &mut RedisServer,
    args: &Args,
    servers: &Handle,
    figures: &mut Figures,
) -> Result<f64> {
    redis.empty().await?;
    let count = args.bookings;
    let worker = WorkerUnderTest::start(redis.url(), Admission::Paused, count, servers).await?;
    let channels = Channels::connect(worker.address(), args.in_flight).await?;
    channels.enqueue(worker.queue(), 0, WARM_UP).await?;
    let before = redis.usage().await?;
    let load = channels.enqueue(worker.queue(), WARM_UP, count).await?;
    let cpu = (redis.usage().await? - before).cpu_us / count as f64;
    record_enqueue(figures, "worker on Redis", &load);
    figures.record(GRPC, "worker on Redis", [("Redis µs/request", cpu)]);
    worker.stop().await;
    Ok(load.rate())
}

fn record_enqueue(figures: &mut Figures, row: &str, load: &Load) {
    let each = load.latency.summary();
    let columns = [("requests/s", load.rate()), ("p50 ms", each.p50), ("p99 ms", each.p99)];
    figures.record(GRPC, row, columns);
}

async fn worker_life(
    redis: &mut RedisServer,
    args: &Args,
    servers: &Handle,
    figures: &mut Figures,
) -> Result<()> {
    redis.empty().await?;
    let count = args.bookings;
    let worker = WorkerUnderTest::start(redis.url(), Admission::Open, count, servers).await?;
    let channels = Channels::connect(worker.address(), args.in_flight).await?;
    let before = redis.usage().await?;
    let load = worker.whole_lives(&channels, count).await?;
    let cpu = (redis.usage().await? - before).cpu_us / count as f64;
    let paid = load.latency.summary();
    let columns = [
        ("bookings/s", load.rate()),
        ("payment p50 ms", paid.p50),
        ("payment p99 ms", paid.p99),
        ("Redis µs/booking", cpu),
    ];
    figures.record(LIFE, "worker on Redis", columns);
    worker.stop().await;
    Ok(())
}

fn each_second(count: u64, elapsed: Duration) -> f64 {
    count as f64 / elapsed.as_secs_f64()
}
