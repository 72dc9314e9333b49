//! `instructions`: what a booking's life costs Redis, counted and not timed: the same on every day,
//! so that a change of a percent shows.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use bookingq_store::RedisConfig;
use serde_json::json;
use tokio::runtime::Builder;

use crate::figures::Figures;
use crate::life::{LANES, fresh_queue, whole_lives};
use crate::machine::Machine;
use crate::pin::Placement;
use crate::redis_server::RedisServer;
use crate::report::{self, Report};

/// How to measure.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Bookings in each run, rounded up so that each of the four callers makes whole calls
    #[arg(long, default_value_t = 1000, value_name = "N", value_parser = clap::value_parser!(u64).range(100..=100_000))]
    bookings: u64,
    /// Bookings in each call, one size after the other
    #[arg(long, value_delimiter = ',', default_values_t = [1, 64], value_name = "N,N,…")]
    batches: Vec<u64>,
    /// Runs of each size; the figures are their median, least and greatest
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    runs: u32,
    #[command(flatten)]
    report: report::Args,
}

/// Section: instructions of redis-server.
pub const COUNTED: &str = "Whole life of a booking";

/// Counts, prints and writes.
pub fn run(args: &Args) -> Result<()> {
    let baseline = args.report.baseline()?;
    ensure!(
        args.batches.iter().all(|batch| (1..=256).contains(batch)),
        "--batches: allowed are 1 to 256"
    );
    let machine = Machine::look();
    println!("{machine}");
    println!("{} runs; instructions of redis-server, by valgrind's callgrind\n", args.runs);
    let mut figures = Figures::new(&[COUNTED]);
    Builder::new_current_thread().enable_all().build()?.block_on(async {
        for run in 1..=args.runs {
            for &batch in &args.batches {
                eprintln!("run {run} of {}: {batch} in a call", args.runs);
                let each =
                    instructions(args.bookings.next_multiple_of(batch * LANES), batch).await?;
                figures.record(
                    COUNTED,
                    &format!("{batch} in a call"),
                    [("Redis instructions/booking", each)],
                );
            }
        }
        anyhow::Ok(())
    })?;
    print!("{}", figures.table());
    let settings = json!({ "bookings": args.bookings, "runs": args.runs });
    args.report
        .finish(&Report::new(&machine, &settings, Placement::Free, &figures)?, baseline.as_ref())
}

/// Of one booking: what twice as many cost more, so that the server's start and end do not count.
async fn instructions(bookings: u64, batch: u64) -> Result<f64> {
    let (few, many) = (counted(bookings, batch).await?, counted(2 * bookings, batch).await?);
    Ok((many - few) / bookings as f64)
}

/// Of a whole server that did nothing else.
async fn counted(bookings: u64, batch: u64) -> Result<f64> {
    let folder = tempfile::tempdir()?;
    let out = folder.path().join("counted");
    let redis = RedisServer::start_counted(&out).await?;
    let store = bookingq_store::open(RedisConfig::new(redis.url(), fresh_queue()?))?;
    whole_lives(store, bookings, batch).await?;
    redis.shut_down().await?;
    read(&out)
}

fn read(out: &Path) -> Result<f64> {
    let text = fs::read_to_string(out).context("callgrind has written nothing")?;
    let total = text
        .lines()
        .find_map(|line| line.strip_prefix("summary: "))
        .context("callgrind tells no sum")?;
    total.trim().parse().with_context(|| format!("callgrind's sum is {total}"))
}
