//! `peers`: the same work on the same Redis by asynq, BullMQ, apalis-redis and us, in one run, in
//! random order.
//!
//! ```text
//!   plan ──cells──> measure ──starts──> drivers (tests/peers/*, ours)  <── setup (builds them)
//!                      '──────counts──> system (waiting and acknowledged jobs in Redis)
//!   ratios   our rates divided by the best peer's
//! ```

mod measure;
pub mod plan;
pub mod ratios;
pub mod setup;
pub mod system;

use std::time::{Duration, SystemTime};

use anyhow::{Result, bail};
use clap::ValueEnum as _;
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};

use self::measure::{PeerBench, Scale};
use self::plan::{Work, cells, closed_and_open, shuffled};
use self::setup::Drivers;
use self::system::System;
use crate::child::GaveUp;
use crate::redis_server::{AppendOnlyFile, MeasuredRedis};
use crate::sections::BEST_PEER;
use crate::session::{FigureOutput, Session};

/// How to measure.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Runs of each row; the figures are their median, least and greatest
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    runs: u32,
    /// Jobs in each run of each row
    #[arg(long, default_value_t = 100_000, value_name = "N", value_parser = clap::value_parser!(u64).range(5000..))]
    jobs: u64,
    /// Jobs that wait beforehand in the rows with a backlog
    #[arg(long, default_value_t = 1_000_000, value_name = "N", value_parser = clap::value_parser!(u64).range(5000..))]
    backlog: u64,
    /// Length of each open loop
    #[arg(long, default_value_t = 10, value_name = "S", value_parser = clap::value_parser!(u64).range(1..=600))]
    open_seconds: u64,
    /// Only these systems
    #[arg(long, value_enum, value_delimiter = ',', value_name = "SYSTEM")]
    only: Vec<System>,
    /// Only these works; `open` needs `through`, which is done with it
    #[arg(long, value_enum, value_delimiter = ',', value_name = "WORK")]
    work: Vec<Work>,
    /// Seed of the order, to repeat it
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    #[command(flatten)]
    append_only_file: AppendOnlyFile,
    #[command(flatten)]
    output: FigureOutput,
}

/// Measures, prints and writes.
pub fn run(args: &Args) -> Result<()> {
    let sections: Vec<_> = Work::value_variants().iter().map(|work| work.section()).collect();
    let mut session = Session::start(&args.output, &[&sections[..], &[BEST_PEER]].concat())?;
    let all = System::value_variants();
    let systems = if args.only.is_empty() { all } else { &args.only };
    let seed = args.seed.unwrap_or_else(clock);
    let versions = setup::versions(systems)?;
    let drivers = Drivers::set_up(systems)?;
    let Args { runs, jobs, backlog, open_seconds, .. } = *args;
    let (placement, file) = (session.placement, &args.append_only_file.name);
    println!("{}", Value::from(versions.clone()));
    println!(
        "{runs} runs of {jobs} jobs of 64 bytes, backlog {backlog}, open loops of {open_seconds} s; append-only file: {file}"
    );
    println!("{placement}; order: --seed {seed}\n");
    let mut gave_up = Vec::new();
    let measured = placement.run(|| async {
        let scale = Scale { jobs, backlog, open: Duration::from_secs(open_seconds) };
        let redis = MeasuredRedis::start(args.append_only_file.fsync(), placement).await?;
        let figures = &mut session.figures;
        let bench = PeerBench { redis, drivers, placement, scale, figures };
        tokio::select! {
            measured = measure_all(args, systems, seed, bench, &mut gave_up) => measured,
            stopped = stop_signal() => stopped,
        }
    });
    ratios::record(&mut session.figures);
    for what in &gave_up {
        println!("without a figure: {what}");
    }
    if let Err(error) = measured {
        print!("{}", session.figures.table());
        return Err(error);
    }
    session.finish(&json!({
        "runs": runs, "jobs": jobs, "backlog": backlog, "open_seconds": open_seconds,
        "append_only_file": file, "seed": seed, "versions": versions,
    }))
}

/// All runs of the closed works in random order, then the open loops, whose rates are shares of
/// the closed ones. `gave_up` collects failures of peers.
async fn measure_all(
    args: &Args,
    systems: &[System],
    seed: u64,
    mut bench: PeerBench<'_>,
    gave_up: &mut Vec<String>,
) -> Result<()> {
    let (closed, open) = closed_and_open(&args.work);
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
                eprintln!("{done} of {all}, run {run}: {}: {}", cell.work.section(), cell.row());
                match bench.measure(&cell).await {
                    // A failure of a peer is a result too: it is reported, and the run goes on.
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

/// Fails on SIGINT and SIGTERM, so that all children end on the way out.
async fn stop_signal() -> Result<()> {
    let (mut interrupt, mut terminate) =
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    bail!("interrupted; the figures above were measured before")
}

/// A seed from the clock.
fn clock() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::from(now.subsec_nanos())
}
