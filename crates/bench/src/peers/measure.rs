//! One measurement: Redis is emptied, a driver works, and its jobs are counted in Redis.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;
use tokio::time::MissedTickBehavior;

use super::plan::{self, Cell, Work};
use super::setup::Drivers;
use super::system::{JobCounter, JobCounts, System};
use crate::child::{GaveUp, ReportingChild};
use crate::figures::{Figures, Spread};
use crate::machine::Placement;
use crate::redis_server::{MeasuredRedis, RedisUsage};

/// Jobs before the clock of an enqueueing driver starts, so that connections, scripts and compilers
/// are warm.
const WARM_UP: u64 = 2000;
/// Jobs of an open loop that are due earlier are not among the latencies: the program starts.
const SETTLE: Duration = Duration::from_secs(1);
/// Between two counts: short beside the seconds that are timed, rare beside the commands.
const LOOK: Duration = Duration::from_millis(5);
/// No acknowledgement for this time: a job is lost or the worker stands still.
const STALLED: Duration = Duration::from_secs(30);
const LIMIT: Duration = Duration::from_secs(1800);

/// Shares of the best rate that are offered in an open loop.
const SHARES: [(f64, &str); 2] = [(0.5, "50 %"), (0.8, "80 %")];
pub const RATE: &str = "jobs/s";
const CPU: &str = "Redis µs/job";
const SCRIPTS: &str = "script calls/job";

/// The rows that a cell fills.
pub fn rows(cell: &Cell) -> Vec<String> {
    match cell.work {
        Work::Open => SHARES.iter().map(|(_, label)| open_row(cell, label)).collect(),
        _ => vec![cell.row()],
    }
}

fn open_row(cell: &Cell, label: &str) -> String {
    format!("{}: {label}", cell.row())
}
#[derive(Debug, Clone, Copy)]
pub struct Scale {
    pub jobs: u64,
    /// Jobs that wait beforehand, for the works with a backlog.
    pub backlog: u64,
    /// Length of an open loop.
    pub open: Duration,
}
pub struct PeerBench<'a> {
    pub redis: MeasuredRedis,
    pub drivers: Drivers,
    pub placement: Placement,
    pub scale: Scale,
    pub figures: &'a mut Figures,
}
#[derive(Debug, Clone, Deserialize)]
struct DriverReport {
    /// Jobs that `seconds` is about.
    jobs: u64,
    seconds: f64,
    /// From the due time of a job to the start of its handler.
    p50_ms: Option<f64>,
    p99_ms: Option<f64>,
    p999_ms: Option<f64>,
}

/// Jobs that were added or acknowledged, and their cost.
struct JobsDone {
    /// Of acknowledged jobs, from the first that was counted to the last.
    rate: f64,
    /// Of Redis, for all jobs.
    used: RedisUsage,
    jobs: f64,
}

impl PeerBench<'_> {
    /// Measures a cell; an open loop once for each share.
    pub async fn measure(&mut self, cell: &Cell) -> Result<()> {
        let measured = async {
            match cell.work {
                Work::AddOne | Work::Add64 | Work::AddBulk => self.add(cell).await,
                Work::Drain => self.drain(cell, "0ms").await,
                Work::Drain5ms => self.drain(cell, "5ms").await,
                Work::Backlog => self.backlog(cell).await,
                Work::Through => self.through(cell).await,
                Work::Open => {
                    for (share, label) in SHARES {
                        self.open(cell, share, label).await?;
                    }
                    Ok(())
                }
            }
        };
        let measured = tokio::time::timeout(LIMIT, measured).await;
        let named = || format!("{}: {}", cell.work.section(), cell.row());
        measured
            .map_err(|_| anyhow::anyhow!("not done within {} s", LIMIT.as_secs()))?
            .with_context(named)
    }

    async fn add(&mut self, cell: &Cell) -> Result<()> {
        self.redis.empty().await?;
        // One at a time is slow, and as steady with fewer.
        let jobs =
            if cell.work == Work::AddOne { self.scale.jobs.div_ceil(5) } else { self.scale.jobs };
        let before = self.redis.usage().await?;
        let report = self.enqueue(cell.system, jobs, cell.flags).await?;
        let used = self.redis.usage().await? - before;
        self.check(cell.system, jobs + WARM_UP, 0).await?;
        let rate = report.jobs as f64 / report.seconds;
        self.record(cell, &JobsDone { rate, used, jobs: (jobs + WARM_UP) as f64 });
        Ok(())
    }

    async fn drain(&mut self, cell: &Cell, busy: &str) -> Result<()> {
        self.redis.empty().await?;
        let jobs = self.scale.jobs;
        self.enqueue(cell.system, jobs - WARM_UP, plan::fill(cell.system)).await?;
        self.check(cell.system, jobs, 0).await?;
        let flags = [("mode", "work".to_owned()), ("busy", busy.to_owned())];
        let (driver, drained) = self.work(cell, &flags, jobs).await?;
        driver.end().await?;
        self.check(cell.system, 0, jobs).await?;
        self.record(cell, &drained);
        Ok(())
    }

    /// With a long line: the memory of a job, the cost of one more, and the rate at the front.
    async fn backlog(&mut self, cell: &Cell) -> Result<()> {
        self.redis.empty().await?;
        let (jobs, backlog) = (self.scale.jobs, self.scale.backlog);
        let empty = self.redis.memory().await?;
        self.enqueue(cell.system, backlog - WARM_UP, plan::fill(cell.system)).await?;
        self.check(cell.system, backlog, 0).await?;
        let bytes = (self.redis.memory().await? - empty) / backlog as f64;
        let added = self.enqueue(cell.system, jobs, &["--in-flight", "64"]).await?;
        self.check(cell.system, backlog + jobs + WARM_UP, 0).await?;
        let (driver, drained) = self.work(cell, &[("mode", "work".to_owned())], jobs).await?;
        driver.end().await?;
        self.record(cell, &drained);
        let columns =
            [("enqueued/s", added.jobs as f64 / added.seconds), ("Redis bytes/job", bytes)];
        self.figures.record(cell.work.section(), &cell.row(), columns);
        Ok(())
    }

    async fn through(&mut self, cell: &Cell) -> Result<()> {
        let jobs = self.scale.jobs;
        let (drained, _) = self.both(cell, jobs, &[("in-flight", "64".to_owned())]).await?;
        self.record(cell, &drained);
        Ok(())
    }

    /// Offers a share of the rate that the same settings reached in `through`.
    async fn open(&mut self, cell: &Cell, share: f64, label: &str) -> Result<()> {
        let best = self.figures.values(Work::Through.section(), &cell.row(), RATE);
        let rate = Spread::of(best).median * share;
        ensure!(rate.is_finite(), "`through` has no rate for these settings");
        let jobs = (rate * (SETTLE + self.scale.open).as_secs_f64()).ceil() as u64;
        let settle = format!("{}ms", SETTLE.as_millis());
        let flags = [("rate", rate.to_string()), ("settle", settle)];
        let (_, report) = self.both(cell, jobs, &flags).await?;
        let wait = |value: Option<f64>| value.context("the driver reported no latency");
        let columns = [
            ("offered/s", rate),
            ("started/s", report.jobs as f64 / report.seconds),
            ("p50 ms", wait(report.p50_ms)?),
            ("p99 ms", wait(report.p99_ms)?),
            ("p99.9 ms", wait(report.p999_ms)?),
        ];
        self.figures.record(cell.work.section(), &open_row(cell, label), columns);
        Ok(())
    }

    fn record(&mut self, cell: &Cell, done: &JobsDone) {
        let JobsDone { rate, used, jobs } = *done;
        let columns = [(RATE, rate), (CPU, used.cpu_us / jobs), (SCRIPTS, used.scripts / jobs)];
        self.figures.record(cell.work.section(), &cell.row(), columns);
    }

    /// Starts a driver with flags that all drivers have (`--name value`) and its own settings.
    fn start(
        &self,
        system: System,
        flags: &[(&str, String)],
        settings: &[&str],
    ) -> Result<ReportingChild> {
        let mut words = self.placement.client_wrapper();
        words.extend(self.drivers.command(system)?);
        words.extend(["--redis", self.redis.address()].map(Into::into));
        words.extend(plan::api(system).iter().chain(settings).map(Into::into));
        for (name, value) in flags {
            words.extend([format!("--{name}").into(), value.into()]);
        }
        ReportingChild::start(format!("the driver of {}", system.name()), &words)
    }

    /// Adds [`WARM_UP`] jobs, then `jobs`.
    async fn enqueue(&self, system: System, jobs: u64, settings: &[&str]) -> Result<DriverReport> {
        let warm_up = ("warm-up", WARM_UP.to_string());
        let flags = [("mode", "add".to_owned()), ("jobs", jobs.to_string()), warm_up];
        let mut driver = self.start(system, &flags, settings)?;
        let report: DriverReport = driver.report().await?;
        driver.end().await?;
        ensure!(report.jobs == jobs, "the driver added {} jobs, not {jobs}", report.jobs);
        Ok(report)
    }

    /// Enqueues and drains in one driver, in an empty Redis.
    async fn both(
        &mut self,
        cell: &Cell,
        jobs: u64,
        flags: &[(&str, String)],
    ) -> Result<(JobsDone, DriverReport)> {
        self.redis.empty().await?;
        let mode = [("mode", "both".to_owned()), ("jobs", jobs.to_string())];
        let (mut driver, drained) = self.work(cell, &[&mode[..], flags].concat(), jobs).await?;
        let report = driver.report().await?;
        driver.end().await?;
        self.check(cell.system, 0, jobs).await?;
        Ok((drained, report))
    }

    /// Starts a driver and waits until `goal` jobs are acknowledged.
    async fn work(
        &mut self,
        cell: &Cell,
        flags: &[(&str, String)],
        goal: u64,
    ) -> Result<(ReportingChild, JobsDone)> {
        let mut driver = self.start(cell.system, flags, cell.flags)?;
        let mut counter = JobCounter::connect(cell.system, &self.redis).await?;
        let redis = &mut self.redis;
        let seen = async {
            let (first, then) = progress(&mut counter, 0, 1).await?;
            let from = redis.usage().await?;
            ensure!(first < goal, "all jobs were done at the first count: too few, see --jobs");
            let (last, at) = progress(&mut counter, first, goal).await?;
            let used = redis.usage().await? - from;
            let jobs = (last - first) as f64;
            Ok(JobsDone { rate: jobs / (at - then).as_secs_f64(), used, jobs })
        };
        let done = tokio::select! {
            done = seen => done?,
            Err(early) = driver.ends_early() => return Err(early),
        };
        Ok((driver, done))
    }

    async fn check(&self, system: System, waiting: u64, acknowledged: u64) -> Result<()> {
        let counts = JobCounter::connect(system, &self.redis).await?.read().await?;
        let expected = JobCounts { waiting, acknowledged };
        ensure!(counts == expected, "{counts:?} in Redis; expected: {expected:?}");
        Ok(())
    }
}

/// Counts until at least `goal` jobs are acknowledged; returns their number and the time.
async fn progress(counter: &mut JobCounter, mut known: u64, goal: u64) -> Result<(u64, Instant)> {
    let mut look = tokio::time::interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut moved = Instant::now();
    loop {
        look.tick().await;
        let counts = counter.read().await?;
        let now = Instant::now();
        if counts.acknowledged >= goal {
            return Ok((counts.acknowledged, now));
        }
        if counts.acknowledged > known {
            (known, moved) = (counts.acknowledged, now);
        }
        if now - moved > STALLED {
            let seconds = STALLED.as_secs();
            let what = format!("no acknowledgement for {seconds} s; at last {counts:?} of {goal}");
            return Err(GaveUp(what).into());
        }
    }
}
