//! `watch`: the cost of clients that follow their bookings on one worker while the line moves, the
//! age of the positions that they see, and how soon they know that their item is sold out.
//!
//! ```text
//!   watch ──┬─ server    what keeps the queue
//!           ├─ serve     the worker, as a process of its own
//!           ├─ streams   WatchStatus streams, and the last position that each received
//!           └─ truth     when which position stopped being correct
//! ```

pub(crate) mod serve;
mod server;
mod streams;
mod truth;

use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use bookingq_core::{Admission, ItemChange, OutboxEvent, QueueName};
use bookingq_crowd::latency::Latency;
use bookingq_store::{Cancel, Store};
use serde_json::Value;
use tokio::runtime::Builder;
use tokio::time::MissedTickBehavior;

use self::server::{WatchServer, store_config};
use self::streams::Streams;
pub use self::truth::Truth;
use crate::figures::Figures;
use crate::grpc::LoadChannels;
use crate::kafka::MeasuredStore;
use crate::machine::Placement;
use crate::session::{FigureOutput, Session};

/// How to measure.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which store
    #[arg(long, value_enum, default_value_t = MeasuredStore::Redis, value_name = "STORE")]
    store: MeasuredStore,
    /// Watching clients, one size after the other
    #[arg(long, value_delimiter = ',', default_values_t = [20_000, 100_000], value_name = "N,N,…")]
    clients: Vec<u64>,
    /// Connections they share
    #[arg(long, default_value_t = 100, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=10_000))]
    connections: u64,
    /// Clients that leave the front of the line each second
    #[arg(long, default_value_t = 500, value_name = "N", value_parser = clap::value_parser!(u64).range(20..=5000))]
    pace: u64,
    /// Time that the line moves
    #[arg(long, default_value_t = 30, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=240))]
    seconds: u64,
    /// Runs of each size; the figures are their median, least and greatest
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    runs: u32,
}

const COST: &str = "Watching";
const AGE: &str = "Age of the position shown";
/// From when the store closed the item that all clients want until each of them knows.
const CLOSED: &str = "Item closed to item shown as sold out";
/// Clients by their place, counted from the front.
const GROUPS: [(u64, &str); 3] =
    [(1000, "the first 1,000"), (10_000, "from there to 10,000"), (u64::MAX, "all behind")];
/// Between two looks at all positions.
const LOOK: Duration = Duration::from_millis(200);
/// Between two batches of clients that leave.
const STEP: Duration = Duration::from_millis(50);
/// Enqueues in flight.
const JOINING: usize = 64;
/// Longest wait until all know that the item is sold out.
const LIMIT: Duration = Duration::from_secs(60);
/// Before the first look, because new streams cause messages of their own.
const SETTLE: Duration = Duration::from_secs(5);

/// Measures and prints.
pub fn run(args: &Args) -> Result<()> {
    let leave = args.pace * args.seconds;
    if let Some(few) = args.clients.iter().find(|clients| **clients <= leave) {
        bail!("--clients {few} is too few: {} leave each second for {} s", args.pace, args.seconds);
    }
    let mut session = Session::start(&FigureOutput::default(), &[COST, AGE, CLOSED])?;
    session.placement = Placement::Free;
    println!("worker, clients and the store's server share the cores; nothing is pinned");
    println!(
        "{} connections; {} leave the front each second, for {} s\n",
        args.connections, args.pace, args.seconds
    );
    Builder::new_multi_thread().enable_all().build()?.block_on(async {
        for run in 1..=args.runs {
            for &clients in &args.clients {
                eprintln!("run {run} of {}", args.runs);
                let server = WatchServer::start(args.store).await?;
                one_size(args, &server.url(), clients, &mut session.figures).await?;
            }
        }
        anyhow::Ok(())
    })?;
    session.finish(&Value::Null)
}

async fn one_size(args: &Args, url: &str, clients: u64, figures: &mut Figures) -> Result<()> {
    let row = format!("{clients} clients");
    let (worker, serves) = serve::start(url).await?;
    let queue = QueueName::new(&serves.queue)?;
    let few = LoadChannels::connect(serves.address, JOINING).await?;
    eprintln!("{row}: joining");
    few.enqueue(&queue, 0, clients).await?;
    let before = worker.usage()?;
    eprintln!("{row}: opening the streams");
    let connections = usize::try_from(args.connections)?;
    let channels = LoadChannels::connect_many(serves.address, connections).await?;
    let opening = Instant::now();
    let streams = Streams::open(&channels, &queue, clients).await?;
    let opened = opening.elapsed();
    tokio::time::sleep(SETTLE).await;
    let open = worker.usage()?;

    eprintln!("{row}: the line moves");
    let messages = streams.messages();
    let moving = Instant::now();
    let store = bookingq_store::open(store_config(url, &queue).await?)?;
    let ages = move_on(args, &*store, &streams).await?;
    let time = moving.elapsed().as_secs_f64();
    let moved = worker.usage()?;

    eprintln!("{row}: the item sells out");
    let known = sell_out(&*store, &streams, clients - args.pace * args.seconds).await?.summary();
    let columns = [
        ("clients", known.count as f64),
        ("p50 ms", known.p50),
        ("p99 ms", known.p99),
        ("max ms", known.max),
    ];
    figures.record(CLOSED, &row, columns);
    worker.end().await?;

    let columns = [
        ("KiB/stream", (open.rss_mib - before.rss_mib) * 1024.0 / clients as f64),
        ("opened/s", clients as f64 / opened.as_secs_f64()),
        ("messages/s", (streams.messages() - messages) as f64 / time),
        ("worker's CPU, of a core", (moved.cpu - open.cpu) / time),
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

/// Opens the queue, of whose item one is left, and waits until all but its buyer know that it is
/// sold out.
async fn sell_out(store: &dyn Store, streams: &Streams, clients: u64) -> Result<Latency> {
    let mut after = store.latest_event().await?;
    store.set_admission(Admission::Open).await?;
    let start = Instant::now();
    let closed = 'closed: loop {
        ensure!(start.elapsed() < LIMIT, "the item was not sold out within {LIMIT:?}");
        let events = store.events(after, 4096, Duration::from_secs(1)).await?;
        after = events.next;
        for event in &events.events {
            if let OutboxEvent::Item(event) = event
                && matches!(event.change, ItemChange::SoldOut { .. })
            {
                break 'closed event.at;
            }
        }
    };
    loop {
        let known = streams.known_as_sold_out(closed);
        if known.summary().count + 1 >= clients {
            return Ok(known);
        }
        streams.check()?;
        let count = known.summary().count;
        ensure!(start.elapsed() < LIMIT, "{count} of {clients} clients knew within {LIMIT:?}");
        tokio::time::sleep(LOOK).await;
    }
}

/// Clients leave the front of the line at an even pace, while all positions are looked at again
/// and again.
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
                let cancel = |number| Ok(Cancel { client: streams.client(number)?, booking: None });
                let batch = (from + 1..=from + leave).map(cancel);
                // Before the call, because positions change during it.
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
