//! What is measured of which system, with which settings.

use clap::ValueEnum;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;

use super::system::System;
use crate::sections::OPEN;

/// A kind of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Work {
    /// Enqueue, one call at a time
    AddOne,
    /// Enqueue, 64 calls in flight
    Add64,
    /// Enqueue with the system's own bulk call
    AddBulk,
    /// Drain a full queue; a job does nothing
    Drain,
    /// Drain a full queue; a job waits 5 ms
    Drain5ms,
    /// Enqueue and drain with a long backlog
    Backlog,
    /// Enqueue and drain at once, as fast as possible
    Through,
    /// Enqueue and drain at once, at a share of the rate of `through`: how long jobs wait
    Open,
}

impl Work {
    /// The section of its figures.
    pub fn section(self) -> &'static str {
        match self {
            Self::AddOne => "Enqueue, one at a time",
            Self::Add64 => "Enqueue, 64 in flight",
            Self::AddBulk => "Enqueue, own bulk call",
            Self::Drain => "Drain, no-op jobs",
            Self::Drain5ms => "Drain, jobs of 5 ms",
            Self::Backlog => "With a backlog",
            Self::Through => "Enqueue and drain at once",
            Self::Open => OPEN,
        }
    }
}

/// The works that are asked for, in two parts: the second depends on rates of the first.
pub fn closed_and_open(asked: &[Work]) -> (Vec<Work>, Vec<Work>) {
    let wanted = |work| asked.is_empty() || asked.contains(&work);
    let open = wanted(Work::Open);
    let mut closed = Work::value_variants().to_vec();
    closed.retain(|work| match work {
        Work::Open => false,
        Work::Through => open || wanted(Work::Through),
        work => wanted(*work),
    });
    (closed, if open { vec![Work::Open] } else { vec![] })
}

/// One system with one set of settings, doing one work.
#[derive(Debug, Clone, Copy)]
pub struct Cell {
    /// The system.
    pub system: System,
    /// The work.
    pub work: Work,
    /// Distinguishes cells of one system; may be empty.
    label: &'static str,
    /// Flags for its driver.
    pub flags: &'static [&'static str],
}

impl Cell {
    /// The row of its figures.
    pub fn row(&self) -> String {
        let name = self.system.name();
        if self.label.is_empty() { name.to_owned() } else { format!("{name}, {}", self.label) }
    }
}

/// A label and flags of a driver.
type LabelledFlags = (&'static str, &'static [&'static str]);

const MANY: &[&str] = &["--in-flight", "64"];
const SINGLE_MANY: &[&str] = &["--in-flight", "64", "--batching", "single"];

/// Settings of a system for a work; empty if it lacks the feature.
fn settings(system: System, work: Work) -> Vec<LabelledFlags> {
    match work {
        Work::AddOne => vec![("", &["--in-flight", "1"])],
        Work::Add64 if system == System::Ours => {
            vec![("group commit", MANY), ("no batches", SINGLE_MANY)]
        }
        Work::Add64 => vec![("", MANY)],
        Work::AddBulk => bulk(system).into_iter().collect(),
        // Its worker fails at about 8,000 waiting jobs (docs/benchmarks.md).
        Work::Drain | Work::Drain5ms | Work::Backlog if system == System::Apalis10 => vec![],
        Work::Drain | Work::Drain5ms => [usual(system), more(system)].concat(),
        Work::Backlog | Work::Through | Work::Open => usual(system).to_vec(),
    }
}

/// Its own call for many jobs, if it has one.
fn bulk(system: System) -> Option<LabelledFlags> {
    match system {
        System::Asynq | System::Apalis07 => None,
        System::BullMq | System::Apalis10 => {
            Some(("4 x 1000", &["--in-flight", "4", "--bulk", "1000"]))
        }
        System::Ours => Some(("4 x 256", &["--in-flight", "4", "--bulk", "256"])),
    }
}

/// Settings of a worker that takes part in every work.
fn usual(system: System) -> &'static [LabelledFlags] {
    match system {
        System::Asynq => &[("64", &["--concurrency", "64"])],
        System::BullMq => &[("1 x 64", &["--workers", "1", "--concurrency", "64"])],
        System::Apalis07 | System::Apalis10 => {
            &[("buffer 1000, poll 5 ms", &["--concurrency", "1000", "--poll", "5ms"])]
        }
        System::Ours => &[
            // As a peer's job: taken, acknowledged once.
            ("claim + rejected, 64", &["--concurrency", "64"]),
            // From a place in line to a payment.
            ("whole life, 64", &["--concurrency", "64", "--end", "confirmed"]),
        ],
    }
}

/// More settings, for the works that compare workers.
fn more(system: System) -> &'static [LabelledFlags] {
    match system {
        System::Asynq => &[("256", &["--concurrency", "256"])],
        System::BullMq => &[("4 x 16", &["--workers", "4", "--concurrency", "16"])],
        System::Apalis07 | System::Apalis10 => {
            &[("buffer 1000, poll 100 ms", &["--concurrency", "1000", "--poll", "100ms"])]
        }
        System::Ours => &[
            ("claim + rejected, 256", &["--concurrency", "256"]),
            ("whole life, 256", &["--concurrency", "256", "--end", "confirmed"]),
            ("claim + rejected, 64, no batches", &["--concurrency", "64", "--batching", "single"]),
        ],
    }
}

/// Flags that choose a system where a driver has several.
pub fn api(system: System) -> &'static [&'static str] {
    match system {
        System::Apalis07 => &["--api", "v07"],
        System::Apalis10 => &["--api", "v10"],
        _ => &[],
    }
}

/// The quickest way of a system to enqueue many jobs.
pub fn fill(system: System) -> &'static [&'static str] {
    bulk(system).map_or(MANY, |(_, flags)| flags)
}

/// Every cell of these systems and works.
pub fn cells(systems: &[System], works: &[Work]) -> Vec<Cell> {
    let mut cells = Vec::new();
    for &work in works {
        for &system in systems {
            let cell = |(label, flags)| Cell { system, work, label, flags };
            cells.extend(settings(system, work).into_iter().map(cell));
        }
    }
    cells
}

/// The same cells in random order: different in each run, the same for the same seed.
pub fn shuffled(cells: &[Cell], seed: u64, run: u32) -> Vec<Cell> {
    let mut order = cells.to_vec();
    order.shuffle(&mut StdRng::seed_from_u64(seed.wrapping_add(u64::from(run))));
    order
}
