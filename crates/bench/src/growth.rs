//! `growth`: whether a call costs more when more are waiting, and what somebody who waits costs.

use std::time::Duration;

use anyhow::{Result, ensure};
use bookingq_store::RedisConfig;
use bookingq_store::{Scope, Store};
use tokio::runtime::Builder;

use crate::figures::Figures;
use crate::fill::{BATCH, client, enqueue, reserve};
use crate::life::fresh_queue;
use crate::machine::Machine;
use crate::pin::Placement;
use crate::redis_server::{Fsync, RedisServer};

/// How to measure.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// How many wait, one size after the other
    #[arg(long, value_delimiter = ',', default_values_t = [10_000, 100_000, 1_000_000], value_name = "N,N,…")]
    waiting: Vec<u64>,
    /// Runs of each size; the figures are their median, least and greatest
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    runs: u32,
}

/// Calls of each kind in each run.
const CALLS: u64 = 100;
/// Longer than any run.
const LONG: Duration = Duration::from_secs(3600);

const CPU: &str = "Redis µs/booking, 64 in a call";
const RATIO: &str = "Compared with the smallest";
const MEMORY: &str = "Memory";

/// Measures and prints.
pub fn run(args: &Args) -> Result<()> {
    let machine = Machine::look();
    let placement = Placement::of(&machine);
    println!("{machine}");
    println!("{} runs of {CALLS} calls of each kind; {placement}\n", args.runs);
    if let Some(core) = placement.client() {
        core.keep_this_thread();
    }
    let mut figures = Figures::new(&[CPU, RATIO, MEMORY]);
    Builder::new_current_thread().enable_all().build()?.block_on(async {
        let mut redis = RedisServer::start(Fsync::Off, placement).await?;
        for run in 1..=args.runs {
            let mut smallest = None;
            for &waiting in &args.waiting {
                eprintln!("run {run} of {}: {waiting} waiting", args.runs);
                let costs = one_size(&mut redis, waiting, &mut figures).await?;
                let base = *smallest.get_or_insert(costs);
                for ((name, cost), base) in costs.named().into_iter().zip(base.list()) {
                    figures.record(CPU, name, [(column(waiting), cost)]);
                    figures.record(RATIO, name, [(column(waiting), cost / base)]);
                }
            }
        }
        anyhow::Ok(())
    })?;
    print!("{}", figures.table());
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

/// Redis CPU of one booking in each kind of call, in microseconds.
#[derive(Debug, Clone, Copy)]
struct Costs {
    enqueue: f64,
    position: f64,
    claim: f64,
    reserve: f64,
    sweep: f64,
}

impl Costs {
    fn list(self) -> [f64; 5] {
        [self.enqueue, self.position, self.claim, self.reserve, self.sweep]
    }

    fn named(self) -> [(&'static str, f64); 5] {
        let names = ["enqueue", "status with position", "claim", "settle as reserved", "sweep"];
        let costs = self.list();
        std::array::from_fn(|at| (names[at], costs[at]))
    }
}

/// With this many waiting throughout; the line holds nobody else, and as many holds are not
/// overdue.
async fn one_size(redis: &mut RedisServer, waiting: u64, figures: &mut Figures) -> Result<Costs> {
    redis.empty().await?;
    let store = bookingq_store::open(RedisConfig::new(redis.url(), fresh_queue()?))?;
    store.open().await?;
    let empty = redis.memory().await?;
    enqueue(&*store, 0..waiting).await?;
    let each = (redis.memory().await? - empty) / waiting as f64;
    figures.record(MEMORY, column(waiting), [("bytes/waiting booking", each)]);
    // As many holds as there are people in the line, so that both sets have grown.
    hold(&*store, waiting, LONG).await?;
    enqueue(&*store, waiting..2 * waiting).await?;

    let calls = CALLS * BATCH;
    let mut used = redis.usage().await?.cpu_us;
    let mut since = async |redis: &mut RedisServer| -> Result<f64> {
        let now = redis.usage().await?.cpu_us;
        let cost = (now - std::mem::replace(&mut used, now)) / calls as f64;
        anyhow::Ok(cost)
    };
    enqueue(&*store, 2 * waiting..2 * waiting + calls).await?;
    let enqueued = since(redis).await?;
    for call in 0..CALLS {
        // Spread over the whole line.
        let clients = (0..BATCH).map(|n| client(waiting + (call * BATCH + n) * 7919 % waiting));
        let seen = store.status(clients.collect::<Result<_>>()?).await?;
        ensure!(
            seen.iter().flatten().all(|booking| booking.position.is_some()),
            "somebody is not in the line"
        );
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
    let reserve = since(redis).await?;
    let mut swept = 0;
    while swept < calls as usize {
        swept += store.sweep(BATCH as usize).await?.expired;
    }
    let sweep = since(redis).await?;
    Ok(Costs { enqueue: enqueued, position, claim, reserve, sweep })
}

/// Turns the front of the line into holds of this length.
async fn hold(store: &dyn Store, count: u64, length: Duration) -> Result<()> {
    let mut held = 0;
    while held < count {
        let tasks = store.claim(BATCH as usize, LONG, Scope::Everything).await?.tasks;
        ensure!(!tasks.is_empty(), "the line is empty");
        reserve(store, &tasks, |_| length).await?;
        held += tasks.len() as u64;
    }
    Ok(())
}
