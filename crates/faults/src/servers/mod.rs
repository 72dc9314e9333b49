//! Redis as it runs: one server, or several that fail over; and brokers of Kafka.

mod decider;
mod envelopes;
mod kafka;
mod nodes;
mod operator;
mod state;
mod store;

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use bookingq_core::QueueName;
use bookingq_harness::{Fsync, Process, RedisOptions, RedisServer, Restart};

use self::nodes::RedisNodes;
pub(crate) use self::store::StoreServers;
use crate::kinds::NodeFault;
use crate::layout::RedisTopology;
use crate::plan::RedisFault;
use crate::redis_fault;

/// Lets a server learn from its writes that its disk is full, instead of ending by the signal of a
/// limit.
const IGNORING_FULL_DISKS: [&str; 3] = ["sh", "-c", "trap '' XFSZ; exec \"$0\" \"$@\""];

/// The servers of a run.
#[derive(Debug)]
pub(crate) enum RedisSetup {
    One(Box<RedisServer>),
    Several(RedisNodes),
}

impl RedisSetup {
    /// Starts the servers that the options ask for, and waits until they serve.
    pub(crate) async fn start(
        topology: RedisTopology,
        folder: &Path,
        queue: &QueueName,
        restart: Restart,
    ) -> Result<Self> {
        let options = |name: String| -> std::io::Result<RedisOptions> {
            let data = folder.join(name);
            std::fs::create_dir_all(&data)?;
            let directory = Some(data);
            Ok(RedisOptions { restart, directory, ..RedisOptions::new(Fsync::Always) })
        };
        if topology != RedisTopology::Single {
            let options = |name| {
                let wrapper = IGNORING_FULL_DISKS.iter().map(Into::into).collect();
                Ok(RedisOptions { wrapper, ..options(name)? })
            };
            return Ok(Self::Several(RedisNodes::start(topology, queue, options).await?));
        }
        Ok(Self::One(Box::new(options("redis".to_owned())?.start(|_| ())?)))
    }

    /// How the store finds it.
    pub(crate) fn url(&self) -> String {
        match self {
            Self::One(server) => server.url(),
            Self::Several(nodes) => nodes.url(),
        }
    }

    /// The only server, which a proxy can stand in front of.
    pub(crate) fn only(&self) -> Option<SocketAddr> {
        match self {
            Self::One(server) => Some(server.address()),
            Self::Several(_) => None,
        }
    }

    /// The process of the only server.
    pub(crate) fn process(&self) -> Option<&Process> {
        match self {
            Self::One(server) => Some(server.process()),
            Self::Several(_) => None,
        }
    }

    /// All processes.
    pub(crate) fn processes(&self) -> Vec<&Process> {
        match self {
            Self::One(server) => vec![server.process()],
            Self::Several(nodes) => nodes.processes(),
        }
    }

    /// Injects a fault into the server that takes the writes.
    pub(crate) fn inject(&self, fault: RedisFault, time: Duration) {
        match self {
            Self::One(server) => redis_fault::inject(server.url(), fault, time),
            Self::Several(nodes) => nodes.inject_into_primary(fault, time),
        }
    }

    /// Injects a fault that needs several servers.
    pub(crate) fn inject_into_nodes(&self, fault: NodeFault, pick: u8, time: Duration) {
        if let Self::Several(nodes) = self {
            nodes.inject(fault, pick, time);
        }
    }

    /// The faults that need several servers and were left out: see `docs/reliability.md`.
    pub(crate) fn left_out(&self) -> u64 {
        match self {
            Self::One(_) => 0,
            Self::Several(nodes) => nodes.left_out(),
        }
    }

    /// Ends all faults, and waits until several servers agree.
    pub(crate) async fn clear(&self) {
        match self {
            Self::One(server) => redis_fault::clear(&server.url()).await,
            Self::Several(nodes) => nodes.clear().await,
        }
    }

    /// Stops it.
    pub(crate) async fn stop(self) {
        match self {
            Self::One(server) => server.stop().await,
            // Killed when dropped: a server that waits for its replicas ends late.
            Self::Several(nodes) => drop(nodes),
        }
    }
}
