//! `peers`: the same work on the same Redis by asynq, BullMQ, apalis-redis and us, in one run, in
//! an order of chance.
//!
//! ```text
//!   plan ──cells──> measure ──starts──> driver (tests/peers/*, crates/bench/src/drive)  <── setup (builds them)
//!                      '──────counts──> system (what each calls waiting and acknowledged in Redis)
//!   ratios   ours beside the best peer
//! ```

mod driver;
mod measure;
mod plan;
mod ratios;
mod setup;
mod system;

use std::time::{Duration, SystemTime};

use anyhow::{Result, bail};
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};

use self::driver::{GaveUp, Starter};
use self::measure::{Bench, Scale};
use self::plan::{Cell, Work, cells, shuffled};
use self::setup::Drivers;
use self::system::System;
use crate::figures::Figures;
use crate::machine::Machine;
use crate::pin::{Placement, pinned};
use crate::redis_server::{AppendOnly, MeasuredRedis};
use crate::report::{self, Report};

pub use self::plan::OPEN;
pub use self::ratios::SECTION as COMPARED;
pub use self::system::OURS;

/// How to measure.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Runs of each row; the figures are their median, least and greatest
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    runs: u32,
    /// Jobs in each run of each row
    #[arg(long, default_value_t = 100_000, value_name = "N", value_parser = clap::value_parser!(u64).range(5000..))]
    jobs: u64,
    /// Jobs that wait already in the rows with a backlog
    #[arg(long, default_value_t = 1_000_000, value_name = "N", value_parser = clap::value_parser!(u64).range(5000..))]
    backlog: u64,
    /// How long each open loop is
    #[arg(long, default_value_t = 10, value_name = "S", value_parser = clap::value_parser!(u64).range(1..=600))]
    open_seconds: u64,
    /// Only these systems
    #[arg(long, value_enum, value_delimiter = ',', value_name = "SYSTEM")]
    only: Vec<System>,
    /// Only these works; `open` needs `through`, which is done with it
    #[arg(long, value_enum, value_delimiter = ',', value_name = "WORK")]
    work: Vec<Work>,
    /// The seed of the order, to have the same once more
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// What Redis promises about what it has acknowledged
    #[arg(long, value_enum, default_value_t = AppendOnly::Off)]
    fsync: AppendOnly,
    #[command(flatten)]
    report: report::Args,
}

/// Measures, prints and writes.
pub fn run(args: &Args) -> Result<()> {
    let baseline = args.report.baseline()?;
    let machine = Machine::look();
    let placement = Placement::of(&machine);
    let systems = if args.only.is_empty() { System::ALL.to_vec() } else { args.only.clone() };
    let seed = args.seed.unwrap_or_else(clock);
    let versions = setup::versions(&systems)?;
    let drivers = Drivers::set_up(&systems)?;
    let fsync = format!("{:?}", args.fsync).to_lowercase();
    println!("{machine}");
    println!("{}", Value::from(versions.clone()));
    println!(
        "{} runs of {} jobs of 64 bytes, backlog {}, open loops of {} s; append-only file: {fsync}",
        args.runs, args.jobs, args.backlog, args.open_seconds
    );
    println!("{placement}; order: --seed {seed}\n");
    let sections = Work::ALL.map(Work::section);
    let mut figures = Figures::new(&[&sections[..], &[COMPARED]].concat());
    let mut gave_up = Vec::new();
    let measured = pinned(placement.client(), || async {
        tokio::select! {
            measured = measure_all(args, &systems, seed, placement, drivers, &mut figures, &mut gave_up) => measured,
            stopped = told_to_stop() => stopped,
        }
    });
    ratios::record(&mut figures);
    print!("{}", figures.table());
    for what in &gave_up {
        println!("without a figure: {what}");
    }
    measured?;
    let settings = json!({
        "runs": args.runs, "jobs": args.jobs, "backlog": args.backlog, "open_seconds": args.open_seconds,
        "append_only_file": fsync, "seed": seed, "versions": versions,
    });
    let report = Report::new(&machine, &settings, placement, &figures)?;
    args.report.finish(&report, baseline.as_ref())
}

/// All runs of all that can be done in any order, then the open loops, whose rates are shares of
/// what was reached. `gave_up` tells what a peer could not do.
async fn measure_all(
    args: &Args,
    systems: &[System],
    seed: u64,
    placement: Placement,
    drivers: Drivers,
    figures: &mut Figures,
    gave_up: &mut Vec<String>,
) -> Result<()> {
    let redis = MeasuredRedis::start(args.fsync.into(), placement).await?;
    let starter = Starter { drivers, placement, redis: redis.address().to_owned() };
    let open = Duration::from_secs(args.open_seconds);
    let scale = Scale { jobs: args.jobs, backlog: args.backlog, open };
    let mut bench = Bench { redis, starter, scale, figures };
    let (closed, open) = works(&args.work);
    let (closed, open) = (cells(systems, &closed), cells(systems, &open));
    for cell in closed.iter().chain(&open) {
        for row in measure::rows(cell) {
            bench.figures.announce(cell.work.section(), &row);
        }
    }
    let all = (closed.len() + open.len()) * args.runs as usize;
    let mut done = 0;
    for cells in [closed, open] {
        for run in 1..=args.runs {
            for cell in shuffled(&cells, seed, run) {
                done += 1;
                progress(done, all, run, &cell);
                match bench.measure(&cell).await {
                    // Of a peer that is a result too: it is told, and the others go on.
                    Err(error) if cell.system != System::Ours && error.is::<GaveUp>() => {
                        gave_up.push(format!("run {run}: {error:#}"));
                    }
                    other => other?,
                }
            }
        }
    }
    Ok(())
}

/// What is asked for, in two parts: the second needs what the first reached.
fn works(asked: &[Work]) -> (Vec<Work>, Vec<Work>) {
    let open = asked.is_empty() || asked.contains(&Work::Open);
    let wanted = |work: &Work| {
        *work != Work::Open
            && (asked.is_empty() || asked.contains(work) || (open && *work == Work::Through))
    };
    let closed = Work::ALL.into_iter().filter(wanted).collect();
    (closed, if open { vec![Work::Open] } else { vec![] })
}

fn progress(done: usize, all: usize, run: u32, cell: &Cell) {
    eprintln!("{done} of {all}, run {run}: {}: {}", cell.work.section(), cell.row());
}

/// An error as soon as somebody wants us to stop, so that what we have started is ended on the way
/// out.
async fn told_to_stop() -> Result<()> {
    let (mut interrupt, mut terminate) =
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    bail!("told to stop; above is what was measured until then")
}

/// A seed nobody chose.
fn clock() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::from(now.subsec_nanos())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_loop_brings_what_it_takes_its_rate_from() {
        assert_eq!(works(&[Work::Open]), (vec![Work::Through], vec![Work::Open]));
        assert_eq!(works(&[Work::Drain]), (vec![Work::Drain], vec![]));
        assert_eq!(works(&[]).0.len(), Work::ALL.len() - 1);
    }
}
