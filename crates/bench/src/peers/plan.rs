//! What is measured of whom, with which settings.

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;

use super::system::System;

/// A kind of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Work {
    /// Enqueue, one call at a time
    AddOne,
    /// Enqueue, 64 calls under way
    Add64,
    /// Enqueue with the system's own bulk call
    AddBulk,
    /// Drain what is there; a job does nothing
    Drain,
    /// Drain what is there; a job waits 5 ms
    Drain5ms,
    /// Enqueue and drain with a long backlog
    Backlog,
    /// Enqueue and drain at once, as fast as it goes
    Through,
    /// Enqueue and drain at once, at a share of what `through` reached: who waits how long
    Open,
}

impl Work {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::AddOne,
        Self::Add64,
        Self::AddBulk,
        Self::Drain,
        Self::Drain5ms,
        Self::Backlog,
        Self::Through,
        Self::Open,
    ];

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

/// The section of [`Work::Open`].
pub const OPEN: &str = "Open loop";

/// One system with one set of settings, doing one work.
#[derive(Debug, Clone, Copy)]
pub struct Cell {
    /// Whose.
    pub system: System,
    /// Which.
    pub work: Work,
    /// What tells it from other cells of the system; may be empty.
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

/// A label and flags.
type Settings = (&'static str, &'static [&'static str]);

const ONE: &[&str] = &["--in-flight", "1"];
const MANY: &[&str] = &["--in-flight", "64"];
const SINGLE_MANY: &[&str] = &["--in-flight", "64", "--batching", "single"];

/// Settings of a system for a work; none where it can't do it.
fn settings(system: System, work: Work) -> Vec<Settings> {
    match work {
        Work::AddOne => vec![("", ONE)],
        Work::Add64 if system == System::Ours => {
            vec![("group commit", MANY), ("no batches", SINGLE_MANY)]
        }
        Work::Add64 => vec![("", MANY)],
        Work::AddBulk => bulk(system).into_iter().collect(),
        // Its worker fails at about 8,000 waiting jobs (docs/benchmarks.md).
        Work::Drain | Work::Drain5ms | Work::Backlog if system == System::Apalis10 => vec![],
        Work::Drain | Work::Drain5ms => [usual(system), more(system)].concat(),
        Work::Backlog | Work::Through | Work::Open => usual(system),
    }
}

/// Its own call for many jobs, if it has one.
fn bulk(system: System) -> Option<Settings> {
    match system {
        System::Asynq | System::Apalis07 => None,
        System::BullMq | System::Apalis10 => {
            Some(("4 x 1000", &["--in-flight", "4", "--bulk", "1000"]))
        }
        System::Ours => Some(("4 x 256", &["--in-flight", "4", "--bulk", "256"])),
    }
}

/// Settings of a worker that takes part in every work.
fn usual(system: System) -> Vec<Settings> {
    match system {
        System::Asynq => vec![("64", &["--concurrency", "64"])],
        System::BullMq => vec![("1 x 64", &["--workers", "1", "--concurrency", "64"])],
        System::Apalis07 | System::Apalis10 => {
            vec![("buffer 1000, poll 5 ms", &["--concurrency", "1000", "--poll", "5ms"])]
        }
        System::Ours => vec![
            // As a job of the others is: taken, acknowledged once.
            ("claim + sold out, 64", &["--concurrency", "64"]),
            // From a place in line to a paid ticket.
            ("whole life, 64", &["--concurrency", "64", "--end", "confirmed"]),
        ],
    }
}

/// More settings, for the works that show what a worker can do.
fn more(system: System) -> Vec<Settings> {
    match system {
        System::Asynq => vec![("256", &["--concurrency", "256"])],
        System::BullMq => vec![("4 x 16", &["--workers", "4", "--concurrency", "16"])],
        System::Apalis07 | System::Apalis10 => {
            vec![("buffer 1000, poll 100 ms", &["--concurrency", "1000", "--poll", "100ms"])]
        }
        System::Ours => vec![
            ("claim + sold out, 256", &["--concurrency", "256"]),
            ("whole life, 256", &["--concurrency", "256", "--end", "confirmed"]),
            ("claim + sold out, 64, no batches", &["--concurrency", "64", "--batching", "single"]),
        ],
    }
}

/// Flags for the driver of a system that say which it is, if its driver drives several.
pub fn api(system: System) -> &'static [&'static str] {
    match system {
        System::Apalis07 => &["--api", "v07"],
        System::Apalis10 => &["--api", "v10"],
        _ => &[],
    }
}

/// The quickest way of a system to enqueue many.
pub fn fill(system: System) -> &'static [&'static str] {
    bulk(system).map_or(MANY, |(_, flags)| flags)
}

/// Every cell of these systems and works.
pub fn cells(systems: &[System], works: &[Work]) -> Vec<Cell> {
    let mut cells = Vec::new();
    for &work in works {
        for &system in systems {
            let each = settings(system, work).into_iter();
            cells.extend(each.map(|(label, flags)| Cell { system, work, label, flags }));
        }
    }
    cells
}

/// The same cells in an order of chance, another one in each run, the same for the same seed.
pub fn shuffled(cells: &[Cell], seed: u64, run: u32) -> Vec<Cell> {
    let mut order = cells.to_vec();
    order.shuffle(&mut StdRng::seed_from_u64(seed.wrapping_add(u64::from(run))));
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_work_is_done_by_us_and_by_a_peer() {
        for work in Work::ALL {
            let cells = cells(&System::ALL, &[work]);
            assert!(cells.iter().any(|cell| cell.system == System::Ours), "{work:?}");
            assert!(cells.iter().any(|cell| cell.system != System::Ours), "{work:?}");
        }
    }

    #[test]
    fn no_two_cells_share_a_row() {
        for work in Work::ALL {
            let mut rows: Vec<_> = cells(&System::ALL, &[work]).iter().map(Cell::row).collect();
            let all = rows.len();
            rows.sort();
            rows.dedup();
            assert_eq!(rows.len(), all, "{work:?}");
        }
    }

    #[test]
    fn each_run_has_its_order_and_a_seed_repeats_it() {
        let cells = cells(&System::ALL, &Work::ALL);
        let rows = |seed, run| -> Vec<_> {
            let order = shuffled(&cells, seed, run);
            order.iter().map(|cell| (cell.work.section(), cell.row())).collect()
        };
        assert_eq!(rows(7, 1), rows(7, 1));
        assert_ne!(rows(7, 1), rows(7, 2));
        let (mut one, mut other) = (rows(7, 1), rows(8, 1));
        one.sort();
        other.sort();
        assert_eq!(one, other);
    }
}
