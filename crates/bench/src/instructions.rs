//! `instructions`: the instructions of Redis for a booking's life. They are the same every day, so
//! that a change of a percent shows.

use std::fs;

use anyhow::{Context as _, Result};
use bookingq_store::RedisConfig;
use serde_json::json;

use crate::bookings::{LANES, fresh_queue, whole_lives};
use crate::figures::Figures;
use crate::machine::Placement;
use crate::redis_server::MeasuredRedis;
use crate::sections::COUNTED;
use crate::session::{FigureOutput, Session};

/// How to measure.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Bookings in each run, rounded up so that each of the four callers makes whole calls
    #[arg(long, default_value_t = 1000, value_name = "N", value_parser = clap::value_parser!(u64).range(100..=100_000))]
    bookings: u64,
    /// Bookings in each call, one size after the other
    #[arg(long, value_delimiter = ',', default_values_t = [1, 64], value_name = "N,N,…", value_parser = clap::value_parser!(u64).range(1..=256))]
    batches: Vec<u64>,
    /// Runs of each size; the figures are their median, least and greatest
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    runs: u32,
    #[command(flatten)]
    output: FigureOutput,
}
pub fn run(args: &Args) -> Result<()> {
    let mut session = Session::start(&args.output, &[COUNTED])?;
    session.placement = Placement::Free;
    println!("{} runs; instructions of redis-server, by valgrind's callgrind\n", args.runs);
    session.placement.run(|| measure(args, &mut session.figures))?;
    session.finish(&json!({ "bookings": args.bookings, "runs": args.runs }))
}

async fn measure(args: &Args, figures: &mut Figures) -> Result<()> {
    for run in 1..=args.runs {
        for &batch in &args.batches {
            eprintln!("run {run} of {}: {batch} in a call", args.runs);
            let bookings = args.bookings.next_multiple_of(batch * LANES);
            // The cost of doubling the bookings: the server's start and end do not count.
            let (few, many) = (count(bookings, batch).await?, count(2 * bookings, batch).await?);
            let columns = [("Redis instructions/booking", (many - few) / bookings as f64)];
            figures.record(COUNTED, &format!("{batch} in a call"), columns);
        }
    }
    Ok(())
}

/// Instructions of a server that did nothing else.
async fn count(bookings: u64, batch: u64) -> Result<f64> {
    let folder = tempfile::tempdir()?;
    let out = folder.path().join("counted");
    let redis = MeasuredRedis::start_counted(&out).await?;
    let store = bookingq_store::open(RedisConfig::new(redis.url(), fresh_queue()?))?;
    whole_lives(store, bookings, batch).await?;
    redis.shut_down().await?;
    let text = fs::read_to_string(&out).context("callgrind has written nothing")?;
    let total = text.lines().find_map(|line| line.strip_prefix("summary: "));
    let total = total.context("callgrind has written no summary")?;
    total.trim().parse().with_context(|| format!("callgrind's summary is {total}"))
}
