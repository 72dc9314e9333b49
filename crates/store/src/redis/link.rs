//! The connection to Redis: made when first needed, replaced when it fails, shared by all calls.
//!
//! ```text
//!   Idle --first call--> Connecting --> Up --a call finds it broken--> Connecting
//!                            '--> Down --retry--> Up
//! ```
//!
//! A call waits for the first attempt to connect, at most until its deadline. Once that attempt has
//! failed, calls fail at once while the task behind them retries. It retries without end: a store
//! can do nothing without Redis, and no one would start it again.
//!
//! A connection may answer and yet be of no use: a proxy can keep it at a server that was demoted.
//! So while calls are refused and nothing is written, whatever the words, another connection is
//! tried beside it every few seconds, and takes its place once it works. And a server that was
//! demoted answers reads, so it is asked for its role each second.

mod blocking;
mod doubts;
mod replacing;
mod spares;

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use ::redis::aio::MultiplexedConnection;
use ::redis::{
    Cmd, ConnectionInfo, ErrorKind, FromRedisValue, RedisResult, ServerErrorKind, Value,
    from_redis_value,
};
use bookingq_core::backoff::Backoff;
use bookingq_core::retry::Retry;
use bookingq_queue::bounds;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use tracing::{info, warn};

use self::doubts::Doubts;
use self::spares::Spares;
use super::config::RedisConfig;
use super::dial::Located;
use super::fault::{classify, is_refusal};
use super::keys::Keys;
use super::locator::Locator;
use super::rollback::{EntryMark, RollbackDetector};
use super::scripts::{ScriptClock, ScriptName, Scripts};
use crate::{Opened, Result, StoreError};

/// The newest schema that this release knows.
const SCHEMA: u32 = 3;

const RECONNECT: Backoff =
    Backoff { initial: Duration::from_millis(50), max: Duration::from_secs(1) };

/// Where another server may take over at any moment.
const FIND_AGAIN: Backoff =
    Backoff { initial: Duration::from_millis(50), max: Duration::from_millis(250) };

/// The shared connection, and everything to make a new one.
pub(super) struct Link {
    locator: Locator,
    deadline: Duration,
    acknowledge_replicas: u8,
    pub(super) keys: Keys,
    scripts: &'static Scripts,
    /// A call of each script up to the arguments that all of them share, by [`ScriptName`].
    calls: Vec<Cmd>,
    state: watch::Sender<LinkState>,
    spares: Spares,
    doubts: Doubts,
    /// Whether a new connection leaves the data as it is.
    only_reads: AtomicBool,
    /// What a new connection is compared with.
    detector: Arc<RollbackDetector>,
}

#[derive(Clone)]
enum LinkState {
    Idle,
    Connecting,
    Up(Live),
    Down(StoreError),
}

/// A working connection; each one has a higher generation than the last.
#[derive(Clone)]
struct Live {
    connection: MultiplexedConnection,
    /// Where it leads to, for connections beside it.
    info: Arc<ConnectionInfo>,
    generation: u64,
}

impl Link {
    /// Prepares the link without connecting.
    pub(super) fn new(
        config: &RedisConfig,
        clock: ScriptClock,
        detector: Arc<RollbackDetector>,
    ) -> Result<Arc<Self>> {
        // Without a crypto provider the first TLS connection would panic. It fails if the program
        // has installed one already, which serves as well.
        rustls::crypto::ring::default_provider().install_default().ok();
        let locator = config.locator()?;
        let (keys, scripts) = (Keys::of(&config.queue), Scripts::of(clock));
        let calls = scripts.0.iter().map(|script| {
            let mut call = ::redis::cmd("EVALSHA");
            call.arg(script.get_hash()).arg(keys.of_scripts.len()).arg(&keys.of_scripts);
            call.arg(config.outbox_entries.max(1)).arg(bounds::millis(config.retention));
            call
        });
        Ok(Arc::new(Self {
            locator,
            deadline: config.deadline,
            acknowledge_replicas: config.acknowledge_replicas,
            calls: calls.collect(),
            keys,
            scripts,
            state: watch::Sender::new(LinkState::Idle),
            spares: Spares::default(),
            doubts: Doubts::default(),
            only_reads: AtomicBool::new(false),
            detector,
        }))
    }

    /// Replicas that must have a write before it counts as done.
    pub(super) fn acknowledge_replicas(&self) -> u8 {
        self.acknowledge_replicas
    }

    /// Whether new connections leave the data as it is.
    pub(super) fn connect_read_only(&self, read_only: bool) {
        self.only_reads.store(read_only, Ordering::Relaxed);
    }

    /// Starts a call of a script; the script's own arguments follow.
    pub(super) fn call(&self, script: ScriptName) -> Cmd {
        self.calls[script as usize].clone()
    }

    /// Runs a command on the shared connection, within the deadline. After an error its outcome is
    /// unknown, so only the caller may repeat it. NOSCRIPT is the exception: the server did not
    /// start the script.
    pub(super) async fn run<T: FromRedisValue>(self: &Arc<Self>, command: &Cmd) -> Result<T> {
        match self.ask(command).await? {
            (_, Ok(answer)) => Ok(from_redis_value(answer)?),
            (generation, Err(error)) => Err(self.failed(generation, &error)),
        }
    }

    /// As [`Self::run`]; `None` if the server does not know the command, or an ACL forbids it.
    pub(super) async fn run_if_granted<T: FromRedisValue>(
        self: &Arc<Self>,
        command: &Cmd,
    ) -> Result<Option<T>> {
        match self.ask(command).await? {
            (_, Ok(answer)) => Ok(from_redis_value(answer).ok()),
            (_, Err(error)) if is_refusal(&error) => Ok(None),
            (generation, Err(error)) => Err(self.failed(generation, &error)),
        }
    }

    /// The server's answer within the deadline, and the generation of the connection.
    async fn ask(self: &Arc<Self>, command: &Cmd) -> Result<(u64, RedisResult<Value>)> {
        let started = Instant::now();
        let Live { mut connection, generation, .. } = self.live().await?;
        let call = self.query(command, &mut connection);
        match timeout(self.deadline.saturating_sub(started.elapsed()), call).await {
            Ok(answer) => Ok((generation, answer)),
            Err(_) => Err(self.overdue(generation)),
        }
    }

    /// Runs a command, and loads the scripts first if the server does not have them.
    async fn query(
        &self,
        command: &Cmd,
        connection: &mut MultiplexedConnection,
    ) -> RedisResult<Value> {
        match command.query_async(connection).await {
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                self.scripts.load(connection).await?;
                command.query_async(connection).await
            }
            answer => answer,
        }
    }

    /// Notes that a call has written something.
    pub(super) fn wrote(&self) {
        self.doubts.refused.end();
    }

    /// The working connection. Waits for the first attempt to connect, not for later ones.
    async fn live(self: &Arc<Self>) -> Result<Live> {
        if matches!(*self.state.borrow(), LinkState::Idle) {
            self.connect_after(0);
        }
        let mut state = self.state.subscribe();
        let decided =
            state.wait_for(|state| matches!(state, LinkState::Up(_) | LinkState::Down(_)));
        match timeout(self.deadline, decided).await.as_ref().map(|state| state.as_deref()) {
            Ok(Ok(LinkState::Up(live))) => {
                self.doubt_role(live);
                Ok(live.clone())
            }
            Ok(Ok(LinkState::Down(error))) => Err(error.clone()),
            _ => Err(StoreError::Unavailable("still connecting".to_owned())),
        }
    }

    /// Starts connecting if the connection of generation `broken` is still in use (0: if there was
    /// none yet). Returns whether it did.
    fn connect_after(self: &Arc<Self>, broken: u64) -> bool {
        let starts = self.state.send_if_modified(|state| {
            let starts = match state {
                LinkState::Idle => broken == 0,
                LinkState::Up(live) => live.generation == broken,
                LinkState::Connecting | LinkState::Down(_) => false,
            };
            if starts {
                *state = LinkState::Connecting;
            }
            starts
        });
        if starts {
            tokio::spawn(keep_connecting(Arc::downgrade(self), broken + 1));
        }
        starts
    }

    /// Replaces the connection of this generation, if it is still in use.
    fn replace(self: &Arc<Self>, generation: u64, cause: &StoreError) {
        if self.connect_after(generation) {
            warn!(%cause, "the connection to Redis failed; making another one");
        }
    }

    /// Connects to a server that holds data of a known schema and is writable; one that is only to
    /// be read need not be.
    async fn connect(&self, generation: u64) -> Result<Live> {
        let Keys { term, meta, .. } = &self.keys;
        let Located { mut connection, info } = self.locator.find(term, meta).await?;
        let (watermark, known) = (self.detector.watermark(), self.detector.newest_entry());
        let mut open = self.open_call("", known.as_ref());
        open.arg(u8::from(self.only_reads.load(Ordering::Relaxed)));
        let open = self.query(&open, &mut connection);
        let (_, is_lost) = opened(bounded(self.deadline, open).await?)?;
        if is_lost {
            self.detector.lost(watermark);
        }
        Ok(Live { connection, info: Arc::new(info), generation })
    }

    /// A call of open.lua, which replaces the epoch if it is `outdated`, and looks for the entry
    /// that is `known`. It writes, so a read-only replica refuses it. With `1` as the last
    /// argument, it only reads.
    pub(super) fn open_call(&self, outdated: &str, known: Option<&EntryMark>) -> Cmd {
        let mut call = self.call(ScriptName::Open);
        call.arg(SCHEMA).arg(uuid::Uuid::now_v7().to_string()).arg(outdated);
        match known {
            Some(EntryMark { number, id }) => call.arg(number).arg(&**id),
            None => call.arg("").arg(""),
        };
        call
    }
}

/// Reads the answer of open.lua, with whether the known entry is lost; refuses data of a newer
/// schema.
pub(super) fn opened(answer: Value) -> Result<(Opened, bool)> {
    let (found, epoch, is_lost): (u32, Option<String>, bool) = from_redis_value(answer)?;
    if found > SCHEMA {
        return Err(StoreError::NewerSchema { found, known: SCHEMA });
    }
    let opened = Opened { epoch: epoch.unwrap_or_default(), ..Opened::default() };
    Ok((opened, is_lost))
}

/// Connects until it works, or until the store is dropped.
async fn keep_connecting(link: Weak<Link>, generation: u64) {
    let Some(has_alternatives) = link.upgrade().map(|link| link.locator.has_alternatives()) else {
        return;
    };
    let mut retry = Retry::forever(if has_alternatives { FIND_AGAIN } else { RECONNECT });
    loop {
        let Some(strong) = link.upgrade() else { return };
        match strong.connect(generation).await {
            Ok(live) => {
                if retry.failures() > 0 {
                    info!(failures = retry.failures(), "connected to Redis again");
                }
                strong.doubts.clear();
                strong.state.send_replace(LinkState::Up(live));
                return;
            }
            Err(error) => {
                if retry.failures() == 0 {
                    warn!(%error, "can't connect to Redis; trying again until it works");
                }
                strong.state.send_replace(LinkState::Down(error));
            }
        }
        // Not held during the wait, so that the store can be dropped.
        drop(strong);
        retry.wait().await;
    }
}

/// Limits a call of the client to a deadline.
async fn bounded<T>(deadline: Duration, call: impl Future<Output = RedisResult<T>>) -> Result<T> {
    match timeout(deadline, call).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(classify(&error).0),
        Err(_) => Err(StoreError::Timeout(deadline)),
    }
}
