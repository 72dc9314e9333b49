//! The kinds of faults, and how often each is drawn.

use clap::ValueEnum;
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
    /// SIGKILL of the primary, which comes back later as what it was; only with several servers,
    /// like the kinds below
    KillPrimary,
    /// SIGSTOP of the primary, and SIGCONT later
    FreezePrimary,
    /// SIGKILL of a replica, which comes back later
    KillReplica,
    /// SIGSTOP of a replica, and SIGCONT later
    FreezeReplica,
    /// The primary loses its replicas: they can't copy for a while
    CutReplicas,
    /// The disk of the primary, or of a replica, is full: the server ends at its next write, and
    /// comes back when there is room
    FullDisk,
    /// The network in front of the primary, or of a replica, is cut, silent or slow: the other
    /// servers do not reach it, nor do those that decide about failovers (not Cluster)
    CutNode,
    /// A planned failover
    SwitchOver,
    /// A planned failover, while what is in front of the primary says in other words that it
    /// refuses, loads or has no replicas (not Cluster)
    OtherWords,
    /// The queue's slot moves to another primary (Cluster)
    MoveSlot,
    /// SIGKILL of a sentinel, which comes back later
    KillSentinel,
    /// SIGSTOP of a sentinel, and SIGCONT later
    FreezeSentinel,
    /// The operator ends after some step, and another one begins later (managed)
    KillOperator,
    /// SIGKILL of a server that has lost its data when it comes back (managed)
    WipeNode,
    /// SIGKILL of a broker, which comes back later; only with `--store kafka`, like the kinds below
    KillBroker,
    /// SIGTERM of a broker: it hands its partition over, ends, and starts again
    TermBroker,
    /// SIGSTOP of a broker, and SIGCONT later
    FreezeBroker,
    /// A broker stands still for up to 150 ms, again and again, as one whose disk is slow
    SlowBroker,
    /// The network in front of a broker is cut, silent or slow, for workers and for other brokers
    CutBroker,
    /// SIGKILL of the broker that leads the queue's partition (three brokers)
    KillLeader,
    /// SIGSTOP of the broker that leads the queue's partition, and SIGCONT later (three brokers)
    FreezeLeader,
    /// SIGTERM of one broker after the other, each when all are in sync (three brokers)
    RollingRestart,
    /// Every envelope comes into the log twice
    DoubleEnvelopes,
    /// Envelopes of the last 40 s come into the log once more
    ResendEnvelopes,
    /// A snapshot is taken and the log is trimmed, unless its process is killed before that is done
    Snapshot,
    /// The clock of one Redis server, or of all, jumps by up to 30 s (needs libfaketime); only if
    /// it is chosen, or with --redis-clocks
    RedisClock,
}

/// A fault of one of several servers, or of who decides about failovers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum NodeFault {
    /// See [`FaultKind::KillPrimary`].
    KillPrimary,
    /// See [`FaultKind::FreezePrimary`].
    FreezePrimary,
    /// See [`FaultKind::KillReplica`].
    KillReplica,
    /// See [`FaultKind::FreezeReplica`].
    FreezeReplica,
    /// See [`FaultKind::CutReplicas`].
    CutReplicas,
    /// See [`FaultKind::FullDisk`].
    FullDisk,
    /// See [`FaultKind::CutNode`].
    CutNode,
    /// See [`FaultKind::SwitchOver`].
    SwitchOver,
    /// See [`FaultKind::OtherWords`].
    OtherWords,
    /// See [`FaultKind::MoveSlot`].
    MoveSlot,
    /// See [`FaultKind::KillSentinel`].
    KillSentinel,
    /// See [`FaultKind::FreezeSentinel`].
    FreezeSentinel,
    /// See [`FaultKind::KillOperator`].
    KillOperator,
    /// See [`FaultKind::WipeNode`].
    WipeNode,
}

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

/// The weight of each kind.
pub(crate) const WEIGHTS: [(FaultKind, u32); 34] = [
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

/// The weights of the kinds that need several servers: about one in ten faults, because each costs
/// seconds without a primary.
pub(crate) const OF_SEVERAL: [(FaultKind, u32); 14] = [
    (FaultKind::KillPrimary, 5),
    (FaultKind::FreezePrimary, 4),
    (FaultKind::KillReplica, 1),
    (FaultKind::FreezeReplica, 1),
    (FaultKind::CutReplicas, 2),
    (FaultKind::FullDisk, 2),
    (FaultKind::CutNode, 4),
    (FaultKind::SwitchOver, 3),
    (FaultKind::OtherWords, 2),
    (FaultKind::MoveSlot, 4),
    (FaultKind::KillSentinel, 1),
    (FaultKind::FreezeSentinel, 1),
    (FaultKind::KillOperator, 3),
    (FaultKind::WipeNode, 2),
];

/// The weights of the kinds that need Kafka: about one in eight faults with one broker.
pub(crate) const OF_BROKERS: [(FaultKind, u32); 11] = [
    (FaultKind::KillBroker, 2),
    (FaultKind::TermBroker, 1),
    (FaultKind::FreezeBroker, 2),
    (FaultKind::SlowBroker, 2),
    (FaultKind::CutBroker, 3),
    (FaultKind::KillLeader, 2),
    (FaultKind::FreezeLeader, 2),
    (FaultKind::RollingRestart, 1),
    (FaultKind::DoubleEnvelopes, 6),
    (FaultKind::ResendEnvelopes, 6),
    (FaultKind::Snapshot, 4),
];

impl FaultKind {
    /// Whether there is nothing to break without a gateway.
    pub fn is_of_gateways(self) -> bool {
        matches!(self, Self::KillGateway | Self::TermGateway | Self::StopGateway)
    }

    /// The fault of a kind that needs several servers.
    pub(crate) fn of_nodes(self) -> Option<NodeFault> {
        Some(match self {
            Self::KillPrimary => NodeFault::KillPrimary,
            Self::FreezePrimary => NodeFault::FreezePrimary,
            Self::KillReplica => NodeFault::KillReplica,
            Self::FreezeReplica => NodeFault::FreezeReplica,
            Self::CutReplicas => NodeFault::CutReplicas,
            Self::FullDisk => NodeFault::FullDisk,
            Self::CutNode => NodeFault::CutNode,
            Self::SwitchOver => NodeFault::SwitchOver,
            Self::OtherWords => NodeFault::OtherWords,
            Self::MoveSlot => NodeFault::MoveSlot,
            Self::KillSentinel => NodeFault::KillSentinel,
            Self::FreezeSentinel => NodeFault::FreezeSentinel,
            Self::KillOperator => NodeFault::KillOperator,
            Self::WipeNode => NodeFault::WipeNode,
            _ => return None,
        })
    }

    /// The signal of a kind that is one, with what it is sent to.
    pub(crate) fn signal(
        self,
        worker: usize,
        gateway: usize,
    ) -> Option<(FaultTarget, FaultSignal)> {
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
