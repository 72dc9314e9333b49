//! Finds the node of a Redis Cluster that has the slot of a queue. All keys of a queue are in one
//! slot, so one connection serves it.

use ::redis::{Cmd, ConnectionInfo, ErrorKind, RedisResult, ServerErrorKind, Value};
use tokio::time::timeout;

use super::address::at;
use super::dial::{Located, PROBE, dial};
use super::fault::classify;
use super::tls::RedisTls;
use crate::{Result, StoreError};

/// Redirections followed before the Cluster counts as unsettled.
const MAX_HOPS: usize = 5;
/// Nodes that are remembered.
const MAX_LEARNED: usize = 32;

/// Connects to the node that has the slot of `key`, from the first of `seeds` that answers. Also
/// returns the nodes that it knows, to start from next time.
pub(super) async fn find(
    tls: &RedisTls,
    seeds: Vec<ConnectionInfo>,
    key: &str,
) -> Result<(Located, Vec<ConnectionInfo>)> {
    let mut failure = StoreError::Unavailable("no node is known".to_owned());
    for seed in seeds {
        match follow(tls, seed, key).await {
            Ok(found) => return Ok(found),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

async fn follow(
    tls: &RedisTls,
    seed: ConnectionInfo,
    key: &str,
) -> Result<(Located, Vec<ConnectionInfo>)> {
    let mut info = seed;
    for _ in 0..=MAX_HOPS {
        let mut connection = dial(tls, info.clone(), PROBE).await?;
        // A replica redirects reads as well, unless the connection has sent READONLY.
        let asked = answered(::redis::cmd("EXISTS").arg(key), &mut connection).await?;
        match asked {
            Ok(_) => {
                let slots = answered(::redis::cmd("CLUSTER").arg("SLOTS"), &mut connection).await?;
                let learned = slots.map(|slots| nodes(&slots, &info)).unwrap_or_default();
                return Ok((Located { connection, info }, learned));
            }
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::Moved) => {
                info = redirected(&info, error.redirect_node())?;
            }
            Err(error) => return Err(classify(&error).0),
        }
    }
    Err(StoreError::Unavailable(format!("the Cluster redirects more than {MAX_HOPS} times")))
}

async fn answered(
    command: &Cmd,
    connection: &mut ::redis::aio::MultiplexedConnection,
) -> Result<RedisResult<Value>> {
    let answer = timeout(PROBE, command.query_async(connection)).await;
    answer.map_err(|_| StoreError::Timeout(PROBE))
}

/// The node that MOVED names; without a host it is another port of the same one.
fn redirected(from: &ConnectionInfo, node: Option<(&str, u16)>) -> Result<ConnectionInfo> {
    let node = node.and_then(|(node, _)| node.rsplit_once(':'));
    let found = node.and_then(|(host, port)| Some((host, port.parse().ok()?)));
    let Some((host, port)) = found else {
        return Err(StoreError::Unexpected("MOVED names no node".to_owned()));
    };
    let same = host_of(from);
    Ok(at(from, if host.is_empty() { &same } else { host }, port))
}

fn host_of(info: &ConnectionInfo) -> String {
    let address = info.addr().to_string();
    address.rsplit_once(':').map_or(String::new(), |(host, _)| host.to_owned())
}

/// The nodes in an answer of CLUSTER SLOTS: `{ first, last, { host, port, … }, … }` each.
fn nodes(slots: &Value, from: &ConnectionInfo) -> Vec<ConnectionInfo> {
    let mut found: Vec<(String, u16)> = Vec::new();
    let Value::Array(ranges) = slots else { return Vec::new() };
    for range in ranges {
        let Value::Array(fields) = range else { continue };
        for node in fields.iter().skip(2) {
            let Value::Array(node) = node else { continue };
            let [Value::BulkString(host), Value::Int(port), ..] = &node[..] else { continue };
            let host = String::from_utf8_lossy(host).into_owned();
            let host = if host.is_empty() { host_of(from) } else { host };
            let Ok(port) = u16::try_from(*port) else { continue };
            if found.len() < MAX_LEARNED && !found.contains(&(host.clone(), port)) {
                found.push((host, port));
            }
        }
    }
    found.iter().map(|(host, port)| at(from, host, *port)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redis::address::RedisAddress;

    fn info(url: &str) -> ConnectionInfo {
        RedisAddress::parse(url).unwrap().nodes.remove(0)
    }

    #[test]
    fn a_redirection_without_a_host_stays_at_the_host() {
        let from = info("redis-cluster://:p@a:1");
        let to = |node| redirected(&from, Some((node, 7))).map(|to| to.addr().to_string());
        assert_eq!(to("b:2").unwrap(), "b:2");
        assert_eq!(to(":3").unwrap(), "a:3");
        assert_eq!(to("::1:3").unwrap(), "::1:3");
        assert!(to("b:x").is_err());
    }

    #[test]
    fn nodes_are_read_from_the_slots() {
        let node = |host: &str, port| {
            let host = Value::BulkString(host.as_bytes().to_vec());
            Value::Array(vec![host, Value::Int(port), Value::Nil])
        };
        let range = |node: [Value; 2]| {
            let slots = [Value::Int(0), Value::Int(9)];
            Value::Array(slots.into_iter().chain(node).collect())
        };
        let slots = Value::Array(vec![
            range([node("b", 2), node("", 3)]),
            range([node("b", 2), Value::Nil]),
        ]);
        let found = nodes(&slots, &info("redis-cluster://a:1"));
        let found: Vec<_> = found.iter().map(|info| info.addr().to_string()).collect();
        assert_eq!(found, ["b:2", "a:3"]);
    }
}
