//! What the servers say about themselves.

use std::net::SocketAddr;
use std::time::Duration;

use bookingq_harness::RedisServer;
use futures::future::join_all;
use redis::aio::MultiplexedConnection;
use redis::{Client, RedisResult, Value, cmd, from_redis_value, pipe};
use tokio::time::timeout;

/// Longest wait for one answer: a frozen server gives none.
const ANSWER: Duration = Duration::from_millis(600);

/// What one server says. Its flags are independent facts.
#[allow(clippy::struct_excessive_bools)]
#[derive(Debug, Clone, Copy)]
pub(super) struct ServerState {
    pub(super) address: SocketAddr,
    pub(super) is_primary: bool,
    /// Whether it answers for the queue itself; in a Cluster only the slot's primary does.
    pub(super) has_queue: bool,
    /// The port of its primary, if it is a replica.
    pub(super) source: Option<u16>,
    /// Whether it has everything of its primary.
    pub(super) is_linked: bool,
    /// Replicas that are connected.
    pub(super) replicas: usize,
    /// Whether its data is on its disk: not so while it copies all of another server.
    pub(super) on_disk: bool,
}

/// Asks all servers at once.
pub(super) async fn states(servers: &[RedisServer], key: &str) -> Vec<Option<ServerState>> {
    join_all(servers.iter().map(|server| state(server.address(), key))).await
}

async fn state(address: SocketAddr, key: &str) -> Option<ServerState> {
    let asked = async {
        let mut connection = connect(address).await?;
        let mut asking = pipe();
        asking.cmd("INFO").cmd("EXISTS").arg(key).ignore_errors();
        let answers: Vec<RedisResult<Value>> = asking.query_async(&mut connection).await.ok()?;
        let mut answers = answers.into_iter();
        let info: String = from_redis_value(answers.next()?.ok()?).ok()?;
        Some((info, answers.next()?.is_ok()))
    };
    let (info, answers_for_it) = timeout(ANSWER, asked).await.ok()??;
    let field = |name: &str| {
        info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
    };
    let is_primary = field("role") == Some("master");
    let idle = ["loading", "aof_rewrite_in_progress", "aof_rewrite_scheduled"];
    let syncs = field("master_sync_in_progress") == Some("1");
    Some(ServerState {
        address,
        is_primary,
        has_queue: is_primary && answers_for_it,
        source: field("master_port").and_then(|port| port.parse().ok()),
        is_linked: field("master_link_status") == Some("up") && !syncs,
        replicas: field("connected_slaves").and_then(|count| count.parse().ok()).unwrap_or(0),
        on_disk: !syncs && idle.iter().all(|name| field(name) == Some("0")),
    })
}

/// A connection to a server.
pub(super) async fn connect(address: SocketAddr) -> Option<MultiplexedConnection> {
    let client = Client::open(format!("redis://{address}")).ok()?;
    timeout(ANSWER, client.get_multiplexed_async_connection()).await.ok()?.ok()
}

/// Sends one command. Returns its answer as text, if the server answers in time and without an
/// error.
pub(super) async fn ask(address: SocketAddr, words: &[&str]) -> Option<Vec<String>> {
    let mut connection = connect(address).await?;
    let command = cmd(words[0]).arg(&words[1..]).to_owned();
    let answer: RedisResult<Value> =
        timeout(ANSWER, command.query_async(&mut connection)).await.ok()?;
    match answer.ok()? {
        Value::Okay => Some(vec!["OK".to_owned()]),
        answer => from_redis_value(answer).ok(),
    }
}

/// Writes to the server and waits until as many replicas have everything up to this write.
pub(super) async fn replicate(address: SocketAddr, key: &str, replicas: usize) -> bool {
    let Some(mut connection) = connect(address).await else { return false };
    let mut calls = pipe();
    calls.cmd("INCR").arg(key).ignore().cmd("WAIT").arg(replicas).arg(300);
    let had = timeout(ANSWER, calls.query_async::<(usize,)>(&mut connection)).await;
    matches!(had, Ok(Ok((had,))) if had >= replicas)
}
