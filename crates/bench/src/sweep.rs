//! `sweep`: how late a real sweeper releases holds, and at what cost, with many overdue each
//! second.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use bookingq_core::{BookingState, Event, EventSeq, OutboxEvent, Outcome, Timestamp, defaults};
use bookingq_crowd::latency::Latency;
use bookingq_harness::Fsync;
use bookingq_sim::BookingSim;
use bookingq_sim::spec::BookingSpec;
use bookingq_store::{Store, Task};
use bookingq_worker::config::{Downstream, TaskConfig};
use bookingq_worker::{SweepConfig, SweepMode, Sweeper};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::bookings::{fill, fresh_store, hold_front};
use crate::figures::Figures;
use crate::machine::Placement;
use crate::redis_server::MeasuredRedis;
use crate::session::{FigureOutput, Session};

/// How to measure.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Holds that are overdue each second, one rate after the other
    #[arg(long, value_delimiter = ',', default_values_t = [10_000, 50_000], value_name = "N,N,…", value_parser = clap::value_parser!(u64).range(1..))]
    rates: Vec<u64>,
    /// The same with a Booking Service, where the sweeper also releases the reservations
    #[arg(long, value_delimiter = ',', default_values_t = [1000, 4000], value_name = "N,N,…", value_parser = clap::value_parser!(u64).range(1..))]
    released: Vec<u64>,
    /// For how long
    #[arg(long, default_value_t = 10, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// Runs of each rate; the figures are their median, least and greatest
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    runs: u32,
}

/// Section: from a hold's deadline until its release is due.
const SWEPT: &str = "Deadline to release";
/// Section: from a hold's deadline until it is released and the booking has expired.
const RELEASED: &str = "Deadline to given back";
/// Lower bound of the holds made each second before the first one is overdue.
const FILLED_PER_SECOND: u64 = 15_000;
/// Longest wait for the last hold after its deadline.
const LIMIT: Duration = Duration::from_secs(120);
const EVENTS: usize = 4096;
/// Between two reads of a busy outbox, as in a worker.
const PACE: Duration = Duration::from_millis(5);
const CONCURRENCY: usize = 64;
pub fn run(args: &Args) -> Result<()> {
    let mut session = Session::start(&FigureOutput::default(), &[SWEPT, RELEASED])?;
    let placement = session.placement;
    println!("{} runs of {} s for each rate; {placement}\n", args.runs, args.seconds);
    placement.run(|| measure(args, placement, &mut session.figures))?;
    session.finish(&Value::Null)
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
    let store = fresh_store(redis).await?;
    fill(&*store, 0..holds).await?;
    let last = if section == SWEPT { BookingState::Releasing } else { BookingState::Expired };
    let watch = tokio::spawn(watch(store.clone(), store.latest_event().await?, holds, last));
    let first = hold(&*store, rate, holds).await?;

    let seller = BookingSim::start(BookingSpec::default(), ([127, 0, 0, 1], 0).into()).await?;
    let stop = CancellationToken::new();
    let sweeper = Sweeper::new(sweeper(&seller, section == RELEASED), store.clone());
    let before = redis.usage().await?;
    let sweeping = tokio::spawn(sweeper.run(SweepMode::UntilStopped, stop.clone()));
    let seen = watch.await??;
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

/// Turns the whole line into holds, of which `rate` are overdue in each second from the returned
/// moment on.
async fn hold(store: &dyn Store, rate: u64, holds: u64) -> Result<Timestamp> {
    let (now, started) = (store.snapshot().await?.now, Instant::now());
    let until_first = Duration::from_secs(1 + holds.div_ceil(FILLED_PER_SECOND));
    let length = |task: &Task| {
        let turn = Duration::from_micros((task.place.number.get() - 1) * 1_000_000 / rate);
        (until_first + turn).saturating_sub(started.elapsed())
    };
    hold_front(store, holds, length).await?;
    ensure!(
        started.elapsed() < until_first,
        "this machine makes fewer than {FILLED_PER_SECOND} holds a second"
    );
    Ok(now + until_first)
}

/// The end of all holds.
struct HoldsEnded {
    /// Since each deadline.
    late: Latency,
    /// The end of the last one.
    last: Timestamp,
}

/// Reads the outbox as a worker does, until `holds` bookings have reached the state `end`.
async fn watch(
    store: Arc<dyn Store>,
    mut after: EventSeq,
    holds: u64,
    end: BookingState,
) -> Result<HoldsEnded> {
    let mut deadlines = vec![Timestamp::default(); usize::try_from(holds)? + 1];
    let mut seen = HoldsEnded { late: Latency::new(), last: Timestamp::default() };
    let mut left = holds;
    let mut quiet_since = Instant::now();
    while left > 0 {
        let read = store.events(after, EVENTS, Duration::from_secs(1)).await?;
        ensure!(!read.gap, "the outbox lost entries while it was read");
        after = read.next;
        if !read.events.is_empty() {
            quiet_since = Instant::now();
        }
        ensure!(quiet_since.elapsed() < LIMIT, "{left} of {holds} holds were not released");
        for event in read.events.into_iter().filter_map(OutboxEvent::into_booking) {
            let Event { at, to, place, deadline, .. } = event;
            let known = deadlines
                .get_mut(usize::try_from(place.number.get())?)
                .context("an unknown place")?;
            if let Some(deadline) = deadline {
                *known = deadline;
            } else if to == end {
                ensure!(
                    event.outcome.is_none_or(|why| why == Outcome::Expired),
                    "a hold ended as {:?}",
                    event.outcome
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
