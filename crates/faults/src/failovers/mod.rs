//! `bookingq-faults failovers`: failovers of a managed Redis of three, one after the other, while
//! clients join. What is acknowledged must be kept, and an old primary must acknowledge nothing.
//!
//! ```text
//!   joins (8 callers) ─────> front of each server ─> redis-server x 3
//!   joins (only the old primary) ─>  "                  │  ^
//!   the operator's planner and driver ─> proxy ─────────┼──┘
//!                                        proxy <────────┘ the other servers
//! ```

mod fault;
mod joins;
mod report;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use bookingq_core::QueueName;
use bookingq_harness::Signal;
use rand::SeedableRng as _;
use rand::rngs::SmallRng;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use self::fault::PrimaryFault;
use self::joins::{AcknowledgedJoin, Joiners, longest_pause, missing, open};
use self::report::FailoverRun;
use crate::plan::NetworkFault;
use crate::servers::{Elected, ManagedTrio};
use crate::testbed::queue;

/// Callers that join, each as a worker of its own.
const CALLERS: usize = 8;
/// Callers that know the old primary only, as a worker does that has noticed nothing.
const OLD_CALLERS: usize = 4;
/// Joins before and after each fault.
const SOME: usize = 100;
/// Longest wait for a failover.
const LIMIT: Duration = Duration::from_secs(60);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(10);
/// Longest time until another operator leads.
const TAKEOVER: Duration = Duration::from_secs(15);
/// No fault lasts longer by itself.
const LONG: Duration = Duration::from_secs(3600);

/// The failovers to make.
#[derive(Debug, clap::Args)]
#[command(args_override_self = true)]
pub struct FailoverOptions {
    /// Runs, one fault of the primary each
    #[arg(
        long,
        value_name = "N",
        default_value_t = 50,
        value_parser = clap::value_parser!(u32).range(1..=10_000)
    )]
    runs: u32,
    /// Seed of the faults' lengths [default: drawn, and printed]
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
    /// Only this fault; may be repeated [default: each in turn]
    #[arg(long, value_name = "FAULT")]
    only: Vec<PrimaryFault>,
    /// Write all figures here, as JSON
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Makes them, and prints a line about each, and a summary. Returns whether all were made and all
/// promises were kept.
///
/// # Errors
/// When servers do not start, do not agree in time, or a file cannot be written. The summary and
/// the file are about the runs before.
pub async fn run(options: &FailoverOptions, leave: &CancellationToken) -> Result<bool> {
    let seed = options.seed.unwrap_or_else(|| u64::from(rand::random::<u32>()));
    println!("seed {seed}");
    let queue = queue()?;
    let trio = ManagedTrio::start(&queue).await?;
    let joiners = Joiners::start(&trio.url(), &queue, ("c", CALLERS))?;
    let mut random = SmallRng::seed_from_u64(seed);
    let (mut runs, mut failure) = (Vec::new(), None);
    for number in 0..options.runs {
        let fault = match options.only.len() {
            0 => PrimaryFault::of(number),
            several => options.only[number as usize % several],
        };
        let time = fault.draw_time(&mut random);
        let one = Failover { trio: &trio, queue: &queue, number, fault, time };
        let Some(run) = leave.run_until_cancelled(one.run(&joiners)).await else {
            println!("ending early, in order");
            break;
        };
        match run {
            Ok(run) => {
                println!("{}", run.line(number));
                runs.push(run);
            }
            Err(error) => {
                failure = Some(error.context(format!("run {number}, {fault:?}")));
                break;
            }
        }
    }
    let ok = runs.len() == options.runs as usize && report::is_clean(&runs);
    for line in report::lines(&runs) {
        println!("{line}");
    }
    if let Some(out) = &options.out {
        let text = serde_json::to_string_pretty(&report::json(seed, ok, &runs))? + "\n";
        std::fs::write(out, text).with_context(|| format!("cannot write {}", out.display()))?;
    }
    failure.map_or(Ok(ok), Err)
}

/// One run.
struct Failover<'a> {
    trio: &'a ManagedTrio,
    queue: &'a QueueName,
    number: u32,
    fault: PrimaryFault,
    /// `None`: until another primary is recorded.
    time: Option<Duration>,
}

impl Failover<'_> {
    async fn run(&self, joiners: &Joiners) -> Result<FailoverRun> {
        let (trio, operator) = (self.trio, self.trio.operator());
        trio.wait_whole().await?;
        let before = operator.elected().context("there is no record")?;
        joiners.wait_for(SOME).await?;
        let at_old = trio.front_url(before.primary);
        let prefix = format!("old{}", self.number);
        let old_joiners = Joiners::start(&at_old, self.queue, (&prefix, OLD_CALLERS))?;
        let begin = Instant::now();
        self.inject(before).await?;
        let back = Instant::now();
        let demoted_after = self.until_demoted(before.primary).await?;
        operator.set_slow(false);
        trio.wait_whole().await?;
        joiners.wait_for(SOME).await?;
        let now = operator.elected().context("there is no record any more")?;
        let is_late =
            |join: &&AcknowledgedJoin| now.primary != before.primary && join.began > now.since;
        let (mut joins, old_joins) = (joiners.take(), old_joiners.take());
        let acknowledged_by_old = old_joins.iter().filter(is_late).count();
        let paused = longest_pause(&joins, begin);
        joins.extend(old_joins);
        let store = open(trio.url(), self.queue)?;
        let milliseconds = |time: Duration| time.as_millis() as u64;
        Ok(FailoverRun {
            fault: self.fault,
            lasted_ms: milliseconds(back - begin),
            elected: now.term != before.term,
            places: joins.len(),
            missing: missing(&*store, &joins).await?,
            paused_ms: milliseconds(paused),
            demoted_after_ms: demoted_after.map(milliseconds),
            acknowledged_by_old,
        })
    }

    /// Injects the fault, and returns when it has ended.
    async fn inject(&self, before: Elected) -> Result<()> {
        let (primary, operator) = (before.primary, self.trio.operator());
        let (process, proxy) = (self.trio.process(primary), self.trio.proxy(primary));
        operator.set_slow(self.time.is_none());
        match self.fault {
            PrimaryFault::Kill => process.kill_for(self.time.unwrap_or_default()),
            PrimaryFault::KillWithOperator => {
                operator.end_for(TAKEOVER);
                process.kill_for(self.time.unwrap_or_default());
            }
            PrimaryFault::Freeze | PrimaryFault::FreezeUntilRecorded => {
                process.signal(Signal::STOP);
            }
            PrimaryFault::Cut | PrimaryFault::CutUntilRecorded => {
                proxy.inject(NetworkFault::Cut, LONG);
            }
            PrimaryFault::HalfOpen => proxy.inject(NetworkFault::HalfOpen, LONG),
        }
        let start = Instant::now();
        match self.time {
            Some(time) => sleep(time).await,
            None => {
                while operator.elected().is_none_or(|now| now.term == before.term) {
                    if start.elapsed() > LIMIT {
                        bail!("no other primary is recorded within {LIMIT:?}");
                    }
                    sleep(LOOK).await;
                }
            }
        }
        process.signal(Signal::CONT);
        proxy.clear();
        Ok(())
    }

    /// How long a primary that was replaced while it was frozen or cut off goes on saying that it
    /// is one; `None` if it was not, or is elected again. One that was killed starts as none.
    async fn until_demoted(&self, old: usize) -> Result<Option<Duration>> {
        let is_killed = matches!(self.fault, PrimaryFault::Kill | PrimaryFault::KillWithOperator);
        let is_replaced = || self.trio.operator().elected().is_some_and(|now| now.primary != old);
        let start = Instant::now();
        while is_replaced() && !is_killed {
            if self.trio.is_primary(old).await == Some(false) {
                return Ok(Some(start.elapsed()));
            }
            if start.elapsed() > LIMIT {
                bail!("the old primary is not demoted within {LIMIT:?}");
            }
            sleep(LOOK).await;
        }
        Ok(None)
    }
}
