//! One server of a Redis with replicas, as the one who decides about failovers sees and commands
//! it.
//!
//! Workers never use this: they look for the primary and send it scripts.

mod reading;

use std::future::Future;
use std::time::Duration;

use ::redis::aio::MultiplexedConnection;
use ::redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ErrorKind, IntoConnectionInfo, Pipeline,
    RedisConnectionInfo, RedisError, RedisResult, Value, pipe,
};
use bookingq_core::QueueName;
use tokio::time::timeout;

use self::reading::{ANNOUNCED, MIN_REPLICAS};
pub use self::reading::{NodeProgress, NodeReading, NodeRole, ReplicaLink};
use super::keys::Keys;

/// A host and port that no server has: who copies from there keeps the data it has.
const NOWHERE: (&str, u16) = ("127.0.0.1", 1);

/// Raises the term in the data, and never lowers it.
const WRITE_TERM: &str = "local known = tonumber(redis.call('GET', KEYS[1]) or '0')
if tonumber(ARGV[1]) > known then redis.call('SET', KEYS[1], ARGV[1]) end
return redis.call('GET', KEYS[1])";

/// Why a command to a server failed.
#[derive(Debug, thiserror::Error)]
pub enum NodeCommandError {
    /// The server did not answer in time.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// The server, or the way to it, refused.
    #[error(transparent)]
    Redis(#[from] RedisError),
    /// Another server answers: its name is not the one that was asked.
    #[error("{asked} leads to the server that calls itself {found}")]
    OtherServer {
        /// The host that was asked.
        asked: String,
        /// The name that the server announces.
        found: String,
    },
    /// The data of the server is not what it was when it was chosen: it may have lost its volume.
    #[error("the data is of term {found}, and was of term {seen} when the server was chosen")]
    Changed {
        /// Term of the data; 0 if it has none.
        found: u64,
        /// Term of the data when the server was chosen.
        seen: u64,
    },
    /// The data of the server is of a later election than the command: it comes too late.
    #[error("the data is of term {found}, and this command of term {commanded}")]
    Outdated {
        /// Term of the data.
        found: u64,
        /// Term of the command.
        commanded: u64,
    },
}

impl NodeCommandError {
    /// Whether the server runs and refuses the password, or asks for one.
    pub fn is_refused_login(&self) -> bool {
        let kind = ErrorKind::AuthenticationFailed;
        matches!(self, Self::Redis(error) if error.kind() == kind)
            || self.answered(&["NOAUTH", "WRONGPASS"])
    }

    /// Whether the server runs and still loads its data.
    pub fn is_loading(&self) -> bool {
        self.answered(&["LOADING"])
    }

    /// Whether the server has answered one of these codes, alone or in a pipeline.
    fn answered(&self, codes: &[&str]) -> bool {
        let Self::Redis(error) = self else { return false };
        let answers = error.clone().into_server_errors();
        answers.is_some_and(|all| all.iter().any(|(_, error)| codes.contains(&error.code())))
    }
}

/// One server. It keeps a connection, and makes another one after an error.
pub struct RedisNode {
    host: String,
    port: u16,
    password: Option<String>,
    keys: Keys,
    deadline: Duration,
    connection: Option<MultiplexedConnection>,
}

impl RedisNode {
    /// The server at `host`, of the data of `queue`. `deadline` limits each call.
    pub fn new(
        host: impl Into<String>,
        port: u16,
        password: Option<String>,
        queue: &QueueName,
        deadline: Duration,
    ) -> Self {
        let (host, keys) = (host.into(), Keys::of(queue));
        Self { host, port, password, keys, deadline, connection: None }
    }

    /// Whether a replica whose source is `host` and `port` copies from nowhere.
    pub fn is_nowhere(host: &str, port: u16) -> bool {
        (host, port) == NOWHERE
    }

    /// Reads its role and how far its data goes. A server that still loads its data fails, and so
    /// does one that announces another name than the host that was asked.
    ///
    /// # Errors
    /// [`NodeCommandError`].
    pub async fn read(&mut self) -> Result<NodeReading, NodeCommandError> {
        let mut calls = pipe();
        calls.cmd("INFO").arg("replication").arg("persistence");
        calls.cmd("GET").arg(&self.keys.term);
        calls.cmd("GET").arg(&self.keys.barrier);
        calls.cmd("HGET").arg(self.keys.stats()).arg("entries");
        calls.cmd("HEXISTS").arg(&self.keys.meta).arg("epoch");
        calls.cmd("CONFIG").arg("GET").arg(MIN_REPLICAS).arg(ANNOUNCED);
        let answers: Value = self.bounded(async |c| calls.query_async(c).await).await?;
        let (reading, found) = NodeReading::parse(answers)?;
        // A stale name may lead to the new owner of an address: one server must not count as two.
        if !found.is_empty() && !found.eq_ignore_ascii_case(&self.host) {
            self.connection = None;
            return Err(NodeCommandError::OtherServer { asked: self.host.clone(), found });
        }
        Ok(reading)
    }

    /// Cuts it off: it copies from nowhere and takes no writes. It keeps its data.
    ///
    /// # Errors
    /// [`NodeCommandError`].
    pub async fn fence(&mut self, term: u64) -> Result<(), NodeCommandError> {
        self.replicaof([NOWHERE.0, &NOWHERE.1.to_string()], term, None).await
    }

    /// Lets it copy from another server, with the same password.
    ///
    /// # Errors
    /// [`NodeCommandError`].
    pub async fn follow(
        &mut self,
        host: &str,
        port: u16,
        term: u64,
    ) -> Result<(), NodeCommandError> {
        self.replicaof([host, &port.to_string()], term, None).await
    }

    /// Lets it take writes, if its data is still of the term `seen`: one that has lost its data
    /// since it was chosen would hand its emptiness to the others.
    ///
    /// # Errors
    /// [`NodeCommandError`].
    pub async fn promote(&mut self, term: u64, seen: u64) -> Result<(), NodeCommandError> {
        self.replicaof(["NO", "ONE"], term, Some(seen)).await
    }

    /// Changes its source, unless its data is of a later election, or of another term than `seen`.
    /// Redis compares and changes in one step, so a command of an operator that was stopped for a
    /// while changes nothing.
    async fn replicaof(
        &mut self,
        source: [&str; 2],
        term: u64,
        seen: Option<u64>,
    ) -> Result<(), NodeCommandError> {
        let password = self.password.clone();
        let mut compare = pipe();
        compare.cmd("WATCH").arg(&self.keys.term).ignore();
        compare.cmd("GET").arg(&self.keys.term);
        let (found,): (Option<u64>,) = self.bounded(async |c| compare.query_async(c).await).await?;
        let found = found.unwrap_or(0);
        let refused = match seen {
            _ if found > term => Some(NodeCommandError::Outdated { found, commanded: term }),
            Some(seen) if found != seen => Some(NodeCommandError::Changed { found, seen }),
            _ => None,
        };
        if let Some(refused) = refused {
            // Ends the WATCH too.
            self.connection = None;
            return Err(refused);
        }
        let mut change = pipe();
        change.atomic();
        if let Some(password) = password {
            change.cmd("CONFIG").arg("SET").arg("masterauth").arg(password).ignore();
        }
        change.cmd("REPLICAOF").arg(&source).ignore();
        let done: Option<Value> = self.bounded(async |c| change.query_async(c).await).await?;
        match done {
            Some(_) => Ok(()),
            None => Err(changed_meanwhile()),
        }
    }

    /// Raises the term in its data, although no replica follows it yet. Returns the term.
    ///
    /// # Errors
    /// [`NodeCommandError`].
    pub async fn write_term(&mut self, term: u64) -> Result<u64, NodeCommandError> {
        let guard = self.read().await?.min_replicas;
        let mut calls = pipe();
        set_guard(&mut calls, 0);
        calls.cmd("EVAL").arg(WRITE_TERM).arg(1).arg(&self.keys.term).arg(term);
        set_guard(&mut calls, guard);
        let (term,): (u64,) = self.bounded(async |c| calls.query_async(c).await).await?;
        Ok(term)
    }

    /// Sets the number of replicas without which it refuses writes.
    ///
    /// # Errors
    /// [`NodeCommandError`].
    pub async fn guard(&mut self, replicas: u32) -> Result<(), NodeCommandError> {
        let mut calls = pipe();
        set_guard(&mut calls, replicas);
        self.bounded(async |c| calls.query_async(c).await).await
    }

    /// Ends the connections of all clients but this one.
    ///
    /// # Errors
    /// [`NodeCommandError`].
    pub async fn end_clients(&mut self) -> Result<(), NodeCommandError> {
        let mut calls = pipe();
        calls.cmd("CLIENT").arg("KILL").arg("TYPE").arg("normal").arg("SKIPME").arg("yes").ignore();
        self.bounded(async |c| calls.query_async(c).await).await
    }

    /// Hands over to a replica: pauses writes until the replica has all of them, at most for
    /// `limit`. Returns when the hand-over has started.
    ///
    /// # Errors
    /// [`NodeCommandError`].
    pub async fn fail_over_to(
        &mut self,
        host: &str,
        port: u16,
        limit: Duration,
    ) -> Result<(), NodeCommandError> {
        let limit = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
        let mut calls = pipe();
        if let Some(password) = &self.password {
            // It logs in at its successor. A Redis that was alone has no such setting.
            calls.cmd("CONFIG").arg("SET").arg("masterauth").arg(password).ignore();
        }
        calls.cmd("FAILOVER").arg("TO").arg(host).arg(port).arg("TIMEOUT").arg(limit).ignore();
        self.bounded(async |c| calls.query_async(c).await).await
    }

    /// Calls on the connection, within the deadline. After an error the connection is replaced.
    async fn bounded<T>(
        &mut self,
        call: impl AsyncFnOnce(&mut MultiplexedConnection) -> RedisResult<T>,
    ) -> Result<T, NodeCommandError> {
        let deadline = self.deadline;
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => within(deadline, self.dial()).await?,
        };
        let answer = within(deadline, call(&mut connection)).await?;
        self.connection = Some(connection);
        Ok(answer)
    }

    async fn dial(&self) -> RedisResult<MultiplexedConnection> {
        let address = ConnectionAddr::Tcp(self.host.clone(), self.port);
        let mut login = RedisConnectionInfo::default();
        if let Some(password) = &self.password {
            login = login.set_password(password);
        }
        let info = address.into_connection_info()?.set_redis_settings(login);
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.deadline))
            .set_response_timeout(None);
        Client::open(info)?.get_multiplexed_async_connection_with_config(&config).await
    }
}

async fn within<T>(
    deadline: Duration,
    call: impl Future<Output = RedisResult<T>>,
) -> Result<T, NodeCommandError> {
    match timeout(deadline, call).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(NodeCommandError::Timeout(deadline)),
    }
}

fn set_guard(calls: &mut Pipeline, replicas: u32) {
    calls.cmd("CONFIG").arg("SET").arg(MIN_REPLICAS).arg(replicas).ignore();
}

fn changed_meanwhile() -> NodeCommandError {
    let error = (ErrorKind::Client, "the term changed during the command");
    NodeCommandError::Redis(RedisError::from(error))
}
