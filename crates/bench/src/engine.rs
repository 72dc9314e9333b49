//! `engine`: the store and the worker, beside what they are built on, all in the same run.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Result;
use bookingq_core::{Admission, QueueName};
use bookingq_store::{RedisConfig, StoreConfig};
use serde_json::json;
use tokio::runtime::{Builder, Handle};

use crate::bookings::{LANES, fresh_queue, whole_lives};
use crate::figures::Figures;
use crate::grpc::{BareServer, GrpcLoad, LoadChannels, WorkerUnderTest};
use crate::kafka::{self, MeasuredStore};
use crate::machine::Placement;
use crate::plain;
use crate::redis_server::{AppendOnlyFile, MeasuredRedis};
use crate::sections::{BARE, GRPC, LIFE, PLAIN, RATIO, STORE};
use crate::session::{FigureOutput, Session};

/// How to measure.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which store: on Kafka neither gRPC nor yardsticks are measured
    #[arg(long, value_enum, default_value_t = MeasuredStore::Redis, value_name = "STORE")]
    store: MeasuredStore,
    /// Bookings in each run of each row; requests and plain commands likewise
    #[arg(long, default_value_t = 50_000, value_name = "N", value_parser = clap::value_parser!(u64).range(1000..))]
    bookings: u64,
    /// Runs of each row; the figures are their median, least and greatest
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    runs: u32,
    /// gRPC requests in flight
    #[arg(long, default_value_t = 64, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=4096))]
    in_flight: u32,
    #[command(flatten)]
    append_only_file: AppendOnlyFile,
    #[command(flatten)]
    output: FigureOutput,
}
const BATCHES: [u64; 3] = [1, 64, 256];
const PIPELINES: [u64; 2] = [16, 64];
/// Redis CPU that a whole booking may cost at batch 64, in microseconds.
const BUDGET_US: f64 = 30.0;
/// Requests before the clock starts, so that connections and scripts are warm.
const WARM_UP: u64 = 2000;
pub fn run(args: &Args) -> Result<()> {
    if args.store == MeasuredStore::Kafka {
        return run_on_kafka(args);
    }
    let mut session = Session::start(&args.output, &[STORE, PLAIN, GRPC, LIFE, RATIO])?;
    let Args { bookings, runs, in_flight, .. } = *args;
    let (placement, file) = (session.placement, &args.append_only_file.name);
    println!("{runs} runs of {bookings} bookings; append-only file: {file}");
    println!("store and plain commands: {placement}, {LANES} calls in flight");
    println!(
        "gRPC: nothing is pinned, {in_flight} requests in flight; servers, clients and Redis share the cores\n"
    );
    placement.run(|| measure_stores(args, placement, &mut session.figures))?;
    measure_grpc(args, &mut session.figures)?;
    session.finish(&json!({
        "bookings": bookings, "runs": runs, "in_flight": in_flight, "append_only_file": file,
    }))
}

fn run_on_kafka(args: &Args) -> Result<()> {
    let mut session = Session::start(&args.output, &[kafka::LIVES, kafka::DRAIN, kafka::ALONE])?;
    let Args { bookings, runs, .. } = *args;
    let placement = session.placement;
    println!(
        "{runs} runs of {bookings} bookings; one broker, acks=all; {}\n",
        kafka::placed(placement)
    );
    let figures = &mut session.figures;
    placement.run(|| kafka::engine(bookings, runs, placement, figures))?;
    session.finish(&json!({ "bookings": bookings, "runs": runs, "store": "kafka" }))
}

async fn measure_stores(args: &Args, placement: Placement, figures: &mut Figures) -> Result<()> {
    let mut redis = MeasuredRedis::start(args.append_only_file.fsync(), placement).await?;
    for run in 1..=args.runs {
        eprintln!("store, run {run} of {}", args.runs);
        for batch in BATCHES {
            redis_store(&mut redis, args.bookings, batch, figures).await?;
        }
        for batch in BATCHES {
            let store = bookingq_store::open(StoreConfig::memory(fresh_queue()?))?;
            let elapsed = whole_lives(store, args.bookings, batch).await?;
            let columns = [("bookings/s", per_second(args.bookings, elapsed))];
            figures.record(STORE, &format!("embedded, batch {batch}"), columns);
        }
        for size in PIPELINES {
            plain_commands(&mut redis, args.bookings, size, figures).await?;
        }
    }
    Ok(())
}

async fn redis_store(
    redis: &mut MeasuredRedis,
    bookings: u64,
    batch: u64,
    figures: &mut Figures,
) -> Result<()> {
    redis.empty().await?;
    let store = bookingq_store::open(RedisConfig::new(redis.url(), fresh_queue()?))?;
    let (elapsed, used) = redis.cost(whole_lives(store, bookings, batch)).await?;
    let cpu = used.cpu_us / bookings as f64;
    let columns = [
        ("bookings/s", per_second(bookings, elapsed)),
        ("Redis µs/booking", cpu),
        ("script calls/booking", used.scripts / bookings as f64),
    ];
    figures.record(STORE, &format!("Redis, batch {batch}"), columns);
    if batch == 64 {
        figures.record(RATIO, "Redis CPU at batch 64 / 30 µs budget", [("ratio", cpu / BUDGET_US)]);
    }
    Ok(())
}

async fn plain_commands(
    redis: &mut MeasuredRedis,
    count: u64,
    size: u64,
    figures: &mut Figures,
) -> Result<()> {
    redis.empty().await?;
    let (connection, count) = (redis.connect().await?, plain::really_set(count * 10, size));
    let (elapsed, used) = redis.cost(plain::sets(&connection, count, size)).await?;
    let cpu = used.cpu_us / count as f64;
    let columns = [("commands/s", per_second(count, elapsed)), ("Redis µs/command", cpu)];
    figures.record(PLAIN, &format!("SET of 64 bytes, pipelines of {size}"), columns);
    Ok(())
}

fn measure_grpc(args: &Args, figures: &mut Figures) -> Result<()> {
    // Servers and clients on separate runtimes, as in two processes.
    let servers = Builder::new_multi_thread().enable_all().build()?;
    let clients = Builder::new_multi_thread().enable_all().build()?;
    clients.block_on(async {
        let file = &args.append_only_file;
        let mut redis = MeasuredRedis::start(file.fsync(), Placement::Free).await?;
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

/// Connections to a server that has answered some requests.
async fn warm(args: &Args, address: SocketAddr, queue: &QueueName) -> Result<LoadChannels> {
    let channels = LoadChannels::connect(address, args.in_flight as usize).await?;
    channels.enqueue(queue, 0, WARM_UP).await?;
    Ok(channels)
}
async fn bare_enqueue(args: &Args, servers: &Handle, figures: &mut Figures) -> Result<f64> {
    let server = servers.spawn(async { BareServer::start() }).await??;
    let queue = fresh_queue()?;
    let channels = warm(args, server.address(), &queue).await?;
    let load = channels.enqueue(&queue, WARM_UP, args.bookings).await?;
    record_enqueue(figures, BARE, &load);
    Ok(load.rate())
}

/// Requests per second. The queue is paused, so that only the way into the line is measured.
async fn worker_enqueue(
    redis: &mut MeasuredRedis,
    args: &Args,
    servers: &Handle,
    figures: &mut Figures,
) -> Result<f64> {
    redis.empty().await?;
    let count = args.bookings;
    let worker = WorkerUnderTest::start(redis.url(), Admission::Paused, count, servers).await?;
    let channels = warm(args, worker.address(), worker.queue()).await?;
    let (load, used) = redis.cost(channels.enqueue(worker.queue(), WARM_UP, count)).await?;
    record_enqueue(figures, "worker on Redis", &load);
    let cpu = used.cpu_us / count as f64;
    figures.record(GRPC, "worker on Redis", [("Redis µs/request", cpu)]);
    worker.stop().await;
    Ok(load.rate())
}

fn record_enqueue(figures: &mut Figures, row: &str, load: &GrpcLoad) {
    let each = load.latency.summary();
    let columns = [("requests/s", load.rate()), ("p50 ms", each.p50), ("p99 ms", each.p99)];
    figures.record(GRPC, row, columns);
}

async fn worker_life(
    redis: &mut MeasuredRedis,
    args: &Args,
    servers: &Handle,
    figures: &mut Figures,
) -> Result<()> {
    redis.empty().await?;
    let count = args.bookings;
    let worker = WorkerUnderTest::start(redis.url(), Admission::Open, count, servers).await?;
    let channels = LoadChannels::connect(worker.address(), args.in_flight as usize).await?;
    let (load, used) = redis.cost(worker.whole_lives(&channels, count)).await?;
    let paid = load.latency.summary();
    let columns = [
        ("bookings/s", load.rate()),
        ("payment p50 ms", paid.p50),
        ("payment p99 ms", paid.p99),
        ("Redis µs/booking", used.cpu_us / count as f64),
    ];
    figures.record(LIFE, "worker on Redis", columns);
    worker.stop().await;
    Ok(())
}

fn per_second(count: u64, elapsed: Duration) -> f64 {
    count as f64 / elapsed.as_secs_f64()
}
