//! `growth`: the cost of calls with a short line and with a long one, and the memory of a booking
//! that waits.

use std::time::Duration;

use anyhow::{Result, ensure};
use bookingq_harness::Fsync;
use bookingq_store::Scope;
use serde_json::Value;

use crate::bookings::{BATCH, LONG, fill, filled_client, fresh_store, hold_front, reserve};
use crate::figures::Figures;
use crate::kafka::{self, MeasuredStore};
use crate::machine::Placement;
use crate::redis_server::MeasuredRedis;
use crate::session::{FigureOutput, Session};

/// How to measure.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which store
    #[arg(long, value_enum, default_value_t = MeasuredStore::Redis, value_name = "STORE")]
    store: MeasuredStore,
    /// Waiting bookings, one size after the other
    #[arg(long, value_delimiter = ',', default_values_t = [10_000, 100_000, 1_000_000], value_name = "N,N,…")]
    waiting: Vec<u64>,
    /// Runs of each size; the figures are their median, least and greatest
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    runs: u32,
}

/// Calls of each kind in each run.
const CALLS: u64 = 100;

const CPU: &str = "Redis µs/booking, 64 in a call";
const RATIO: &str = "Compared with the smallest";
const MEMORY: &str = "Memory";
const KINDS: [&str; 5] =
    ["enqueue", "status with position", "claim", "settle as reserved", "sweep"];
pub fn run(args: &Args) -> Result<()> {
    if args.store == MeasuredStore::Kafka {
        return run_on_kafka(args);
    }
    let mut session = Session::start(&FigureOutput::default(), &[CPU, RATIO, MEMORY])?;
    let placement = session.placement;
    println!("{} runs of {CALLS} calls of each kind; {placement}\n", args.runs);
    placement.run(|| measure(args, placement, &mut session.figures))?;
    session.finish(&Value::Null)
}

fn run_on_kafka(args: &Args) -> Result<()> {
    let sections = [kafka::CALLS, kafka::MEMORY, kafka::START];
    let mut session = Session::start(&FigureOutput::default(), &sections)?;
    let placement = session.placement;
    println!("{} runs; one broker, acks=all; {}\n", args.runs, kafka::placed(placement));
    let figures = &mut session.figures;
    placement.run(|| kafka::growth(&args.waiting, args.runs, placement, figures))?;
    session.finish(&Value::Null)
}

async fn measure(args: &Args, placement: Placement, figures: &mut Figures) -> Result<()> {
    let mut redis = MeasuredRedis::start(Fsync::Off, placement).await?;
    for run in 1..=args.runs {
        let mut smallest = None;
        for &waiting in &args.waiting {
            eprintln!("run {run} of {}: {waiting} waiting", args.runs);
            let costs = one_size(&mut redis, waiting, figures).await?;
            let base = *smallest.get_or_insert(costs);
            for ((kind, cost), base) in KINDS.into_iter().zip(costs).zip(base) {
                figures.record(CPU, kind, [(column(waiting), cost)]);
                figures.record(RATIO, kind, [(column(waiting), cost / base)]);
            }
        }
    }
    Ok(())
}

/// A column's name lives as long as the program.
fn column(waiting: u64) -> &'static str {
    match waiting {
        10_000 => "10,000 waiting",
        100_000 => "100,000 waiting",
        1_000_000 => "1,000,000 waiting",
        other => Box::leak(format!("{other} waiting").into_boxed_str()),
    }
}

/// Redis CPU of one booking in each kind of call, in microseconds, with `waiting` bookings in the
/// line throughout and as many holds that are not overdue.
async fn one_size(
    redis: &mut MeasuredRedis,
    waiting: u64,
    figures: &mut Figures,
) -> Result<[f64; KINDS.len()]> {
    let store = fresh_store(redis).await?;
    let empty = redis.memory().await?;
    fill(&*store, 0..waiting).await?;
    let each = (redis.memory().await? - empty) / waiting as f64;
    figures.record(MEMORY, column(waiting), [("bytes/waiting booking", each)]);
    hold_front(&*store, waiting, |_| LONG).await?;
    fill(&*store, waiting..2 * waiting).await?;

    let calls = CALLS * BATCH;
    let mut used = redis.usage().await?.cpu_us;
    let mut since = async |redis: &mut MeasuredRedis| {
        let now = redis.usage().await?.cpu_us;
        anyhow::Ok((now - std::mem::replace(&mut used, now)) / calls as f64)
    };
    fill(&*store, 2 * waiting..2 * waiting + calls).await?;
    let enqueue = since(redis).await?;
    for call in 0..CALLS {
        // Spread over the whole line.
        let number = |n| waiting + (call * BATCH + n) * 7919 % waiting;
        let clients = (0..BATCH).map(|n| filled_client(number(n)));
        let seen = store.status(clients.collect::<Result<_>>()?).await?;
        let in_line = seen.iter().flatten().all(|booking| booking.position.is_some());
        ensure!(in_line, "a client is not in the line");
    }
    let position = since(redis).await?;
    let mut tasks = Vec::new();
    for _ in 0..CALLS {
        tasks.push(store.claim(BATCH as usize, LONG, Scope::Everything).await?.tasks);
    }
    let claim = since(redis).await?;
    for batch in tasks {
        reserve(&*store, &batch, |_| Duration::ZERO).await?;
    }
    let settle = since(redis).await?;
    let mut swept = 0;
    while swept < calls as usize {
        swept += store.sweep(BATCH as usize).await?.expired;
    }
    Ok([enqueue, position, claim, settle, since(redis).await?])
}
