//! One measurement: Redis is emptied, a driver works, and what it did is counted in Redis.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use tokio::time::MissedTickBehavior;

use super::driver::{Driver, GaveUp, Said, Starter};
use super::plan::{self, Cell, Work};
use super::system::{Count, Counter, System};
use crate::figures::{Figures, Spread};
use crate::redis_server::{MeasuredRedis, RedisUsage};

/// Jobs before the clock of an enqueueing driver starts, so that connections, scripts and compilers
/// are warm.
const WARM_UP: u64 = 2000;
/// Jobs due so early in an open loop are worked on, but not among the latencies: the program
/// starts.
const SETTLE: Duration = Duration::from_secs(1);
/// Between two looks at what is acknowledged. Short beside the seconds that are timed, rare beside
/// the commands that are.
const LOOK: Duration = Duration::from_millis(5);
/// Nothing acknowledged for so long: the job is lost or the worker stands.
const STALLED: Duration = Duration::from_secs(30);
/// No measurement takes longer.
const LIMIT: Duration = Duration::from_secs(1800);

/// Shares of the best rate that are offered in an open loop.
const SHARES: [(f64, &str); 2] = [(0.5, "50 %"), (0.8, "80 %")];
/// The column of rates.
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

/// How much of each work.
#[derive(Debug, Clone, Copy)]
pub struct Scale {
    /// Jobs.
    pub jobs: u64,
    /// Jobs that wait already, for the works with a backlog.
    pub backlog: u64,
    /// How long an open loop is.
    pub open: Duration,
}

/// What measures.
pub struct Bench<'a> {
    /// Everybody's Redis.
    pub redis: MeasuredRedis,
    /// Everybody's drivers.
    pub starter: Starter,
    /// How much.
    pub scale: Scale,
    /// What was found.
    pub figures: &'a mut Figures,
}

/// Jobs done, added or acknowledged, and what it took.
struct Done {
    /// Of acknowledged jobs from the first that was seen to the last.
    rate: f64,
    /// Of Redis, for all of them.
    used: RedisUsage,
    jobs: f64,
}

impl Bench<'_> {
    /// Measures a cell, within a time; an open loop once for each share.
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
        let said = self.enqueue(cell.system, jobs, cell.flags).await?;
        let used = self.redis.usage().await? - before;
        self.check_waiting(cell.system, jobs + WARM_UP).await?;
        let rate = said.jobs as f64 / said.seconds;
        self.record(cell, &Done { rate, used, jobs: (jobs + WARM_UP) as f64 });
        Ok(())
    }

    async fn drain(&mut self, cell: &Cell, busy: &str) -> Result<()> {
        self.redis.empty().await?;
        let jobs = self.scale.jobs;
        self.enqueue(cell.system, jobs - WARM_UP, plan::fill(cell.system)).await?;
        self.check_waiting(cell.system, jobs).await?;
        let flags = [("mode", "work".to_owned()), ("busy", busy.to_owned())];
        let mut driver = self.starter.start(cell.system, &flags, cell.flags)?;
        let drained = self.watch(cell.system, &mut driver, jobs).await?;
        driver.end().await?;
        self.check_all_acknowledged(cell.system, jobs).await?;
        self.record(cell, &drained);
        Ok(())
    }

    /// With many waiting: what a job costs in memory, what one more costs, and how fast the line's
    /// front goes.
    async fn backlog(&mut self, cell: &Cell) -> Result<()> {
        self.redis.empty().await?;
        let (jobs, backlog) = (self.scale.jobs, self.scale.backlog);
        let empty = self.redis.memory().await?;
        self.enqueue(cell.system, backlog - WARM_UP, plan::fill(cell.system)).await?;
        self.check_waiting(cell.system, backlog).await?;
        let bytes = (self.redis.memory().await? - empty) / backlog as f64;
        let added = self.enqueue(cell.system, jobs, &["--in-flight", "64"]).await?;
        self.check_waiting(cell.system, backlog + jobs + WARM_UP).await?;
        let mut driver =
            self.starter.start(cell.system, &[("mode", "work".to_owned())], cell.flags)?;
        let drained = self.watch(cell.system, &mut driver, jobs).await?;
        driver.end().await?;
        self.record(cell, &drained);
        let columns =
            [("enqueued/s", added.jobs as f64 / added.seconds), ("Redis bytes/job", bytes)];
        self.figures.record(cell.work.section(), &cell.row(), columns);
        Ok(())
    }

    async fn through(&mut self, cell: &Cell) -> Result<()> {
        self.redis.empty().await?;
        let jobs = self.scale.jobs;
        let flags =
            [("mode", "both"), ("in-flight", "64")].map(|(name, value)| (name, value.to_owned()));
        let flags = [&flags[..], &[("jobs", jobs.to_string())]].concat();
        let mut driver = self.starter.start(cell.system, &flags, cell.flags)?;
        let drained = self.watch(cell.system, &mut driver, jobs).await?;
        driver.said().await?;
        driver.end().await?;
        self.check_all_acknowledged(cell.system, jobs).await?;
        self.record(cell, &drained);
        Ok(())
    }

    /// Offers a share of what the same settings reached in `through`.
    async fn open(&mut self, cell: &Cell, share: f64, label: &str) -> Result<()> {
        let best = self.figures.values(Work::Through.section(), &cell.row(), RATE);
        let rate = Spread::of(best).median * share;
        ensure!(rate.is_finite(), "there is no best rate of these settings to take a share of");
        self.redis.empty().await?;
        let jobs = (rate * (SETTLE + self.scale.open).as_secs_f64()).ceil() as u64;
        let settle = format!("{}ms", SETTLE.as_millis());
        let flags = [
            ("mode", "both".to_owned()),
            ("jobs", jobs.to_string()),
            ("rate", rate.to_string()),
            ("settle", settle),
        ];
        let mut driver = self.starter.start(cell.system, &flags, cell.flags)?;
        self.watch(cell.system, &mut driver, jobs).await?;
        let said = driver.said().await?;
        driver.end().await?;
        self.check_all_acknowledged(cell.system, jobs).await?;
        let wait = |value: Option<f64>| value.context("the driver said no latency");
        let columns = [
            ("offered/s", rate),
            ("started/s", said.jobs as f64 / said.seconds),
            ("p50 ms", wait(said.p50_ms)?),
            ("p99 ms", wait(said.p99_ms)?),
            ("p99.9 ms", wait(said.p999_ms)?),
        ];
        self.figures.record(cell.work.section(), &open_row(cell, label), columns);
        Ok(())
    }

    fn record(&mut self, cell: &Cell, done: &Done) {
        let Done { rate, used, jobs } = *done;
        let columns = [(RATE, rate), (CPU, used.cpu_us / jobs), (SCRIPTS, used.scripts / jobs)];
        self.figures.record(cell.work.section(), &cell.row(), columns);
    }

    /// Adds so many, and [`WARM_UP`] before.
    async fn enqueue(&self, system: System, jobs: u64, settings: &[&str]) -> Result<Said> {
        let flags = [
            ("mode", "add".to_owned()),
            ("jobs", jobs.to_string()),
            ("warm-up", WARM_UP.to_string()),
        ];
        let mut driver = self.starter.start(system, &flags, settings)?;
        let said = driver.said().await?;
        driver.end().await?;
        ensure!(said.jobs == jobs, "the driver added {} jobs, not {jobs}", said.jobs);
        Ok(said)
    }

    /// Looks on until so many are acknowledged.
    async fn watch(&mut self, system: System, driver: &mut Driver, goal: u64) -> Result<Done> {
        let mut counter = Counter::connect(system, &self.redis).await?;
        let redis = &mut self.redis;
        let seen = async {
            let (first, then, from) = {
                let (count, at) = progress(&mut counter, 0, 1).await?;
                (count.acknowledged, at, redis.usage().await?)
            };
            ensure!(
                first < goal,
                "all was done at the first look: too few jobs to be timed, see --jobs"
            );
            let (last, at) = progress(&mut counter, first, goal).await?;
            let used = redis.usage().await? - from;
            let done = (last.acknowledged - first) as f64;
            Ok(Done { rate: done / (at - then).as_secs_f64(), used, jobs: done })
        };
        tokio::select! {
            drained = seen => drained,
            Err(early) = driver.ends_early() => Err(early),
        }
    }

    async fn check_waiting(&self, system: System, wanted: u64) -> Result<()> {
        let count = Counter::connect(system, &self.redis).await?.read().await?;
        ensure!(
            count == Count { waiting: wanted, acknowledged: 0 },
            "{wanted} should wait, not {count:?}"
        );
        Ok(())
    }

    async fn check_all_acknowledged(&self, system: System, wanted: u64) -> Result<()> {
        let count = Counter::connect(system, &self.redis).await?.read().await?;
        ensure!(
            count == Count { waiting: 0, acknowledged: wanted },
            "{wanted} should be acknowledged, not {count:?}"
        );
        Ok(())
    }
}

/// Looks until at least `goal` are acknowledged; what was seen then, and when.
async fn progress(counter: &mut Counter, mut known: u64, goal: u64) -> Result<(Count, Instant)> {
    let mut look = tokio::time::interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut moved = Instant::now();
    loop {
        look.tick().await;
        let count = counter.read().await?;
        let now = Instant::now();
        if count.acknowledged >= goal {
            return Ok((count, now));
        }
        if count.acknowledged > known {
            (known, moved) = (count.acknowledged, now);
        }
        if now - moved > STALLED {
            let seconds = STALLED.as_secs();
            let stood =
                format!("nothing was acknowledged for {seconds} s; at last {count:?} of {goal}");
            return Err(GaveUp(stood).into());
        }
    }
}
