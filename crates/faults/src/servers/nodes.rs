//! Several servers, who decides which of them is the primary, and their faults.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result, bail};
use bookingq_core::QueueName;
use bookingq_harness::sentinels::hosts;
use bookingq_harness::{ClusterNodes, Process, RedisOptions, RedisServer, Signal};
use futures::future::join_all;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};

use super::decider::{FailoverDecider, NAME, StartedServers, managed, watched};
use super::operator::OperatorTask;
use super::state::{ServerState, ask, replicate, states};
use crate::kinds::NodeFault;
use crate::layout::RedisTopology;
use crate::plan::{NetworkFault, RedisFault};
use crate::proxy::Proxy;
use crate::redis_fault;

/// Longest wait until all servers agree.
const WHOLE: Duration = Duration::from_secs(60);
/// Between two looks at the servers.
const LOOK: Duration = Duration::from_millis(100);
/// Longest time of a planned change: another fault may stand in its way.
const CHANGE: Duration = Duration::from_secs(30);
/// How long a server is away whose data is removed.
const WIPED: Duration = Duration::from_millis(1500);
/// How a node is cut off.
const CUTS: [NetworkFault; 4] = [
    NetworkFault::Cut,
    NetworkFault::HalfOpen,
    NetworkFault::LostReplies,
    NetworkFault::Delay(300),
];

/// Several servers, and who decides about failovers.
#[derive(Debug)]
pub(crate) struct RedisNodes(Arc<NodeGroup>);

#[derive(Debug)]
struct NodeGroup {
    decider: FailoverDecider,
    /// See [`StartedServers`].
    proxies: Vec<Proxy>,
    fronts: Vec<Proxy>,
    /// Any key of the queue.
    key: String,
    barrier: String,
    /// Held by a planned change: nothing else is broken meanwhile.
    change: Mutex<()>,
    left_out: AtomicU64,
}

impl RedisNodes {
    /// Starts them with these options, by name, and waits until they agree.
    pub(crate) async fn start(
        topology: RedisTopology,
        queue: &QueueName,
        options: impl Fn(String) -> std::io::Result<RedisOptions>,
    ) -> Result<Self> {
        let options = |node: usize| options(name(node));
        let StartedServers { decider, proxies, fronts } = match topology {
            RedisTopology::Single => bail!("one server has no failovers"),
            RedisTopology::Sentinel => watched(options).await?,
            RedisTopology::Cluster => StartedServers {
                decider: FailoverDecider::Cluster(ClusterNodes::start_with(options)?),
                proxies: Vec::new(),
                fronts: Vec::new(),
            },
            RedisTopology::Managed => managed(queue, options).await?,
        };
        let group = NodeGroup {
            decider,
            proxies,
            fronts,
            key: format!("booking-meta:{{{queue}}}"),
            barrier: format!("booking-barrier:{{{queue}}}"),
            change: Mutex::default(),
            left_out: AtomicU64::default(),
        };
        group.wait_whole().await.context("the servers of Redis do not agree")?;
        Ok(Self(Arc::new(group)))
    }

    pub(crate) fn url(&self) -> String {
        match &self.0.decider {
            FailoverDecider::Sentinels(_, sentinels) => {
                format!("redis-sentinel://{}#{NAME}", sentinels.hosts())
            }
            FailoverDecider::Cluster(nodes) => {
                let nodes = hosts(nodes.nodes().iter().map(RedisServer::address));
                format!("redis-cluster://{nodes}")
            }
            FailoverDecider::Operator(..) => {
                format!("redis://{}", hosts(self.0.fronts.iter().map(Proxy::address)))
            }
        }
    }

    pub(crate) fn processes(&self) -> Vec<&Process> {
        let mut processes: Vec<_> = self.0.servers().iter().map(RedisServer::process).collect();
        if let FailoverDecider::Sentinels(_, sentinels) = &self.0.decider {
            processes.extend(sentinels.processes());
        }
        processes
    }

    /// The names of the servers, with their addresses.
    pub(crate) fn named(&self) -> Vec<(String, SocketAddr)> {
        let servers = self.0.servers().iter().enumerate();
        servers.map(|(node, server)| (name(node), server.address())).collect()
    }

    /// The faults that found servers in a state in which they are not injected.
    pub(crate) fn left_out(&self) -> u64 {
        self.0.left_out.load(Ordering::Relaxed)
    }

    pub(crate) fn inject_into_primary(&self, fault: RedisFault, time: Duration) {
        let group = Arc::clone(&self.0);
        tokio::spawn(async move {
            if let Some(primary) = primary_of(&group.states().await) {
                redis_fault::inject(format!("redis://{}", primary.address), fault, time);
            }
        });
    }

    /// Injects a fault, at once or never. It ends by itself.
    pub(crate) fn inject(&self, fault: NodeFault, pick: u8, time: Duration) {
        let group = Arc::clone(&self.0);
        tokio::spawn(async move {
            if group.inject(fault, usize::from(pick), time).await.is_none() {
                group.left_out.fetch_add(1, Ordering::Relaxed);
            }
        });
    }

    /// Ends all faults, and waits until the servers agree.
    pub(crate) async fn clear(&self) {
        if let FailoverDecider::Operator(_, operator) = &self.0.decider {
            operator.clear();
        }
        for process in self.processes() {
            process.signal(Signal::CONT);
        }
        for proxy in self.0.proxies.iter().chain(&self.0.fronts) {
            proxy.clear();
        }
        // No planned change is under way any more.
        drop(self.0.change.lock().await);
        let servers = self.0.servers().iter().map(|server| async {
            let redis = server.url();
            redis_fault::undo_now(&redis, RedisFault::Full).await;
            redis_fault::undo_now(&redis, RedisFault::Crowded).await;
            redis_fault::let_replicas_in(&redis).await;
        });
        join_all(servers).await;
        if let Err(error) = self.0.wait_whole().await {
            println!("{error}");
        }
    }
}

impl NodeGroup {
    fn servers(&self) -> &[RedisServer] {
        match &self.decider {
            FailoverDecider::Sentinels(servers, _) | FailoverDecider::Operator(servers, _) => {
                &servers[..]
            }
            FailoverDecider::Cluster(cluster) => cluster.nodes(),
        }
    }

    async fn states(&self) -> Vec<Option<ServerState>> {
        states(self.servers(), &self.key).await
    }

    /// Whether every server answers and every replica has what its primary has.
    fn is_whole(&self, states: &[Option<ServerState>]) -> bool {
        let (primaries, replicas) = match self.decider {
            FailoverDecider::Cluster(_) => (3, 1),
            FailoverDecider::Sentinels(..) | FailoverDecider::Operator(..) => (1, 2),
        };
        let settled = |state: &ServerState| {
            state.on_disk
                && if state.is_primary { state.replicas == replicas } else { state.is_linked }
        };
        states.iter().all(|state| state.as_ref().is_some_and(settled))
            && states.iter().flatten().filter(|state| state.is_primary).count() == primaries
    }

    async fn wait_whole(&self) -> Result<()> {
        let start = Instant::now();
        loop {
            let states = self.states().await;
            if self.is_whole(&states) && self.sentinels_know_all().await {
                return Ok(());
            }
            if start.elapsed() > WHOLE {
                bail!("after {WHOLE:?} not all servers of Redis agree: {states:?}");
            }
            sleep(LOOK).await;
        }
    }

    async fn sentinels_know_all(&self) -> bool {
        let FailoverDecider::Sentinels(_, sentinels) = &self.decider else { return true };
        for address in sentinels.addresses() {
            let said = ask(address, &["SENTINEL", "MASTER", NAME]).await.unwrap_or_default();
            let says = |name, value| said.windows(2).any(|pair| pair == [name, value]);
            if !(says("num-slaves", "2") && says("num-other-sentinels", "2")) {
                return false;
            }
        }
        true
    }

    /// `None` if the servers are in a state in which this fault is left out.
    async fn inject(&self, fault: NodeFault, pick: usize, time: Duration) -> Option<()> {
        let one = self.change.try_lock().ok()?;
        let states = self.states().await;
        let primary = primary_of(&states);
        let process = |state: ServerState| {
            self.servers().get(self.index(state.address)?).map(RedisServer::process)
        };
        let replica = || {
            let index = self.index(primary?.address)?;
            let source = self.proxies.get(index).map_or(primary?.address, Proxy::address).port();
            let states = states.iter().flatten();
            let replicas: Vec<_> = states.filter(|state| state.source == Some(source)).collect();
            replicas.get(pick % replicas.len().max(1)).map(|state| **state)
        };
        match fault {
            // While a server copies everything of another one, its disk has less than it says.
            NodeFault::KillPrimary => {
                process(primary.filter(|state| state.on_disk)?)?.kill_for(time);
            }
            NodeFault::KillReplica => {
                process(replica().filter(|state| state.on_disk)?)?.kill_for(time);
            }
            NodeFault::FreezePrimary => process(primary?)?.freeze(time),
            NodeFault::FreezeReplica => process(replica()?)?.freeze(time),
            NodeFault::CutReplicas => {
                redis_fault::cut_replicas(format!("redis://{}", primary?.address), time);
            }
            NodeFault::FullDisk => {
                let state = if pick.is_multiple_of(3) { replica() } else { primary };
                self.fill_disk(state.filter(|one| one.on_disk)?, (pick / 3) as u64, time)?;
            }
            NodeFault::CutNode => {
                let state = if pick.is_multiple_of(3) { replica() } else { primary };
                let proxy = self.proxies.get(self.index(state?.address)?)?;
                proxy.inject(CUTS[pick / 3 % CUTS.len()], time);
            }
            NodeFault::KillSentinel => self.sentinel(pick)?.kill_for(time),
            NodeFault::FreezeSentinel => self.sentinel(pick)?.freeze(time),
            NodeFault::KillOperator => self.operator()?.end_after(pick % 4),
            NodeFault::SwitchOver
            | NodeFault::OtherWords
            | NodeFault::MoveSlot
            | NodeFault::WipeNode => {
                if !self.is_whole(&states) {
                    return None;
                }
                if fault == NodeFault::OtherWords {
                    self.front(primary?)?.inject(NetworkFault::OtherWords, time);
                }
                self.change(fault, pick, primary?).await?;
            }
        }
        drop(one);
        Some(())
    }

    /// Leaves room for so many more bytes.
    fn fill_disk(&self, server: ServerState, room: u64, time: Duration) -> Option<()> {
        let server = &self.servers()[self.index(server.address)?];
        let size = appended(server.directory()).ok()? + room;
        server.process().fill_disk(size, time).ok()
    }

    fn index(&self, address: SocketAddr) -> Option<usize> {
        self.servers().iter().position(|server| server.address() == address)
    }

    /// The proxy between workers and this server.
    fn front(&self, server: ServerState) -> Option<&Proxy> {
        let fronts = if self.fronts.is_empty() { &self.proxies } else { &self.fronts };
        fronts.get(self.index(server.address)?)
    }

    fn sentinel(&self, pick: usize) -> Option<&Process> {
        let FailoverDecider::Sentinels(_, sentinels) = &self.decider else { return None };
        sentinels.processes().nth(pick % 3)
    }

    fn operator(&self) -> Option<&OperatorTask> {
        let FailoverDecider::Operator(_, operator) = &self.decider else { return None };
        Some(operator)
    }

    /// A change that nothing else must disturb.
    async fn change(&self, fault: NodeFault, pick: usize, primary: ServerState) -> Option<()> {
        match (&self.decider, fault) {
            (FailoverDecider::Operator(servers, _), NodeFault::WipeNode) => {
                wipe(&servers[pick % servers.len()]).await
            }
            (FailoverDecider::Operator(_, operator), _) => {
                operator.outdate(self.index(primary.address)?);
                Some(())
            }
            (FailoverDecider::Sentinels(_, sentinels), _) => {
                for address in sentinels.addresses() {
                    if ask(address, &["SENTINEL", "FAILOVER", NAME]).await.is_some() {
                        return Some(());
                    }
                }
                None
            }
            (FailoverDecider::Cluster(cluster), _) => {
                let start = Instant::now();
                // Another fault of the primary may refuse a part of it, and ends.
                while let Err(error) = tokio::task::block_in_place(|| match fault {
                    NodeFault::MoveSlot => cluster.move_slot(&self.key),
                    _ => cluster.fail_over(&self.key),
                }) {
                    if start.elapsed() > CHANGE {
                        println!("the Cluster could not be changed: {error}");
                        return None;
                    }
                    sleep(LOOK).await;
                }
                // Moved keys are not replicated before they leave their old node.
                while let Some(primary) = primary_of(&self.states().await) {
                    if replicate(primary.address, &self.barrier, 1).await
                        || start.elapsed() > CHANGE
                    {
                        break;
                    }
                    sleep(LOOK).await;
                }
                Some(())
            }
        }
    }
}

fn name(node: usize) -> String {
    format!("redis-{node}")
}

/// The server that takes the queue's writes. One that was replaced and does not know it has no
/// replicas.
fn primary_of(states: &[Option<ServerState>]) -> Option<ServerState> {
    let primaries = states.iter().flatten().filter(|state| state.has_queue);
    primaries.max_by_key(|state| state.replicas).copied()
}

/// The bytes of the file that the server appends its writes to.
fn appended(directory: &Path) -> std::io::Result<u64> {
    let mut newest = (SystemTime::UNIX_EPOCH, 0);
    for entry in std::fs::read_dir(directory.join("appendonlydir"))? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().ends_with(".incr.aof") {
            let file = entry.metadata()?;
            newest = newest.max((file.modified()?, file.len()));
        }
    }
    Ok(newest.1)
}

/// Kills a server and removes its data before it starts again.
async fn wipe(server: &RedisServer) -> Option<()> {
    let process = server.process();
    let starts = process.starts();
    process.kill_for(WIPED);
    while process.pid().is_some() && process.starts() == starts {
        sleep(LOOK / 10).await;
    }
    for entry in std::fs::read_dir(server.directory()).ok()?.flatten() {
        let path = entry.path();
        if path.is_dir() {
            std::fs::remove_dir_all(path).ok()?;
        }
    }
    Some(())
}
