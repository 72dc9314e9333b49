//! Redis as it runs: one server, or several that fail over; and brokers of Kafka.

mod decider;
mod envelopes;
mod kafka;
mod nodes;
mod operator;
mod state;
mod store;
mod trio;

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Result;
use bookingq_core::QueueName;
use bookingq_harness::{Fsync, Process, RedisOptions, RedisServer, Restart};
use tokio::time::{Instant, sleep};

use self::nodes::RedisNodes;
pub(crate) use self::operator::Elected;
use self::state::ask;
pub(crate) use self::store::StoreServers;
pub(crate) use self::trio::ManagedTrio;
use crate::clocks::RedisClocks;
use crate::kinds::NodeFault;
use crate::layout::RedisTopology;
use crate::plan::RedisFault;
use crate::redis_fault;

/// Lets a server learn from its writes that its disk is full, instead of ending by the signal of a
/// limit.
const IGNORING_FULL_DISKS: [&str; 3] = ["sh", "-c", "trap '' XFSZ; exec \"$0\" \"$@\""];

/// The name of the only server.
const ONLY: &str = "redis";
/// Between two looks at a clock.
const LOOK: Duration = Duration::from_millis(100);

/// The servers of a run.
#[derive(Debug)]
pub(crate) struct RedisSetup {
    servers: RedisServers,
    /// The clocks of the servers, if they jump.
    clocks: Option<RedisClocks>,
}

#[derive(Debug)]
enum RedisServers {
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
        clocks: Option<RedisClocks>,
    ) -> Result<Self> {
        let options = |name: String| -> std::io::Result<RedisOptions> {
            let data = folder.join(&name);
            std::fs::create_dir_all(&data)?;
            let directory = Some(data);
            let wrapper = clocks.as_ref().map(|clocks| clocks.wrapper(&name)).transpose()?;
            let wrapper = wrapper.unwrap_or_default();
            Ok(RedisOptions { restart, directory, wrapper, ..RedisOptions::new(Fsync::Always) })
        };
        let servers = if topology == RedisTopology::Single {
            RedisServers::One(Box::new(options(ONLY.to_owned())?.start(|_| ())?))
        } else {
            let options = |name| {
                let mut options = options(name)?;
                options.wrapper.extend(IGNORING_FULL_DISKS.iter().map(Into::into));
                Ok(options)
            };
            RedisServers::Several(RedisNodes::start(topology, queue, options).await?)
        };
        Ok(Self { servers, clocks })
    }

    /// The names of the servers, with their addresses.
    fn named(&self) -> Vec<(String, SocketAddr)> {
        match &self.servers {
            RedisServers::One(server) => vec![(ONLY.to_owned(), server.address())],
            RedisServers::Several(nodes) => nodes.named(),
        }
    }

    /// Sets the clock of one server, or of all as of those on one host, to this offset.
    pub(crate) fn jump(&self, pick: u8, seconds: i64) {
        let Some(clocks) = &self.clocks else { return };
        let (servers, pick) = (self.named(), usize::from(pick));
        let one = servers.get(pick / 2 % servers.len());
        for (name, _) in servers.iter().filter(|_| pick % 2 == 0).chain(one) {
            clocks.set(name, seconds);
        }
    }

    /// Sets the clocks right, and waits until the servers have noticed.
    async fn set_clocks_right(&self) {
        let Some(clocks) = &self.clocks else { return };
        for (name, _) in self.named() {
            clocks.set(&name, 0);
        }
        let noticed = Instant::now() + RedisClocks::LAG;
        for (name, address) in self.named() {
            // A server that does not answer is starting, and reads its clock then.
            let mut right = is_right(address).await;
            while Instant::now() < noticed && !right {
                sleep(LOOK).await;
                right = is_right(address).await;
            }
            let what = if right { "is right again" } else { "did not answer as right in time" };
            println!("the clock of {name} {what}");
        }
    }

    /// How the store finds it.
    pub(crate) fn url(&self) -> String {
        match &self.servers {
            RedisServers::One(server) => server.url(),
            RedisServers::Several(nodes) => nodes.url(),
        }
    }

    /// The only server, which a proxy can stand in front of.
    pub(crate) fn only(&self) -> Option<SocketAddr> {
        match &self.servers {
            RedisServers::One(server) => Some(server.address()),
            RedisServers::Several(_) => None,
        }
    }

    /// The process of the only server.
    pub(crate) fn process(&self) -> Option<&Process> {
        match &self.servers {
            RedisServers::One(server) => Some(server.process()),
            RedisServers::Several(_) => None,
        }
    }

    /// All processes.
    pub(crate) fn processes(&self) -> Vec<&Process> {
        match &self.servers {
            RedisServers::One(server) => vec![server.process()],
            RedisServers::Several(nodes) => nodes.processes(),
        }
    }

    /// Injects a fault into the server that takes the writes.
    pub(crate) fn inject(&self, fault: RedisFault, time: Duration) {
        match &self.servers {
            RedisServers::One(server) => redis_fault::inject(server.url(), fault, time),
            RedisServers::Several(nodes) => nodes.inject_into_primary(fault, time),
        }
    }

    /// Injects a fault that needs several servers.
    pub(crate) fn inject_into_nodes(&self, fault: NodeFault, pick: u8, time: Duration) {
        if let RedisServers::Several(nodes) = &self.servers {
            nodes.inject(fault, pick, time);
        }
    }

    /// The faults that need several servers and were left out: see `docs/reliability.md`.
    pub(crate) fn left_out(&self) -> u64 {
        match &self.servers {
            RedisServers::One(_) => 0,
            RedisServers::Several(nodes) => nodes.left_out(),
        }
    }

    /// Ends all faults, and waits until several servers agree.
    pub(crate) async fn clear(&self) {
        self.set_clocks_right().await;
        match &self.servers {
            RedisServers::One(server) => redis_fault::clear(&server.url()).await,
            RedisServers::Several(nodes) => nodes.clear().await,
        }
    }

    /// Stops it.
    pub(crate) async fn stop(self) {
        match self.servers {
            RedisServers::One(server) => server.stop().await,
            // Killed when dropped: a server that waits for its replicas ends late.
            RedisServers::Several(nodes) => drop(nodes),
        }
    }
}

/// Whether the server says the time of this computer, within a second.
async fn is_right(address: SocketAddr) -> bool {
    let said = ask(address, &["TIME"]).await.unwrap_or_default();
    let said = said.first().and_then(|seconds| seconds.parse::<u64>().ok());
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
    said.is_some_and(|said| said.abs_diff(now) <= 1)
}
