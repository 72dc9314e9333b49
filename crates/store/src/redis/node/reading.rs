//! What one server of a Redis with replicas says about itself.

use std::collections::HashMap;
use std::time::Duration;

use ::redis::{RedisResult, Value, from_redis_value};

/// The setting without how many replicas a server refuses writes.
pub(super) const MIN_REPLICAS: &str = "min-replicas-to-write";
/// The setting with the name of a server; empty if it has none.
pub(super) const ANNOUNCED: &str = "replica-announce-ip";

/// How far the data of a server goes. Servers that have followed each other compare by it: the term
/// first, then the last barrier, then the newest outbox entry.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeProgress {
    /// The election since which the data was written; 0 before the first.
    pub term: u64,
    /// Number of the last write that waited for replicas.
    pub barrier: u64,
    /// Number of the newest outbox entry.
    pub entry: u64,
}

/// Whether a server takes writes, or from where it copies them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeRole {
    /// It takes writes.
    Master,
    /// It copies another server.
    Replica(ReplicaLink),
}

/// From where a replica copies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplicaLink {
    /// The host of its source, as it was named to the replica.
    pub host: String,
    /// The port of its source.
    pub port: u16,
    /// Whether the link is up and the first copy complete.
    pub up: bool,
    /// Time since the last contact with the source, in whole seconds; `None` while the link is
    /// down.
    pub contact: Option<Duration>,
}

/// The answer of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeReading {
    /// Its role.
    pub role: NodeRole,
    /// How far its data goes, read after the role; `None` if it has none.
    pub progress: Option<NodeProgress>,
    /// Number of replicas without which it refuses writes (`min-replicas-to-write`).
    pub min_replicas: u32,
    /// Whether it is receiving its first copy of its source's data.
    pub copying: bool,
    /// Whether its data is on disk. After a full copy it is not until the append-only file is
    /// written again: a restart before that brings back what the server had before the copy.
    pub on_disk: bool,
}

/// The answers to INFO replication and persistence, GET term, GET barrier, HGET entries, HEXISTS
/// epoch and CONFIG GET of [`MIN_REPLICAS`] and [`ANNOUNCED`].
pub(super) type NodeAnswers =
    (String, Option<u64>, Option<u64>, Option<u64>, bool, HashMap<String, String>);

impl NodeReading {
    /// Returns the name that the server announces, too.
    pub(super) fn parse(answers: Value) -> RedisResult<(Self, String)> {
        let (info, term, barrier, entry, has_epoch, config): NodeAnswers =
            from_redis_value(answers)?;
        let has_data = has_epoch || term.is_some() || barrier.is_some() || entry.is_some();
        let progress = NodeProgress {
            term: term.unwrap_or(0),
            barrier: barrier.unwrap_or(0),
            entry: entry.unwrap_or(0),
        };
        let setting = |name: &str| config.get(name).cloned().unwrap_or_default();
        let reading = Self {
            role: role(&info),
            copying: field(&info, "master_sync_in_progress") == "1",
            on_disk: !is_rewriting(&info),
            progress: has_data.then_some(progress),
            min_replicas: setting(MIN_REPLICAS).parse().unwrap_or(0),
        };
        Ok((reading, setting(ANNOUNCED)))
    }
}

/// One field of INFO; empty if there is none.
fn field<'a>(info: &'a str, name: &str) -> &'a str {
    let found = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    found.map(str::trim).unwrap_or_default()
}

/// Whether the append-only file is being written again, or waits for that.
fn is_rewriting(info: &str) -> bool {
    ["aof_rewrite_in_progress", "aof_rewrite_scheduled"].iter().any(|name| field(info, name) == "1")
}

/// Reads `INFO replication`.
fn role(info: &str) -> NodeRole {
    let field = |name: &str| field(info, name);
    if field("role") == "master" {
        return NodeRole::Master;
    }
    let up = field("master_link_status") == "up";
    let contact = field("master_last_io_seconds_ago").parse().ok().map(Duration::from_secs);
    NodeRole::Replica(ReplicaLink {
        host: field("master_host").to_owned(),
        port: field("master_port").parse().unwrap_or(0),
        up,
        contact: contact.filter(|_| up),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_on_disk_after_the_rewrite_of_the_append_only_file() {
        let info = "# Persistence\r\naof_rewrite_in_progress:0\r\naof_rewrite_scheduled:0\r\n";
        assert!(!is_rewriting(info));
        assert!(is_rewriting(&info.replace("progress:0", "progress:1")));
        assert!(is_rewriting(&info.replace("scheduled:0", "scheduled:1")));
    }

    #[test]
    fn a_replica_names_its_source_and_its_last_contact() {
        let info = "# Replication\r\nrole:slave\r\nmaster_host:q-redis-0.q-redis.sale.svc\r\n\
                    master_port:6379\r\nmaster_link_status:up\r\nmaster_last_io_seconds_ago:2\r\n";
        let expected = ReplicaLink {
            host: "q-redis-0.q-redis.sale.svc".to_owned(),
            port: 6379,
            up: true,
            contact: Some(Duration::from_secs(2)),
        };
        assert_eq!(role(info), NodeRole::Replica(expected.clone()));
        let down = info.replace("status:up", "status:down").replace("ago:2", "ago:-1");
        let expected = ReplicaLink { up: false, contact: None, ..expected };
        assert_eq!(role(&down), NodeRole::Replica(expected));
        assert_eq!(role("# Replication\r\nrole:master\r\n"), NodeRole::Master);
    }
}
