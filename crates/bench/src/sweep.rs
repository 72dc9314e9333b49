//! `sweep`: many holds are overdue each second, and a real sweeper gives them back: how late, and
//! at what cost.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use bookingq_core::{BookingState, Event, EventSeq, Outcome, Timestamp, defaults};
use bookingq_crowd::latency::Latency;
use bookingq_harness::Fsync;
use bookingq_sim::BookingSim;
use bookingq_sim::spec::BookingSpec;
use bookingq_store::RedisConfig;
use bookingq_store::{Scope, Store, Task};
use bookingq_worker::config::{Downstream, TaskConfig};
use bookingq_worker::{SweepConfig, SweepMode, Sweeper};
use tokio_util::sync::CancellationToken;

use crate::figures::Figures;
use crate::fill::{BATCH, enqueue, reserve};
use crate::life::fresh_queue;
use crate::machine::Machine;
use crate::pin::{Placement, pinned};
use crate::redis_server::MeasuredRedis;

/// How to measure.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Holds that are overdue each second, one rate after the other
    #[arg(long, value_delimiter = ',', default_values_t = [10_000, 50_000], value_name = "N,N,…", value_parser = clap::value_parser!(u64).range(1..))]
    rates: Vec<u64>,
    /// The same where the sweeper also gives them back at a Booking Service
    #[arg(long, value_delimiter = ',', default_values_t = [1000, 4000], value_name = "N,N,…", value_parser = clap::value_parser!(u64).range(1..))]
    released: Vec<u64>,
    /// For how long
    #[arg(long, default_value_t = 10, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// Runs of each rate; the figures are their median, least and greatest
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    runs: u32,
}

/// Section: from a hold's deadline until it is a release that is due.
const SWEPT: &str = "Deadline to release";
/// Section: from a hold's deadline until the Booking Service has it back and the booking is
/// expired.
const RELEASED: &str = "Deadline to given back";
/// Holds that are made each second at the least, before the first one is overdue.
const FILLED_PER_SECOND: u64 = 15_000;
/// Longer than any run.
const LONG: Duration = Duration::from_secs(3600);
/// Longest wait for the last hold after its deadline.
const LIMIT: Duration = Duration::from_secs(120);
/// Outbox entries' events read at once.
const EVENTS: usize = 4096;
/// Between two reads of a busy outbox, as a worker's.
const PACE: Duration = Duration::from_millis(5);
/// The sweeper's tasks at once.
const CONCURRENCY: usize = 64;

/// Measures and prints.
pub fn run(args: &Args) -> Result<()> {
    let machine = Machine::look();
    let placement = Placement::of(&machine);
    println!("{machine}");
    println!("{} runs of {} s for each rate; {placement}\n", args.runs, args.seconds);
    let mut figures = Figures::new(&[SWEPT, RELEASED]);
    pinned(placement.client(), || measure(args, placement, &mut figures))?;
    print!("{}", figures.table());
    Ok(())
}

async fn measure(args: &Args, placement: Placement, figures: &mut Figures) -> Result<()> {
    let mut redis = MeasuredRedis::start(Fsync::Off, placement).await?;
    for run in 1..=args.runs {
        for (section, rates) in [(SWEPT, &args.rates), (RELEASED, &args.released)] {
            for &rate in rates {
                eprintln!("run {run} of {}: {rate} holds a second", args.runs);
                one_rate(&mut redis, section, rate, rate * args.seconds, figures).await?;
            }
        }
    }
    Ok(())
}

async fn one_rate(
    redis: &mut MeasuredRedis,
    section: &'static str,
    rate: u64,
    holds: u64,
    figures: &mut Figures,
) -> Result<()> {
    redis.empty().await?;
    let store = bookingq_store::open(RedisConfig::new(redis.url(), fresh_queue()?))?;
    store.open().await?;
    enqueue(&*store, 0..holds).await?;
    let last = if section == SWEPT { BookingState::Releasing } else { BookingState::Expired };
    let watch = tokio::spawn(watch(store.clone(), store.latest_event().await?, holds, last));
    let first = hold(&*store, rate, holds).await?;

    let seller = BookingSim::start(BookingSpec::default(), ([127, 0, 0, 1], 0).into()).await?;
    let stop = CancellationToken::new();
    let sweeper = Sweeper::new(sweeper(&seller, section == RELEASED), store.clone());
    let before = redis.usage().await?;
    let sweeping = tokio::spawn(sweeper.run(SweepMode::UntilStopped, stop.clone()));
    let seen = tokio::time::timeout(LONG, watch).await???;
    let used = redis.usage().await? - before;
    stop.cancel();
    sweeping.await??;
    seller.shutdown().await;

    let late = seen.late.summary();
    let time = seen.last.since(first).as_secs_f64();
    let columns = [
        ("holds/s", holds as f64 / time),
        ("p50 ms", late.p50),
        ("p99 ms", late.p99),
        ("max ms", late.max),
        ("Redis µs/hold", used.cpu_us / holds as f64),
    ];
    figures.record(section, &format!("{rate} overdue each second"), columns);
    Ok(())
}

/// As `bookingq sweep` makes it, with or without a Booking Service.
fn sweeper(seller: &BookingSim, releases: bool) -> SweepConfig {
    let booking = Downstream::new(format!("http://{}", seller.address()));
    let tasks = TaskConfig { concurrency: CONCURRENCY, ..TaskConfig::new(booking) };
    SweepConfig {
        id: "bench".to_owned(),
        admin: None,
        tasks: releases.then_some(tasks),
        grace: defaults::GRACE,
    }
}

/// Makes holds of everybody in the line, of which `rate` are overdue in each second from the moment
/// that is returned. All are made before.
async fn hold(store: &dyn Store, rate: u64, holds: u64) -> Result<Timestamp> {
    let (now, started) = (store.snapshot().await?.now, Instant::now());
    let until_first = Duration::from_secs(1 + holds.div_ceil(FILLED_PER_SECOND));
    let length = |task: &Task| {
        let turn = Duration::from_micros((task.place.number.get() - 1) * 1_000_000 / rate);
        (until_first + turn).saturating_sub(started.elapsed())
    };
    let mut held = 0;
    while held < holds {
        let tasks = store.claim(BATCH as usize, LONG, Scope::Everything).await?.tasks;
        ensure!(!tasks.is_empty(), "the line is empty");
        reserve(store, &tasks, length).await?;
        held += tasks.len() as u64;
    }
    ensure!(
        started.elapsed() < until_first,
        "this machine makes fewer than {FILLED_PER_SECOND} holds a second"
    );
    Ok(now + until_first)
}

/// What became of the holds.
struct Seen {
    /// From each deadline on.
    late: Latency,
    /// When the last one was done.
    last: Timestamp,
}

/// Reads the outbox as a worker does, until so many holds have come to `end`.
async fn watch(
    store: Arc<dyn Store>,
    mut after: EventSeq,
    holds: u64,
    end: BookingState,
) -> Result<Seen> {
    let mut deadlines = vec![Timestamp::default(); usize::try_from(holds)? + 1];
    let mut seen = Seen { late: Latency::new(), last: Timestamp::default() };
    let mut left = holds;
    let mut quiet_since = Instant::now();
    while left > 0 {
        let read = store.events(after, EVENTS, Duration::from_secs(1)).await?;
        ensure!(!read.gap, "the outbox lost entries while it was read");
        after = read.next;
        if !read.events.is_empty() {
            quiet_since = Instant::now();
        }
        ensure!(quiet_since.elapsed() < LIMIT, "{left} of {holds} holds were not given back");
        for event in read.events {
            let Event { at, to, place, deadline, .. } = event;
            let known = deadlines
                .get_mut(usize::try_from(place.number.get())?)
                .context("a place of nobody")?;
            if let Some(deadline) = deadline {
                *known = deadline;
            } else if to == end {
                ensure!(
                    event.outcome.is_none_or(|why| why == Outcome::Expired),
                    "a hold ended otherwise"
                );
                seen.late.record(at.since(*known));
                seen.last = seen.last.max(at);
                left -= 1;
            }
        }
        tokio::time::sleep(PACE).await;
    }
    Ok(seen)
}
