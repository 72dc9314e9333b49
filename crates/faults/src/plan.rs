//! The plan of a run: its faults with their targets and times. It depends on the seed only, so that
//! a seed replays its run.

use std::time::Duration;

use clap::ValueEnum;
use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};
use serde::Serialize;

/// A kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
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
    /// SIGKILL of a gateway
    KillGateway,
    /// SIGTERM of a gateway: it sends its clients away, spread over its drain
    TermGateway,
    /// SIGSTOP of a gateway, and SIGCONT later: its sockets stay open and are silent
    StopGateway,
    /// SCRIPT FLUSH
    FlushScripts,
    /// Redis has no memory left and refuses to write
    FullRedis,
    /// Redis is a replica and refuses to write, as after a failover
    ReadOnlyRedis,
    /// Redis answers no client, and later all of them
    PauseRedis,
    /// Redis closes all connections
    DropClients,
    /// Redis runs a long script of another client
    BusyRedis,
    /// Redis closes all connections and accepts no new ones: it has reached maxclients
    CrowdedRedis,
    /// Redis forbids our commands, as after a mistake in its ACL
    LockedRedis,
    /// Redis refuses to write, because replicas are missing
    NoReplicas,
    /// Everything on a connection arrives later
    Delay,
    /// Connections are reset, new ones too
    Cut,
    /// Connections stay open, but nothing passes in either direction
    HalfOpen,
    /// Requests pass, replies do not
    LostReplies,
    /// Replies are read a few bytes at a time
    SlowReader,
    /// The Booking Service does not answer
    ServiceOutage,
    /// The Booking Service fails many calls, or carries them out without a reply
    ServiceErrors,
    /// The Booking Service takes about as long as the deadline of a call
    ServiceSlow,
    /// The Booking Service refuses most reservations and confirmations
    ServiceRefusals,
    /// The Booking Service says "sold out" although it has stock, and later that it was wrong
    ServiceLies,
    /// The Ticket Service does not answer
    TicketOutage,
    /// The Ticket Service says the opposite of the truth, and later that it was wrong
    TicketLies,
    /// A worker's clock jumps (needs libfaketime)
    Clock,
}

/// Duration of a fault. Some outlive the lease of 2 s, so that a worker returns to tasks that other
/// workers have claimed.
const LASTS_MS: std::ops::Range<u64> = 100..4000;

/// The weight of each kind.
const WEIGHTS: [(FaultKind, u32); 34] = [
    (FaultKind::KillWorker, 16),
    (FaultKind::TermWorker, 6),
    (FaultKind::StopWorker, 8),
    (FaultKind::KillRedis, 5),
    (FaultKind::TermRedis, 2),
    (FaultKind::StopRedis, 4),
    (FaultKind::KillSweeper, 4),
    (FaultKind::TermSweeper, 2),
    (FaultKind::StopSweeper, 4),
    (FaultKind::KillGateway, 8),
    (FaultKind::TermGateway, 4),
    (FaultKind::StopGateway, 6),
    (FaultKind::FlushScripts, 5),
    (FaultKind::FullRedis, 3),
    (FaultKind::ReadOnlyRedis, 3),
    (FaultKind::PauseRedis, 3),
    (FaultKind::DropClients, 4),
    (FaultKind::BusyRedis, 3),
    (FaultKind::CrowdedRedis, 3),
    (FaultKind::LockedRedis, 3),
    (FaultKind::NoReplicas, 3),
    (FaultKind::Delay, 10),
    (FaultKind::Cut, 10),
    (FaultKind::HalfOpen, 8),
    (FaultKind::LostReplies, 12),
    (FaultKind::SlowReader, 6),
    (FaultKind::ServiceOutage, 3),
    (FaultKind::ServiceErrors, 5),
    (FaultKind::ServiceSlow, 5),
    (FaultKind::ServiceRefusals, 3),
    // Seldom: a lie ends an item that has no reservations, until the lie is taken back.
    (FaultKind::ServiceLies, 1),
    (FaultKind::TicketOutage, 3),
    (FaultKind::TicketLies, 1),
    (FaultKind::Clock, 4),
];

/// A process under faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultTarget {
    /// One of the workers.
    Worker(usize),
    /// The Redis server.
    Redis,
    /// The sweeper.
    Sweeper,
    /// One of the gateways.
    Gateway(usize),
}

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
}

/// A signal to a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultSignal {
    /// SIGKILL.
    Kill,
    /// SIGTERM.
    Term,
    /// SIGSTOP, and SIGCONT when the fault ends.
    Stop,
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
    /// A fault of the Booking Service.
    Service(ServiceFault),
    /// The offset of a worker's clock from now on, in seconds.
    Clock(usize, i64),
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
    /// Only these kinds; all of them if empty.
    pub only: Vec<FaultKind>,
}

/// Draws the plan, ordered by time.
pub fn plan(options: &PlanOptions) -> Vec<FaultStep> {
    let mut rng = SmallRng::seed_from_u64(options.seed);
    let kinds: Vec<_> = WEIGHTS
        .into_iter()
        .filter(|(kind, _)| options.only.is_empty() || options.only.contains(kind))
        .filter(|(kind, _)| options.gateways > 0 || !kind.is_of_gateways())
        .collect();
    let mut steps = Vec::new();
    let mut at = Duration::ZERO;
    loop {
        // Exponential gaps, limited so that no long part of a run is without faults.
        let gap = -(1.0 - rng.random::<f64>()).ln();
        at += options.every.mul_f64(gap.clamp(0.01, 4.0));
        if at >= options.time {
            return steps;
        }
        let kind = draw_kind(&kinds, &mut rng);
        steps.push(FaultStep {
            at_ms: at.as_millis() as u64,
            lasts_ms: rng.random_range(LASTS_MS),
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

impl FaultKind {
    /// Whether there is nothing to break without a gateway.
    pub fn is_of_gateways(self) -> bool {
        matches!(self, Self::KillGateway | Self::TermGateway | Self::StopGateway)
    }

    /// The signal of a kind that is one, with what it is sent to.
    fn signal(self, worker: usize, gateway: usize) -> Option<(FaultTarget, FaultSignal)> {
        use FaultSignal::{Kill, Stop, Term};
        Some(match self {
            Self::KillWorker => (FaultTarget::Worker(worker), Kill),
            Self::TermWorker => (FaultTarget::Worker(worker), Term),
            Self::StopWorker => (FaultTarget::Worker(worker), Stop),
            Self::KillRedis => (FaultTarget::Redis, Kill),
            Self::TermRedis => (FaultTarget::Redis, Term),
            Self::StopRedis => (FaultTarget::Redis, Stop),
            Self::KillSweeper => (FaultTarget::Sweeper, Kill),
            Self::TermSweeper => (FaultTarget::Sweeper, Term),
            Self::StopSweeper => (FaultTarget::Sweeper, Stop),
            Self::KillGateway => (FaultTarget::Gateway(gateway), Kill),
            Self::TermGateway => (FaultTarget::Gateway(gateway), Term),
            Self::StopGateway => (FaultTarget::Gateway(gateway), Stop),
            _ => return None,
        })
    }
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
    let network =
        |fault, rng: &mut SmallRng| Fault::Network(draw_link((workers, gateways), rng), fault);
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
