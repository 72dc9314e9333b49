//! Servers with what decides about their failovers, and a proxy in front of each.

use std::sync::Arc;

use anyhow::Result;
use bookingq_core::QueueName;
use bookingq_harness::sentinels::replicated;
use bookingq_harness::{ClusterNodes, RedisOptions, RedisServer, Sentinels};
use bookingq_operator::build::redis::stateful_set::settings_of_three;

use super::operator::OperatorTask;
use crate::proxy::Proxy;

/// The name by which the sentinels know the primary.
pub(super) const NAME: &str = "faults";
/// Who decides about failovers, with its servers.
#[derive(Debug)]
pub(super) enum FailoverDecider {
    Sentinels(Arc<[RedisServer; 3]>, Sentinels),
    Cluster(ClusterNodes),
    Operator(Arc<[RedisServer; 3]>, OperatorTask),
}

/// A proxy in front of each server.
async fn proxies(servers: &[RedisServer]) -> Result<Vec<Proxy>> {
    let mut proxies = Vec::new();
    for server in servers {
        proxies.push(Proxy::start(server.address()).await?);
    }
    Ok(proxies)
}

/// A primary with two replicas, and sentinels. They, and the store, know each by its proxy.
pub(super) async fn watched(
    options: impl Fn(usize) -> std::io::Result<RedisOptions>,
) -> Result<(FailoverDecider, Vec<Proxy>)> {
    let mut nodes = 0..;
    let servers = replicated(|| {
        let options = options(nodes.next().unwrap_or_default())?;
        RedisOptions { has_file: true, ..options }.start(|_| ())
    })?;
    let proxies = proxies(&servers).await?;
    let ports: Vec<_> = proxies.iter().map(|proxy| proxy.address().port().to_string()).collect();
    for (server, port) in servers.iter().zip(&ports) {
        server.cli(&["CONFIG", "SET", "replica-announce-port", port])?;
    }
    for replica in &servers[1..] {
        replica.cli(&["REPLICAOF", "127.0.0.1", &ports[0]])?;
    }
    for server in &servers {
        server.cli(&["CONFIG", "REWRITE"])?;
    }
    let sentinels = Sentinels::watch(proxies[0].address(), NAME, "")?;
    Ok((FailoverDecider::Sentinels(Arc::new(servers), sentinels), proxies))
}

/// Three servers that are cut off, and the operator's failover. It and the servers know each by its
/// proxy, and the store without: a worker may go on at a primary that the others have lost.
pub(super) async fn managed(
    queue: &QueueName,
    options: impl Fn(usize) -> std::io::Result<RedisOptions>,
) -> Result<(FailoverDecider, Vec<Proxy>)> {
    let start = |node| -> Result<RedisServer> {
        let more = settings_of_three("127.0.0.1").into_iter().map(Into::into).collect();
        Ok(RedisOptions { options: more, ..options(node)? }.start(|_| ())?)
    };
    let servers = [start(0)?, start(1)?, start(2)?];
    let proxies = proxies(&servers).await?;
    let addresses = std::array::from_fn(|node| {
        let address = proxies[node].address();
        (address.ip().to_string(), address.port())
    });
    let servers = Arc::new(servers);
    let replaced = Arc::clone(&servers);
    let operator = OperatorTask::start(queue.clone(), addresses, move |node, time| {
        replaced[node].process().kill_for(time);
    });
    Ok((FailoverDecider::Operator(servers, operator), proxies))
}
