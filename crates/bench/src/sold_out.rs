//! `sold-out`: what happens to the others when an item sells out at the front of a long line, and
//! who gets what comes back.
//!
//! Nine of ten want the first item and stand before the tenth. The events of the store show when
//! the item closed, when the next item was served, and who got what came back.

use std::collections::{BTreeMap, HashSet};
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use bookingq_core::{
    Admission, BookingState, Details, EventSeq, ItemChange, OutboxEvent, Timestamp,
};
use bookingq_crowd::latency::Latency;
use bookingq_harness::Fsync;
use bookingq_store::{Cancel, Enqueue, RedisConfig, Store};
use serde_json::Value;
use tokio::runtime::{Builder, Handle};

use crate::bookings::request;
use crate::figures::Figures;
use crate::grpc::WorkerUnderTest;
use crate::machine::Placement;
use crate::redis_server::MeasuredRedis;
use crate::session::{FigureOutput, Session};

/// How to measure.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Clients in the line
    #[arg(long, default_value_t = 50_000, value_name = "N", value_parser = clap::value_parser!(u64).range(1000..=1_000_000))]
    clients: u64,
    /// Tickets of each item
    #[arg(long, default_value_t = 1000, value_name = "N", value_parser = clap::value_parser!(u64).range(100..=100_000))]
    stock: u64,
    /// Reservations given back, one after the other
    #[arg(long, default_value_t = 300, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=10_000))]
    returns: u64,
    /// Runs; the figures are their median, least and greatest
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    runs: u32,
}

const CLOSED: &str = "After the first item sold out";
const RETURNED: &str = "From a Cancel to the reservation of the next one";
const BATCH: u64 = 500;
const EVENTS: usize = 4096;
/// Longest wait for what must happen.
const LIMIT: Duration = Duration::from_secs(60);

/// Measures and prints.
pub fn run(args: &Args) -> Result<()> {
    let mut session = Session::start(&FigureOutput::default(), &[CLOSED, RETURNED])?;
    session.placement = Placement::Free;
    println!("worker, Booking Service and Redis share the cores; nothing is pinned");
    println!("{} clients, {} tickets of each of two items\n", args.clients, args.stock);
    Builder::new_multi_thread().enable_all().build()?.block_on(async {
        let mut redis = MeasuredRedis::start(Fsync::Off, Placement::Free).await?;
        for run in 1..=args.runs {
            eprintln!("run {run} of {}", args.runs);
            redis.empty().await?;
            one_run(args, &redis, &mut session.figures).await?;
        }
        anyhow::Ok(())
    })?;
    session.finish(&Value::Null)
}

async fn one_run(args: &Args, redis: &MeasuredRedis, figures: &mut Figures) -> Result<()> {
    let serving = Handle::current();
    let worker =
        WorkerUnderTest::start(redis.url(), Admission::Paused, args.stock, &serving).await?;
    let store = bookingq_store::open(RedisConfig::new(redis.url(), worker.queue().clone()))?;
    let first = args.clients * 9 / 10;
    for from in (0..args.clients).step_by(BATCH as usize) {
        let to = args.clients.min(from + BATCH);
        let batch = (from + 1..=to).map(|number| joins(number, first));
        for answer in store.enqueue(batch.collect::<Result<_>>()?).await? {
            answer?;
        }
    }
    let mut sale = ObservedSale::new(store.latest_event().await?, first);
    store.set_admission(Admission::Open).await?;
    while sale.closed.is_none() || sale.next_item.is_none() || sale.parked() < first - sale.held() {
        sale.read(&*store).await?;
    }
    let (Some(closed), Some(next)) = (sale.closed, sale.next_item) else { bail!("not sold out") };
    let reserves: u64 = worker
        .ledger()
        .entries()
        .iter()
        .filter(|entry| &*entry.item == "first")
        .map(|entry| entry.calls.reserve)
        .sum();
    let columns = [
        ("next item reserved, ms", next.since(closed).as_secs_f64() * 1e3),
        ("all set aside, ms", sale.at.since(closed).as_secs_f64() * 1e3),
        ("useless Reserves", (reserves - sale.held()) as f64),
        ("set aside", sale.parked() as f64),
    ];
    figures.record(CLOSED, &format!("{} clients", args.clients), columns);
    give_back(args, &*store, &mut sale, figures).await?;
    worker.stop().await;
    Ok(())
}

/// The first item in quantities from 1 to 4, or one of the second.
fn joins(number: u64, first: u64) -> Result<Enqueue> {
    let item = if number <= first { "first" } else { "second" };
    let details = Details::new(item, i32::try_from(wanted(number, first))?, &[])?;
    Ok(Enqueue { details, ..request(number, &[])? })
}

fn wanted(number: u64, first: u64) -> u64 {
    if number <= first { 1 + number % 4 } else { 1 }
}

/// Gives back one reservation after the other. Each time the smallest numbers that fit must get
/// what came back.
async fn give_back(
    args: &Args,
    store: &dyn Store,
    sale: &mut ObservedSale,
    figures: &mut Figures,
) -> Result<()> {
    let holders: Vec<u64> = sale.holders.keys().copied().collect();
    let (mut latency, mut wrong, waiting) = (Latency::new(), 0, sale.parked());
    for turn in 0..args.returns {
        // Spread over all quantities.
        let holder = holders[(turn * 7919) as usize % holders.len()];
        if sale.holders.remove(&holder).is_none() {
            continue;
        }
        let mut credit = wanted(holder, sale.first);
        let mut next = Vec::new();
        for (number, quantity) in &sale.waiting {
            if credit == 0 {
                break;
            }
            if *quantity <= credit {
                credit -= quantity;
                next.push(*number);
            }
        }
        let client = request(holder, &[])?.client;
        let start = Instant::now();
        sale.since = start;
        for answer in store.cancel(vec![Cancel { client, booking: None }]).await? {
            answer?;
        }
        let before = sale.served;
        while sale.served < before + next.len() as u64 {
            let reserved = sale.read(store).await?;
            for number in reserved {
                latency.record(start.elapsed());
                wrong += u64::from(!next.contains(&number));
            }
        }
    }
    let late = latency.summary();
    let columns = [
        ("p50 ms", late.p50),
        ("p99 ms", late.p99),
        ("max ms", late.max),
        ("Reserves", late.count as f64),
        ("not the smallest that fits", wrong as f64),
    ];
    figures.record(RETURNED, &format!("{waiting} wait"), columns);
    Ok(())
}

/// The events of a sale.
struct ObservedSale {
    after: EventSeq,
    /// Numbers up to this one want the first item.
    first: u64,
    /// Who waits for the first item, and who has it, with the quantities.
    waiting: BTreeMap<u64, u64>,
    holders: BTreeMap<u64, u64>,
    parked: HashSet<u64>,
    /// Reserved bookings of the first item.
    served: u64,
    /// The first item closed for one, and the first booking of the second one was reserved.
    closed: Option<Timestamp>,
    next_item: Option<Timestamp>,
    /// The last event.
    at: Timestamp,
    /// Since when something is awaited.
    since: Instant,
}

impl ObservedSale {
    fn new(after: EventSeq, first: u64) -> Self {
        Self {
            after,
            first,
            waiting: (1..=first).map(|number| (number, wanted(number, first))).collect(),
            holders: BTreeMap::new(),
            parked: HashSet::new(),
            served: 0,
            closed: None,
            next_item: None,
            at: Timestamp(0),
            since: Instant::now(),
        }
    }

    fn held(&self) -> u64 {
        self.holders.len() as u64
    }

    /// Who was set aside and waits.
    fn parked(&self) -> u64 {
        self.parked.len() as u64
    }

    /// Reads what has happened; returns the bookings of the first item that were reserved.
    async fn read(&mut self, store: &dyn Store) -> Result<Vec<u64>> {
        ensure!(self.since.elapsed() < LIMIT, "what must happen did not, within {LIMIT:?}");
        let events = store.events(self.after, EVENTS, Duration::from_secs(1)).await?;
        ensure!(!events.gap, "the outbox lost entries while it was read");
        self.after = events.next;
        let mut reserved = Vec::new();
        for event in events.events {
            self.at = event.at();
            match event {
                OutboxEvent::Booking(event) if event.to == BookingState::Reserved => {
                    let number = event.place.number.get();
                    if number > self.first {
                        self.next_item.get_or_insert(event.at);
                    } else if let Some(quantity) = self.waiting.remove(&number) {
                        self.holders.insert(number, quantity);
                        self.parked.remove(&number);
                        self.served += 1;
                        reserved.push(number);
                    }
                }
                OutboxEvent::Booking(event) if event.parked.is_some() => {
                    let number = event.place.number.get();
                    self.parked.extend((number <= self.first).then_some(number));
                }
                OutboxEvent::Item(event) if &*event.item == "first" => match event.change {
                    ItemChange::SoldOut { quantity } if quantity.get() == 1 => {
                        self.closed.get_or_insert(event.at);
                    }
                    ItemChange::Parked { places, .. } => {
                        self.parked.extend(places.iter().map(|place| place.number.get()));
                    }
                    _ => {}
                },
                _ => {}
            }
        }
        Ok(reserved)
    }
}
