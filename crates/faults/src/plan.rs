//! What is done to whom and when: pure data that follows from a seed, so that a seed replays it.

use std::time::Duration;

use clap::ValueEnum;
use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};
use serde::Serialize;

/// A kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// SIGKILL of a worker
    KillWorker,
    /// SIGTERM of a worker
    TermWorker,
    /// SIGSTOP of a worker, and SIGCONT later
    StopWorker,
    /// SIGKILL of Redis
    KillRedis,
    /// SIGTERM of Redis
    TermRedis,
    /// SIGSTOP of Redis, and SIGCONT later
    StopRedis,
    /// SIGKILL of the sweeper
    KillSweeper,
    /// SIGTERM of the sweeper
    TermSweeper,
    /// SIGSTOP of the sweeper, and SIGCONT later
    StopSweeper,
    /// SCRIPT FLUSH
    FlushScripts,
    /// Redis has no memory left and refuses to write
    FullRedis,
    /// Redis is a replica and refuses to write, as after a failover
    ReadOnlyRedis,
    /// Redis answers nobody, and then everybody
    PauseRedis,
    /// Redis closes all connections
    DropClients,
    /// Redis runs a long script of somebody else's
    BusyRedis,
    /// Redis closes all connections and takes no new ones: it has too many
    CrowdedRedis,
    /// Redis forbids what we call, as after a mistake in its rights
    LockedRedis,
    /// Redis refuses to write, for want of replicas
    NoReplicas,
    /// Everything on a connection comes later
    Delay,
    /// Connections are reset, and new ones too
    Cut,
    /// Connections stay open, but nothing passes in either direction
    HalfOpen,
    /// Requests pass, replies do not
    LostReplies,
    /// Replies are read drop by drop
    SlowReader,
    /// The Booking Service answers nobody
    ShopOutage,
    /// The Booking Service fails most calls, or does them and says nothing
    ShopErrors,
    /// The Booking Service takes about as long as a caller waits
    ShopSlow,
    /// The Booking Service refuses most reservations and confirmations
    ShopRefusals,
    /// A worker's clock jumps (needs libfaketime)
    Clock,
}

/// How long a fault lasts that lasts: some outlive a lease of 2 s, so that a worker comes back to
/// tasks that others have.
const LASTS_MS: std::ops::Range<u64> = 100..4000;

/// How often each kind comes, in parts of their sum.
const WEIGHTS: [(Kind, u32); 28] = [
    (Kind::KillWorker, 16),
    (Kind::TermWorker, 6),
    (Kind::StopWorker, 8),
    (Kind::KillRedis, 5),
    (Kind::TermRedis, 2),
    (Kind::StopRedis, 4),
    (Kind::KillSweeper, 4),
    (Kind::TermSweeper, 2),
    (Kind::StopSweeper, 4),
    (Kind::FlushScripts, 5),
    (Kind::FullRedis, 3),
    (Kind::ReadOnlyRedis, 3),
    (Kind::PauseRedis, 3),
    (Kind::DropClients, 4),
    (Kind::BusyRedis, 3),
    (Kind::CrowdedRedis, 3),
    (Kind::LockedRedis, 3),
    (Kind::NoReplicas, 3),
    (Kind::Delay, 10),
    (Kind::Cut, 10),
    (Kind::HalfOpen, 8),
    (Kind::LostReplies, 12),
    (Kind::SlowReader, 6),
    (Kind::ShopOutage, 3),
    (Kind::ShopErrors, 5),
    (Kind::ShopSlow, 5),
    (Kind::ShopRefusals, 3),
    (Kind::Clock, 4),
];

/// A process that faults are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Who {
    /// One of the workers.
    Worker(usize),
    /// The Redis server.
    Redis,
    /// The sweeper.
    Sweeper,
}

/// A connection that faults are for; each goes through a proxy of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Link {
    /// From the clients to a worker.
    Clients(usize),
    /// From a worker to Redis.
    WorkerRedis(usize),
    /// From a worker to the Booking Service.
    WorkerShop(usize),
    /// From the sweeper to Redis.
    SweeperRedis,
    /// From the sweeper to the Booking Service.
    SweeperShop,
}

/// What is wrong with a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trouble {
    /// Each piece comes later by so many milliseconds.
    Delay(u64),
    /// See [`Kind::Cut`].
    Cut,
    /// See [`Kind::HalfOpen`].
    HalfOpen,
    /// See [`Kind::LostReplies`].
    LostReplies,
    /// See [`Kind::SlowReader`].
    SlowReader,
}

/// What is done to a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Blow {
    /// SIGKILL.
    Kill,
    /// SIGTERM.
    Term,
    /// SIGSTOP, and SIGCONT after the fault's time.
    Stop,
}

/// What is done to a Redis that goes on running.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Upset {
    /// See [`Kind::FlushScripts`].
    ForgetScripts,
    /// See [`Kind::FullRedis`].
    Full,
    /// See [`Kind::ReadOnlyRedis`].
    ReadOnly,
    /// See [`Kind::PauseRedis`].
    Pause,
    /// See [`Kind::DropClients`].
    DropClients,
    /// See [`Kind::BusyRedis`].
    Busy,
    /// See [`Kind::CrowdedRedis`].
    Crowded,
    /// See [`Kind::LockedRedis`].
    Locked,
    /// See [`Kind::NoReplicas`].
    NoReplicas,
}

/// How the Booking Service behaves for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mood {
    /// Answers nobody.
    Out,
    /// Fails so many percent of the calls, and does as many without a reply.
    Failing(u32),
    /// Takes so many milliseconds.
    Slow(u64),
    /// Refuses so many percent of the reservations and of the confirmations.
    Refusing(u32),
}

/// One fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// To a process.
    Process(Who, Blow),
    /// To the connections of one kind.
    Network(Link, Trouble),
    /// To Redis, by its own commands.
    Redis(Upset),
    /// To the Booking Service.
    Shop(Mood),
    /// A worker's clock is this many seconds off from now on.
    Clock(usize, i64),
}

/// A fault, when it comes and how long it lasts, if it lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Step {
    /// Milliseconds after the start.
    pub at_ms: u64,
    /// How long, in milliseconds.
    pub lasts_ms: u64,
    /// Its kind.
    pub kind: Kind,
    /// What.
    pub fault: Fault,
}

/// What a plan is made for.
#[derive(Debug, Clone)]
pub struct Wish {
    /// Where all chance comes from.
    pub seed: u64,
    /// How long faults come.
    pub time: Duration,
    /// How many workers there are.
    pub workers: usize,
    /// Mean time between two faults.
    pub every: Duration,
    /// Only these kinds; all when empty.
    pub only: Vec<Kind>,
}

/// The plan of a wish, in order of time.
pub fn plan(wish: &Wish) -> Vec<Step> {
    let mut chance = SmallRng::seed_from_u64(wish.seed);
    let kinds: Vec<_> = WEIGHTS
        .into_iter()
        .filter(|(kind, _)| wish.only.is_empty() || wish.only.contains(kind))
        .collect();
    let mut steps = Vec::new();
    let mut at = Duration::ZERO;
    loop {
        // Exponential gaps, cut where they would leave a run without faults.
        let gap = -(1.0 - chance.random::<f64>()).ln();
        at += wish.every.mul_f64(gap.clamp(0.01, 4.0));
        if at >= wish.time {
            return steps;
        }
        let kind = draw_kind(&kinds, &mut chance);
        steps.push(Step {
            at_ms: at.as_millis() as u64,
            lasts_ms: chance.random_range(LASTS_MS),
            kind,
            fault: draw_fault(kind, wish.workers, &mut chance),
        });
    }
}

fn draw_kind(kinds: &[(Kind, u32)], chance: &mut SmallRng) -> Kind {
    let mut left =
        chance.random_range(0..kinds.iter().map(|(_, weight)| weight).sum::<u32>().max(1));
    for (kind, weight) in kinds {
        if left < *weight {
            return *kind;
        }
        left -= weight;
    }
    Kind::KillWorker
}

fn draw_fault(kind: Kind, workers: usize, chance: &mut SmallRng) -> Fault {
    let worker = chance.random_range(0..workers);
    let percent = chance.random_range(30..90);
    let trouble =
        |trouble, chance: &mut SmallRng| Fault::Network(draw_link(workers, chance), trouble);
    match kind {
        Kind::KillWorker => Fault::Process(Who::Worker(worker), Blow::Kill),
        Kind::TermWorker => Fault::Process(Who::Worker(worker), Blow::Term),
        Kind::StopWorker => Fault::Process(Who::Worker(worker), Blow::Stop),
        Kind::KillRedis => Fault::Process(Who::Redis, Blow::Kill),
        Kind::TermRedis => Fault::Process(Who::Redis, Blow::Term),
        Kind::StopRedis => Fault::Process(Who::Redis, Blow::Stop),
        Kind::KillSweeper => Fault::Process(Who::Sweeper, Blow::Kill),
        Kind::TermSweeper => Fault::Process(Who::Sweeper, Blow::Term),
        Kind::StopSweeper => Fault::Process(Who::Sweeper, Blow::Stop),
        Kind::FlushScripts => Fault::Redis(Upset::ForgetScripts),
        Kind::FullRedis => Fault::Redis(Upset::Full),
        Kind::ReadOnlyRedis => Fault::Redis(Upset::ReadOnly),
        Kind::PauseRedis => Fault::Redis(Upset::Pause),
        Kind::DropClients => Fault::Redis(Upset::DropClients),
        Kind::BusyRedis => Fault::Redis(Upset::Busy),
        Kind::CrowdedRedis => Fault::Redis(Upset::Crowded),
        Kind::LockedRedis => Fault::Redis(Upset::Locked),
        Kind::NoReplicas => Fault::Redis(Upset::NoReplicas),
        Kind::Delay => trouble(Trouble::Delay(chance.random_range(5..400)), chance),
        Kind::Cut => trouble(Trouble::Cut, chance),
        Kind::HalfOpen => trouble(Trouble::HalfOpen, chance),
        Kind::LostReplies => trouble(Trouble::LostReplies, chance),
        Kind::SlowReader => trouble(Trouble::SlowReader, chance),
        Kind::ShopOutage => Fault::Shop(Mood::Out),
        Kind::ShopErrors => Fault::Shop(Mood::Failing(percent / 2)),
        Kind::ShopSlow => Fault::Shop(Mood::Slow(chance.random_range(300..1200))),
        Kind::ShopRefusals => Fault::Shop(Mood::Refusing(percent)),
        Kind::Clock => Fault::Clock(worker, chance.random_range(-7200..7200)),
    }
}

fn draw_link(workers: usize, chance: &mut SmallRng) -> Link {
    let worker = chance.random_range(0..workers);
    match chance.random_range(0..10) {
        0..3 => Link::Clients(worker),
        3..6 => Link::WorkerRedis(worker),
        6..8 => Link::WorkerShop(worker),
        8 => Link::SweeperRedis,
        _ => Link::SweeperShop,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn wish(seed: u64, only: Vec<Kind>) -> Wish {
        let (time, every) = (Duration::from_secs(600), Duration::from_millis(250));
        Wish { seed, time, workers: 4, every, only }
    }

    #[test]
    fn a_seed_replays_its_plan_and_another_one_does_not() {
        assert_eq!(plan(&wish(7, vec![])), plan(&wish(7, vec![])));
        assert_ne!(plan(&wish(7, vec![])), plan(&wish(8, vec![])));
    }

    #[test]
    fn a_long_plan_has_every_kind_and_every_link_in_order_of_time() {
        let steps = plan(&wish(1, vec![]));
        let kinds: BTreeSet<_> = steps.iter().map(|step| step.kind).collect();
        assert_eq!(kinds.len(), WEIGHTS.len());
        let links: BTreeSet<_> = steps
            .iter()
            .filter_map(|step| match step.fault {
                Fault::Network(link, _) => Some(link),
                _ => None,
            })
            .collect();
        assert_eq!(links.len(), 3 * 4 + 2);
        assert!(steps.is_sorted_by_key(|step| step.at_ms));
    }

    #[test]
    fn only_the_kinds_that_are_wished_for_come() {
        let steps = plan(&wish(1, vec![Kind::Cut]));
        assert!(!steps.is_empty() && steps.iter().all(|step| step.kind == Kind::Cut));
    }
}
