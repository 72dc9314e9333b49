//! `replicas`: what it costs that replicas have a write before it is acknowledged.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use bookingq_crowd::latency::Latency;
use bookingq_harness::sentinels::replicated;
use bookingq_harness::{RedisServer, wait};
use bookingq_store::RedisConfig;
use tokio::runtime::Builder;

use crate::bookings::{LANES, fresh_queue, request, whole_lives};
use crate::figures::Figures;
use crate::machine::Placement;
use crate::redis_server::AppendOnlyFile;
use crate::session::{FigureOutput, Session};

/// How to measure.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Bookings in each run of each row
    #[arg(long, default_value_t = 30_000, value_name = "N", value_parser = clap::value_parser!(u64).range(1000..))]
    bookings: u64,
    /// Runs of each row; the figures are their median, least and greatest
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    runs: u32,
    #[command(flatten)]
    append_only_file: AppendOnlyFile,
}

const LIFE: &str = "Whole life of a booking, with two replicas";
const JOIN: &str = "One join, alone";
const COMPARED: &str = "Compared with no replica";
const BATCHES: [u64; 2] = [64, 256];
/// Longest wait for the replicas.
const LIMIT: Duration = Duration::from_secs(30);

/// Measures and prints.
pub fn run(args: &Args) -> Result<()> {
    let mut session = Session::start(&FigureOutput::default(), &[LIFE, JOIN, COMPARED])?;
    session.placement = Placement::Free;
    println!("a primary with two replicas, and the calls, share the cores; nothing is pinned");
    println!("append-only file: {}; {LANES} calls in flight\n", args.append_only_file.name);
    let measured = measure(args, &mut session.figures);
    Builder::new_multi_thread().enable_all().build()?.block_on(measured)?;
    session.finish(&serde_json::json!({ "bookings": args.bookings, "runs": args.runs }))
}

async fn measure(args: &Args, figures: &mut Figures) -> Result<()> {
    let fsync = args.append_only_file.fsync();
    let servers = replicated(|| RedisServer::start(fsync))?;
    let primary = &servers[0];
    for run in 1..=args.runs {
        eprintln!("run {run} of {}", args.runs);
        for batch in BATCHES {
            let mut rates = Vec::new();
            for wanted in 0..=2 {
                start_empty(primary).await?;
                let store = bookingq_store::open(config(primary, wanted)?)?;
                let elapsed = whole_lives(store, args.bookings, batch).await?;
                let rate = args.bookings as f64 / elapsed.as_secs_f64();
                figures.record(LIFE, &row(wanted, batch), [("bookings/s", rate)]);
                rates.push(rate);
            }
            for wanted in 1..=2 {
                let ratio = rates[wanted as usize] / rates[0];
                figures.record(COMPARED, &row(wanted, batch), [("throughput ratio", ratio)]);
            }
        }
        let mut medians = Vec::new();
        for wanted in 0..=2 {
            start_empty(primary).await?;
            medians.push(joins(primary, wanted, args.bookings / 10, figures).await?);
        }
        for wanted in 1..=2 {
            let later = medians[wanted as usize] - medians[0];
            figures.record(COMPARED, &row(wanted, 1), [("p50 later by, ms", later)]);
        }
    }
    Ok(())
}

fn row(wanted: u8, batch: u64) -> String {
    format!("{wanted} replicas, batch {batch}")
}

fn config(primary: &RedisServer, acknowledge_replicas: u8) -> Result<RedisConfig> {
    let config = RedisConfig::new(primary.url(), fresh_queue()?);
    Ok(RedisConfig { acknowledge_replicas, ..config })
}

/// Deletes everything, with both replicas connected.
async fn start_empty(primary: &RedisServer) -> Result<()> {
    let emptied = async || {
        primary.cli(&["FLUSHALL", "SYNC"])?;
        let info = primary.cli(&["INFO", "replication"])?;
        anyhow::Ok(info.matches("state=online").count() == 2)
    };
    wait::until("two replicas", LIMIT, emptied).await
}

/// Joins one after the other; returns the median time in milliseconds.
async fn joins(
    primary: &RedisServer,
    wanted: u8,
    count: u64,
    figures: &mut Figures,
) -> Result<f64> {
    let store = bookingq_store::open(config(primary, wanted)?)?;
    store.open().await?;
    let mut latency = Latency::new();
    for number in 0..count {
        let asked = vec![request(number, &[b'x'; 64])?];
        let start = Instant::now();
        let answer = store.enqueue(asked).await?.remove(0)?;
        latency.record(start.elapsed());
        ensure!(!answer.existing, "a new client had a booking already");
    }
    let each = latency.summary();
    figures.record(JOIN, &row(wanted, 1), [("p50 ms", each.p50), ("p99 ms", each.p99)]);
    Ok(each.p50)
}
