//! Finds the server that takes the writes of a queue.
//!
//! ```text
//!   One        the address itself
//!   Among      each node says its role and term      --> the primary of the highest term
//!   Sentinel   each sentinel says where the primary is --> the newest that says it is one
//!   Cluster    a node redirects by MOVED             --> the node that has the queue's slot
//! ```
//!
//! A term counts the failovers of a managed Redis. Where two servers say that they are the primary,
//! the one of the lower term was replaced. Elsewhere there are no terms.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ::redis::aio::MultiplexedConnection;
use ::redis::{ConnectionInfo, RedisConnectionInfo, Value};
use parking_lot::Mutex;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use super::address::{RedisAddress, Topology};
use super::dial::{Located, PROBE, dial, is_replica, says_replica};
use super::fault::classify;
use super::tls::RedisTls;
use super::{cluster, sentinel};
use crate::{Result, StoreError};

/// How to connect, and how the server is found.
#[derive(Debug)]
pub(super) struct Locator {
    address: RedisAddress,
    tls: RedisTls,
    /// How to log in at sentinels.
    sentinel_login: RedisConnectionInfo,
    /// Limit for a connection to the only server.
    deadline: Duration,
    /// The highest term that was seen.
    term: AtomicU64,
    /// Nodes of a Cluster that others have named.
    learned: Mutex<Vec<ConnectionInfo>>,
}

/// What a server says about itself.
struct ProbedServer {
    server: Located,
    is_primary: bool,
    term: u64,
}

impl Locator {
    pub(super) fn new(
        address: RedisAddress,
        tls: RedisTls,
        sentinel_login: RedisConnectionInfo,
        deadline: Duration,
    ) -> Self {
        let (term, learned) = (AtomicU64::default(), Mutex::default());
        Self { address, tls, sentinel_login, deadline, term, learned }
    }

    /// Whether another server may take the place of the one in use.
    pub(super) fn has_alternatives(&self) -> bool {
        self.address.topology != Topology::One
    }

    /// Connects to the server that takes writes. `term_key` has the term of a managed Redis, and
    /// `slot_key` any key of the queue.
    pub(super) async fn find(&self, term_key: &str, slot_key: &str) -> Result<Located> {
        let nodes = &self.address.nodes;
        match &self.address.topology {
            Topology::One => self.only(nodes[0].clone()).await,
            Topology::Among => self.among(nodes.clone(), term_key).await,
            Topology::Sentinel { primary } => {
                let sentinels = self.address.sentinels(&self.sentinel_login);
                let said = sentinel::ask(&self.tls, sentinels, primary, &nodes[0]).await?;
                self.first_primary(said, primary).await
            }
            Topology::Cluster => {
                let mut seeds = self.learned.lock().clone();
                seeds.extend(nodes.iter().cloned());
                let (located, learned) = cluster::find(&self.tls, seeds, slot_key).await?;
                *self.learned.lock() = learned;
                Ok(located)
            }
        }
    }

    /// Another connection to a server that was found.
    pub(super) async fn connect(&self, info: ConnectionInfo) -> Result<MultiplexedConnection> {
        let limit = if self.has_alternatives() { PROBE } else { self.deadline };
        dial(&self.tls, info, limit.min(self.deadline)).await
    }

    async fn only(&self, info: ConnectionInfo) -> Result<Located> {
        let mut connection = self.connect(info.clone()).await?;
        if is_replica(&mut connection, self.deadline).await? {
            return Err(StoreError::Unavailable(format!("{} is a replica", info.addr())));
        }
        Ok(Located { connection, info })
    }

    /// The primary of the highest term. The answers of a majority are enough: once a replica
    /// follows a new primary, one of these servers knows its term. Before that, and where fewer
    /// answer, a primary that was cut off may be taken: it can't write for long without a replica.
    async fn among(&self, nodes: Vec<ConnectionInfo>, term_key: &str) -> Result<Located> {
        let majority = nodes.len() / 2 + 1;
        let mut asked = JoinSet::new();
        for info in nodes {
            let (tls, term_key) = (self.tls.clone(), term_key.to_owned());
            asked.spawn(async move { probe(&tls, info, &term_key).await });
        }
        let mut answers = 0;
        let mut best: Option<(u64, Located)> = None;
        let mut failure = StoreError::Unavailable("no server answers".to_owned());
        while let Some(answer) = asked.join_next().await {
            match answer.unwrap_or_else(|error| Err(StoreError::Unavailable(error.to_string()))) {
                Ok(ProbedServer { server, is_primary, term }) => {
                    answers += 1;
                    self.term.fetch_max(term, Ordering::Relaxed);
                    if is_primary && best.as_ref().is_none_or(|(known, _)| *known < term) {
                        best = Some((term, server));
                    }
                }
                Err(error) => failure = error,
            }
            let newest = self.term.load(Ordering::Relaxed);
            if answers >= majority && best.as_ref().is_some_and(|(term, _)| *term >= newest) {
                break;
            }
        }
        let newest = self.term.load(Ordering::Relaxed);
        match best {
            Some((term, server)) if term >= newest => Ok(server),
            Some((term, server)) => Err(StoreError::Unavailable(format!(
                "{} was primary in term {term}, and term {newest} has begun",
                server.info.addr()
            ))),
            None if answers == 0 => Err(failure),
            None => Err(StoreError::Unavailable(format!(
                "none of the {answers} servers that answer is a primary"
            ))),
        }
    }

    /// The first server that says it is a primary.
    async fn first_primary(&self, said: Vec<ConnectionInfo>, name: &str) -> Result<Located> {
        let mut failure = None;
        for info in said {
            let found = async {
                let mut connection = self.connect(info.clone()).await?;
                let is_replica = is_replica(&mut connection, PROBE).await?;
                Ok::<_, StoreError>((!is_replica).then_some(connection))
            };
            match found.await {
                Ok(Some(connection)) => return Ok(Located { connection, info }),
                Ok(None) => {}
                Err(error) => failure = Some(error),
            }
        }
        Err(failure.unwrap_or_else(|| {
            StoreError::Unavailable(format!("no server that Sentinel names is primary of {name:?}"))
        }))
    }
}

async fn probe(tls: &RedisTls, info: ConnectionInfo, term_key: &str) -> Result<ProbedServer> {
    let until = Instant::now() + PROBE;
    let mut connection = dial(tls, info.clone(), PROBE).await?;
    let asked = ::redis::pipe().cmd("ROLE").cmd("GET").arg(term_key).to_owned();
    let asked = asked.query_async::<(Value, Option<u64>)>(&mut connection);
    let answer = timeout_at(until, asked).await.map_err(|_| StoreError::Timeout(PROBE))?;
    let (role, term) = answer.map_err(|error| classify(&error).0)?;
    let server = Located { connection, info };
    Ok(ProbedServer { server, is_primary: !says_replica(&role), term: term.unwrap_or_default() })
}
