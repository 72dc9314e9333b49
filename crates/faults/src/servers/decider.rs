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

/// Several servers, as they are started.
pub(super) struct StartedServers {
    pub(super) decider: FailoverDecider,
    /// In front of each server, in the same order; a Cluster has none.
    pub(super) proxies: Vec<Proxy>,
    /// In front of each server for workers alone, if they do not come through the others.
    pub(super) fronts: Vec<Proxy>,
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
) -> Result<StartedServers> {
    let mut nodes = 0..;
    let servers = replicated(|| {
        let options = options(nodes.next().unwrap_or_default())?;
        RedisOptions { has_file: true, ..options }.start(|_| ())
    })?;
    let proxies = proxies(&servers).await?;
    let first = proxies[0].address();
    for replica in &servers[1..] {
        replica.cli(&["REPLICAOF", "127.0.0.1", &first.port().to_string()])?;
    }
    announce(&servers, &proxies)?;
    let sentinels = Sentinels::watch(first, NAME, "")?;
    let decider = FailoverDecider::Sentinels(Arc::new(servers), sentinels);
    Ok(StartedServers { decider, proxies, fronts: Vec::new() })
}

/// Lets each server name its proxy to its primary, also after a restart.
fn announce(servers: &[RedisServer], proxies: &[Proxy]) -> Result<()> {
    for (server, proxy) in servers.iter().zip(proxies) {
        let port = proxy.address().port().to_string();
        server.cli(&["CONFIG", "SET", "replica-announce-port", &port])?;
        server.cli(&["CONFIG", "REWRITE"])?;
    }
    Ok(())
}

/// Three servers that are cut off, and the operator's failover. It and the servers know each by its
/// proxy, and the store by another one: a worker may go on at a primary that the others have lost.
pub(super) async fn managed(
    queue: &QueueName,
    options: impl Fn(usize) -> std::io::Result<RedisOptions>,
) -> Result<StartedServers> {
    let start = |node| -> Result<RedisServer> {
        let more = settings_of_three("127.0.0.1").into_iter().map(Into::into).collect();
        Ok(RedisOptions { options: more, has_file: true, ..options(node)? }.start(|_| ())?)
    };
    let servers = [start(0)?, start(1)?, start(2)?];
    let (fronts, proxies) = (proxies(&servers).await?, proxies(&servers).await?);
    announce(&servers, &proxies)?;
    let addresses = std::array::from_fn(|node| {
        let address = proxies[node].address();
        (address.ip().to_string(), address.port())
    });
    let servers = Arc::new(servers);
    let replaced = Arc::clone(&servers);
    let operator = OperatorTask::start(queue.clone(), addresses, move |node, time| {
        replaced[node].process().kill_for(time);
    });
    Ok(StartedServers { decider: FailoverDecider::Operator(servers, operator), proxies, fronts })
}
