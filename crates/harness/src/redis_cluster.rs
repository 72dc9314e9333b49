//! A Redis Cluster of three primaries with a replica each.

use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::error::HarnessError;
use crate::port::free_address;
use crate::redis::{Fsync, RedisOptions, RedisServer};
use crate::sentinels::hosts;

/// Three primaries with a replica each.
const NODES: usize = 6;
/// Starts of one node.
const ATTEMPTS: u32 = 5;
/// Longest wait until all nodes agree.
const READY: Duration = Duration::from_secs(30);

/// The nodes.
#[derive(Debug)]
pub struct ClusterNodes {
    nodes: Vec<RedisServer>,
}

impl ClusterNodes {
    /// Starts it and waits until it serves all slots.
    ///
    /// # Errors
    /// When a node does not start, or they do not agree.
    pub fn start() -> Result<Self, HarnessError> {
        Self::start_with(|_| Ok(RedisOptions::new(Fsync::Off)))
    }

    /// The same, with six nodes that are started so.
    ///
    /// # Errors
    /// When a node does not start, or they do not agree.
    pub fn start_with(
        options: impl Fn(usize) -> std::io::Result<RedisOptions>,
    ) -> Result<Self, HarnessError> {
        let nodes: Vec<_> =
            (0..NODES).map(|node| start_node(&options(node)?)).collect::<Result<_, _>>()?;
        let mut create = Command::new("redis-cli");
        create.args(["--cluster", "create"]);
        create.args(nodes.iter().map(|node| node.address().to_string()));
        create.args(["--cluster-replicas", "1", "--cluster-yes"]);
        let log = create.output()?;
        let cluster = Self { nodes };
        let until = Instant::now() + READY;
        while !cluster.nodes.iter().all(is_ready) {
            if Instant::now() >= until {
                let log = String::from_utf8_lossy(&log.stdout).into_owned();
                return Err(HarnessError::NotReady {
                    name: "the Cluster".into(),
                    limit: READY,
                    log,
                });
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(cluster)
    }

    /// The nodes: first those that began as primaries.
    pub fn nodes(&self) -> &[RedisServer] {
        &self.nodes
    }

    /// All addresses, separated by commas.
    pub fn hosts(&self) -> String {
        hosts(self.nodes.iter().map(RedisServer::address))
    }

    /// The address of the node that has the slot of `key`.
    fn owner(&self, key: &str) -> std::io::Result<SocketAddr> {
        owner_by(&self.nodes[0], key)
    }

    /// Waits until all nodes know that `owner` has the slot of `key`.
    fn agree(&self, key: &str, owner: SocketAddr) -> std::io::Result<()> {
        let until = Instant::now() + READY;
        let knows = |node: &RedisServer| owner_by(node, key).is_ok_and(|found| found == owner);
        while !self.nodes.iter().all(knows) {
            if Instant::now() >= until {
                return Err(std::io::Error::other(format!("not all know that {owner} has {key}")));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// Moves the slot of `key` to another primary, key by key, as an operator would.
    ///
    /// # Errors
    /// When a node refuses.
    pub fn move_slot(&self, key: &str) -> std::io::Result<()> {
        let from = self.node(self.owner(key)?)?;
        let slot = from.cli(&["CLUSTER", "KEYSLOT", key])?;
        let mut to = None;
        for line in lines(from)? {
            let fields: Vec<&str> = line.split(' ').collect();
            let flags = fields.get(2).copied().unwrap_or_default();
            if flags.contains("master") && !flags.contains("fail") {
                let address = address_of(&fields)?;
                if address != from.address() {
                    to = Some(self.node(address)?);
                }
            }
        }
        let to = to.ok_or_else(|| std::io::Error::other("there is no other primary"))?;
        let (from_id, to_id) = (from.cli(&["CLUSTER", "MYID"])?, to.cli(&["CLUSTER", "MYID"])?);
        to.cli(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &from_id])?;
        from.cli(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &to_id])?;
        let (host, port) = (to.address().ip().to_string(), to.address().port().to_string());
        loop {
            // As JSON, since a key may have line ends.
            let keys = from.cli(&["--json", "CLUSTER", "GETKEYSINSLOT", &slot, "100"])?;
            let keys: Vec<String> = serde_json::from_str(&keys)?;
            if keys.is_empty() {
                break;
            }
            let mut migrate = vec!["MIGRATE", &host, &port, "", "0", "5000", "KEYS"];
            migrate.extend(keys.iter().map(String::as_str));
            let said = from.cli(&migrate)?;
            if !["OK", "NOKEY"].contains(&&*said) {
                return Err(std::io::Error::other(said));
            }
        }
        for node in [to, from] {
            node.cli(&["CLUSTER", "SETSLOT", &slot, "NODE", &to_id])?;
        }
        self.agree(key, to.address())
    }

    /// Lets a replica of the node that has the slot of `key` take over, without loss.
    ///
    /// # Errors
    /// When it refuses, or has no replica.
    pub fn fail_over(&self, key: &str) -> std::io::Result<()> {
        let owner = self.node(self.owner(key)?)?;
        let id = owner.cli(&["CLUSTER", "MYID"])?;
        for line in lines(owner)? {
            let fields: Vec<&str> = line.split(' ').collect();
            if fields.get(3) == Some(&&*id) {
                let replica = self.node(address_of(&fields)?)?;
                replica.cli(&["CLUSTER", "FAILOVER"])?;
                return self.agree(key, replica.address());
            }
        }
        Err(std::io::Error::other("it has no replica"))
    }

    fn node(&self, address: SocketAddr) -> std::io::Result<&RedisServer> {
        let mut nodes = self.nodes.iter();
        let found = nodes.find(|node| node.address() == address);
        found.ok_or_else(|| std::io::Error::other(format!("no node is at {address}")))
    }
}

fn start_node(options: &RedisOptions) -> Result<RedisServer, HarnessError> {
    let mut attempt = 0;
    loop {
        attempt += 1;
        // By default the bus has the port plus 10,000, which may be none.
        let bus = free_address()?.port().to_string();
        let node = ["--cluster-enabled", "yes", "--cluster-node-timeout", "1000", "--cluster-port"];
        let mut options = options.clone();
        options.options.extend(node.iter().map(Into::into).chain([bus.into()]));
        match options.start(|_| ()) {
            // Another process may have taken the port of the bus.
            Err(_) if attempt < ATTEMPTS => {}
            started => return started,
        }
    }
}

fn is_ready(node: &RedisServer) -> bool {
    let info = node.cli(&["CLUSTER", "INFO"]).unwrap_or_default();
    let nodes = node.cli(&["CLUSTER", "NODES"]).unwrap_or_default();
    let replicas = nodes.lines().filter(|line| line.contains("slave")).count();
    info.contains("cluster_state:ok") && replicas == 3
}

/// What a node knows of all: one line for each.
fn lines(node: &RedisServer) -> std::io::Result<Vec<String>> {
    Ok(node.cli(&["CLUSTER", "NODES"])?.lines().map(str::to_owned).collect())
}

/// The node that has the slot of `key`, as another one knows it.
fn owner_by(node: &RedisServer, key: &str) -> std::io::Result<SocketAddr> {
    let slot: u16 = parsed(&node.cli(&["CLUSTER", "KEYSLOT", key])?)?;
    for line in lines(node)? {
        let fields: Vec<&str> = line.split(' ').collect();
        let is_primary = fields.get(2).is_some_and(|flags| flags.contains("master"));
        let has = |range: &&str| {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            let bounds = (first.parse::<u16>(), last.parse::<u16>());
            matches!(bounds, (Ok(first), Ok(last)) if (first..=last).contains(&slot))
        };
        if is_primary && fields.iter().skip(8).any(has) {
            return address_of(&fields);
        }
    }
    Err(std::io::Error::other(format!("no node has slot {slot}")))
}

/// The second field, `host:port@bus[,name]`.
fn address_of(fields: &[&str]) -> std::io::Result<SocketAddr> {
    let field = fields.get(1).copied().unwrap_or_default();
    parsed(field.split('@').next().unwrap_or_default())
}

fn parsed<T: std::str::FromStr>(text: &str) -> std::io::Result<T> {
    text.trim().parse().map_err(|_| std::io::Error::other(format!("unexpected: {text:?}")))
}
