//! What keeps the queue, and which faults that has.

use clap::ValueEnum;
use serde::Serialize;

use crate::kinds::{FaultKind, OF_BROKERS, OF_SEVERAL, WEIGHTS};

/// How Redis is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum RedisTopology {
    /// One server
    Single,
    /// A primary with two replicas, and three sentinels
    Sentinel,
    /// A Redis Cluster of three primaries with a replica each
    Cluster,
    /// Three servers that the operator's failover looks after, as for `managed.replicas: 3`
    Managed,
}

/// What keeps the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum StoreLayout {
    /// Redis.
    Redis(RedisTopology),
    /// So many brokers of Kafka.
    Kafka(usize),
}

/// The kinds that are drawn, with their weights. Those of one server of Redis are always the same,
/// so that a seed's schedule stays the same.
pub(crate) fn weights(layout: StoreLayout) -> Vec<(FaultKind, u32)> {
    if layout == StoreLayout::ONE_REDIS {
        return WEIGHTS.to_vec();
    }
    let all = WEIGHTS.into_iter().chain(OF_SEVERAL).chain(OF_BROKERS);
    all.filter(|(kind, _)| layout.has(*kind)).collect()
}

impl RedisTopology {
    /// How many replicas must have a write before it is acknowledged, unless the command line says
    /// otherwise: so many that a failover loses nothing.
    pub fn replicas_to_acknowledge(self) -> u8 {
        match self {
            Self::Single => 0,
            Self::Cluster | Self::Managed => 1,
            Self::Sentinel => 2,
        }
    }
}

impl StoreLayout {
    /// One server of Redis, which a proxy can stand in front of.
    pub const ONE_REDIS: Self = Self::Redis(RedisTopology::Single);

    /// Whether what a read shows can be taken back by a failover: reads do not wait for replicas.
    pub fn takes_back(self) -> bool {
        matches!(self, Self::Redis(topology) if topology != RedisTopology::Single)
    }

    /// Whether there is something to break by a kind of fault.
    pub fn has(self, kind: FaultKind) -> bool {
        match self {
            Self::Redis(topology) => !kind.is_of_brokers() && topology.has(kind),
            Self::Kafka(brokers) => kind.is_known_to_brokers(brokers),
        }
    }
}

impl RedisTopology {
    fn has(self, kind: FaultKind) -> bool {
        use RedisTopology::{Cluster, Managed, Sentinel, Single};
        match kind {
            // The kinds of nodes kill, stop and cut off several servers. The sentinels, the Cluster
            // or the operator would undo ReadOnlyRedis and NoReplicas at any moment. What takes
            // back a lie is not replicated before it is acknowledged.
            FaultKind::KillRedis
            | FaultKind::TermRedis
            | FaultKind::StopRedis
            | FaultKind::ReadOnlyRedis
            | FaultKind::NoReplicas
            | FaultKind::ServiceLies
            | FaultKind::TicketLies => self == Single,
            FaultKind::KillPrimary
            | FaultKind::FreezePrimary
            | FaultKind::KillReplica
            | FaultKind::FreezeReplica
            | FaultKind::CutReplicas
            | FaultKind::FullDisk
            | FaultKind::SwitchOver => self != Single,
            FaultKind::CutNode | FaultKind::OtherWords => matches!(self, Sentinel | Managed),
            FaultKind::MoveSlot => self == Cluster,
            FaultKind::KillSentinel | FaultKind::FreezeSentinel => self == Sentinel,
            FaultKind::KillOperator | FaultKind::WipeNode => self == Managed,
            _ => true,
        }
    }
}

impl FaultKind {
    /// Whether it breaks brokers of Kafka, or what is in their log.
    pub fn is_of_brokers(self) -> bool {
        OF_BROKERS.iter().any(|(kind, _)| *kind == self)
    }

    /// Whether a queue on so many brokers has it: all faults but those of Redis. With one broker
    /// the leader is always the same, and nothing else is there while it restarts. The clock of a
    /// worker stays right: librdkafka waits until a time of day, and libfaketime shifts what it
    /// reads, but not when the wait ends.
    fn is_known_to_brokers(self, brokers: usize) -> bool {
        match self {
            Self::KillLeader | Self::FreezeLeader | Self::RollingRestart => brokers > 1,
            Self::KillRedis
            | Self::TermRedis
            | Self::StopRedis
            | Self::FlushScripts
            | Self::FullRedis
            | Self::ReadOnlyRedis
            | Self::PauseRedis
            | Self::DropClients
            | Self::BusyRedis
            | Self::CrowdedRedis
            | Self::LockedRedis
            | Self::NoReplicas
            | Self::RedisClock
            | Self::Clock => false,
            _ => self.of_nodes().is_none(),
        }
    }
}
