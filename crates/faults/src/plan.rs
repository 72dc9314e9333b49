//! The plan of a run: its faults with their targets and times. It depends on the seed only, so that
//! a seed replays its run.

use std::time::Duration;

use clap::ValueEnum;
use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};
use serde::Serialize;

use crate::kinds::{FaultKind, FaultSignal, FaultTarget, NodeFault};
use crate::layout::{StoreLayout, weights};

/// Duration of a fault. Some outlive the lease of 2 s, so that a worker returns to tasks that other
/// workers have claimed.
const LASTS_MS: std::ops::Range<u64> = 100..4000;

/// Duration of a fault of one of several servers: some outlive every limit for a failover.
const NODE_LASTS_MS: std::ops::Range<u64> = 500..8000;

/// Between two jumps of the clocks of Redis.
const REDIS_CLOCK_EVERY_MS: std::ops::Range<u64> = 2000..8000;

/// The farthest that the clock of a Redis server is from the right time.
pub const REDIS_CLOCK_JUMP: Duration = Duration::from_secs(30);

/// A connection under faults, through its own proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultyLink {
    /// From the clients to a worker.
    Clients(usize),
    /// From a worker to Redis.
    WorkerRedis(usize),
    /// From a worker to the Booking Service.
    WorkerService(usize),
    /// From the sweeper to Redis.
    SweeperRedis,
    /// From the sweeper to the Booking Service.
    SweeperService,
    /// From the clients to the public port of a gateway.
    GatewayClients(usize),
    /// From the seller to the backend port of a gateway.
    GatewayBackend(usize),
    /// From a gateway to the workers: a connection leads to any of them, as behind a Service.
    GatewayWorkers(usize),
}

impl FaultyLink {
    fn is_of_redis(self) -> bool {
        matches!(self, Self::WorkerRedis(_) | Self::SweeperRedis)
    }
}

/// A fault of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum NetworkFault {
    /// Each chunk arrives this many milliseconds later.
    Delay(u64),
    /// See [`FaultKind::Cut`].
    Cut,
    /// See [`FaultKind::HalfOpen`].
    HalfOpen,
    /// See [`FaultKind::LostReplies`].
    LostReplies,
    /// See [`FaultKind::SlowReader`].
    SlowReader,
    /// See [`FaultKind::OtherWords`].
    OtherWords,
}

/// A fault of a running Redis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum RedisFault {
    /// See [`FaultKind::FlushScripts`].
    ForgetScripts,
    /// See [`FaultKind::FullRedis`].
    Full,
    /// See [`FaultKind::ReadOnlyRedis`].
    ReadOnly,
    /// See [`FaultKind::PauseRedis`].
    Pause,
    /// See [`FaultKind::DropClients`].
    DropClients,
    /// See [`FaultKind::BusyRedis`].
    Busy,
    /// See [`FaultKind::CrowdedRedis`].
    Crowded,
    /// See [`FaultKind::LockedRedis`].
    Locked,
    /// See [`FaultKind::NoReplicas`].
    NoReplicas,
}

/// A fault of the Booking Service, or of the Ticket Service beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ServiceFault {
    /// Does not answer.
    Out,
    /// Fails this percentage of the calls, and carries out as many without a reply.
    Failing(u32),
    /// Takes this many milliseconds.
    Slow(u64),
    /// Refuses this percentage of the reservations and of the confirmations.
    Refusing(u32),
    /// Says "sold out" to this percentage of the reservations for which it has stock.
    Lying(u32),
    /// The Ticket Service does not answer.
    TicketsOut,
    /// The Ticket Service lies in this percentage of its answers.
    TicketsLying(u32),
}

/// One fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// A signal to a process.
    Process(FaultTarget, FaultSignal),
    /// A fault of the connections of one link.
    Network(FaultyLink, NetworkFault),
    /// A fault of Redis, by its own commands.
    Redis(RedisFault),
    /// A fault of one of several servers; the number chooses among alike ones.
    Nodes(NodeFault, u8),
    /// A fault of the brokers, or of what is in their log; the number chooses among alike ones.
    Brokers(FaultKind, u8),
    /// A fault of the Booking Service.
    Service(ServiceFault),
    /// The offset of a worker's clock from now on, in seconds.
    Clock(usize, i64),
    /// The offset of the clock of Redis servers from now on, in seconds; the number chooses one of
    /// them, or all.
    RedisClock(u8, i64),
}

/// A fault with its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct FaultStep {
    /// Milliseconds after the start.
    pub at_ms: u64,
    /// Its duration in milliseconds; ignored for a signal that ends a process.
    pub lasts_ms: u64,
    /// Its kind.
    pub kind: FaultKind,
    /// The fault itself.
    pub fault: Fault,
}

/// The options of a plan.
#[derive(Debug, Clone)]
pub struct PlanOptions {
    /// The seed of all random choices.
    pub seed: u64,
    /// Duration of the injection.
    pub time: Duration,
    /// Number of workers.
    pub workers: usize,
    /// Number of gateways.
    pub gateways: usize,
    /// Mean time between two faults.
    pub every: Duration,
    /// What keeps the queue.
    pub layout: StoreLayout,
    /// Only these kinds; all of them if empty.
    pub only: Vec<FaultKind>,
    /// Whether the clocks of Redis servers jump, besides.
    pub redis_clocks: bool,
}

impl PlanOptions {
    /// Whether a kind of fault may be drawn with the others.
    fn draws(&self, kind: FaultKind) -> bool {
        kind != FaultKind::RedisClock && (self.only.is_empty() || self.only.contains(&kind))
    }
}

/// Draws the plan, ordered by time.
pub fn plan(options: &PlanOptions) -> Vec<FaultStep> {
    let mut steps = without_redis_clocks(options);
    if options.redis_clocks {
        // A pause and a long script end by the clock of Redis: they would last as long as it jumps.
        let by_its_clock = [FaultKind::PauseRedis, FaultKind::BusyRedis];
        steps.retain(|step| !by_its_clock.contains(&step.kind));
        steps.extend(redis_clocks(options));
        steps.sort_by_key(|step| step.at_ms);
    }
    steps
}

/// The jumps of the clocks of Redis, drawn apart, so that a seed's schedule stays the same.
fn redis_clocks(options: &PlanOptions) -> Vec<FaultStep> {
    let mut rng = SmallRng::seed_from_u64(options.seed.rotate_left(32));
    let (mut steps, mut at_ms) = (Vec::new(), 0);
    let largest = REDIS_CLOCK_JUMP.as_secs().cast_signed();
    loop {
        at_ms += rng.random_range(REDIS_CLOCK_EVERY_MS);
        if u128::from(at_ms) >= options.time.as_millis() {
            return steps;
        }
        let (pick, seconds) = (rng.random_range(0..u8::MAX), rng.random_range(-largest..=largest));
        let fault = Fault::RedisClock(pick, seconds);
        steps.push(FaultStep { at_ms, lasts_ms: 0, kind: FaultKind::RedisClock, fault });
    }
}

fn without_redis_clocks(options: &PlanOptions) -> Vec<FaultStep> {
    let mut rng = SmallRng::seed_from_u64(options.seed);
    let kinds: Vec<_> = weights(options.layout)
        .into_iter()
        .filter(|(kind, _)| options.draws(*kind))
        .filter(|(kind, _)| options.gateways > 0 || !kind.is_of_gateways())
        .collect();
    let mut steps = Vec::new();
    if kinds.is_empty() {
        return steps;
    }
    let mut at = Duration::ZERO;
    loop {
        // Exponential gaps, limited so that no long part of a run is without faults.
        let gap = -(1.0 - rng.random::<f64>()).ln();
        at += options.every.mul_f64(gap.clamp(0.01, 4.0));
        if at >= options.time {
            return steps;
        }
        let kind = draw_kind(&kinds, &mut rng);
        let of_servers = kind.of_nodes().is_some() || kind.is_of_brokers();
        let lasts = if of_servers { NODE_LASTS_MS } else { LASTS_MS };
        steps.push(FaultStep {
            at_ms: at.as_millis() as u64,
            lasts_ms: rng.random_range(lasts),
            kind,
            fault: draw_fault(kind, options, &mut rng),
        });
    }
}

fn draw_kind(kinds: &[(FaultKind, u32)], rng: &mut SmallRng) -> FaultKind {
    let mut left = rng.random_range(0..kinds.iter().map(|(_, weight)| weight).sum::<u32>().max(1));
    for (kind, weight) in kinds {
        if left < *weight {
            return *kind;
        }
        left -= weight;
    }
    FaultKind::KillWorker
}

fn draw_fault(kind: FaultKind, options: &PlanOptions, rng: &mut SmallRng) -> Fault {
    let (workers, gateways) = (options.workers, options.gateways);
    let worker = rng.random_range(0..workers);
    let percent = rng.random_range(30..90);
    // Without gateways nothing more is drawn, so that a seed's schedule stays the same.
    let gateway = if gateways == 0 { 0 } else { rng.random_range(0..gateways) };
    if let Some((target, signal)) = kind.signal(worker, gateway) {
        return Fault::Process(target, signal);
    }
    if let Some(fault) = kind.of_nodes() {
        return Fault::Nodes(fault, rng.random_range(0..u8::MAX));
    }
    if kind.is_of_brokers() {
        return Fault::Brokers(kind, rng.random_range(0..u8::MAX));
    }
    let network = |fault, rng: &mut SmallRng| {
        let mut link = draw_link((workers, gateways), rng);
        // Several servers name each other, so a process has no proxy of its own to them.
        while options.layout != StoreLayout::ONE_REDIS && link.is_of_redis() {
            link = draw_link((workers, gateways), rng);
        }
        Fault::Network(link, fault)
    };
    match kind {
        FaultKind::FlushScripts => Fault::Redis(RedisFault::ForgetScripts),
        FaultKind::FullRedis => Fault::Redis(RedisFault::Full),
        FaultKind::ReadOnlyRedis => Fault::Redis(RedisFault::ReadOnly),
        FaultKind::PauseRedis => Fault::Redis(RedisFault::Pause),
        FaultKind::DropClients => Fault::Redis(RedisFault::DropClients),
        FaultKind::BusyRedis => Fault::Redis(RedisFault::Busy),
        FaultKind::CrowdedRedis => Fault::Redis(RedisFault::Crowded),
        FaultKind::LockedRedis => Fault::Redis(RedisFault::Locked),
        FaultKind::NoReplicas => Fault::Redis(RedisFault::NoReplicas),
        FaultKind::Delay => network(NetworkFault::Delay(rng.random_range(5..400)), rng),
        FaultKind::Cut => network(NetworkFault::Cut, rng),
        FaultKind::HalfOpen => network(NetworkFault::HalfOpen, rng),
        FaultKind::LostReplies => network(NetworkFault::LostReplies, rng),
        FaultKind::SlowReader => network(NetworkFault::SlowReader, rng),
        FaultKind::ServiceOutage => Fault::Service(ServiceFault::Out),
        FaultKind::ServiceErrors => Fault::Service(ServiceFault::Failing(percent / 2)),
        FaultKind::ServiceSlow => Fault::Service(ServiceFault::Slow(rng.random_range(300..1200))),
        FaultKind::ServiceRefusals => Fault::Service(ServiceFault::Refusing(percent)),
        FaultKind::ServiceLies => Fault::Service(ServiceFault::Lying(percent)),
        FaultKind::TicketOutage => Fault::Service(ServiceFault::TicketsOut),
        FaultKind::TicketLies => Fault::Service(ServiceFault::TicketsLying(percent)),
        // What is left: every kind of a signal is drawn above.
        _ => Fault::Clock(worker, rng.random_range(-7200..7200)),
    }
}

fn draw_link((workers, gateways): (usize, usize), rng: &mut SmallRng) -> FaultyLink {
    let worker = rng.random_range(0..workers);
    match rng.random_range(0..if gateways == 0 { 10 } else { 16 }) {
        10..13 => FaultyLink::GatewayClients(rng.random_range(0..gateways)),
        13..15 => FaultyLink::GatewayWorkers(rng.random_range(0..gateways)),
        15 => FaultyLink::GatewayBackend(rng.random_range(0..gateways)),
        0..3 => FaultyLink::Clients(worker),
        3..6 => FaultyLink::WorkerRedis(worker),
        6..8 => FaultyLink::WorkerService(worker),
        8 => FaultyLink::SweeperRedis,
        _ => FaultyLink::SweeperService,
    }
}
