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
//! tried beside it every few seconds, and takes its place once it works.

use std::future::Future;
use std::sync::{Arc, Weak};
use std::time::Duration;

use ::redis::aio::MultiplexedConnection;
use ::redis::{
    AsyncConnectionConfig, Cmd, ConnectionInfo, ErrorKind, FromRedisValue, RedisResult,
    ServerErrorKind, Value, from_redis_value,
};
use bookingq_core::backoff::Backoff;
use bookingq_core::retry::Retry;
use bookingq_queue::bounds;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use tracing::{info, warn};

use super::config::RedisConfig;
use super::fault::{ConnectionAction, classify};
use super::keys::Keys;
use super::rollback::{EntryMark, RollbackDetector};
use super::scripts::{ScriptClock, ScriptName, Scripts};
use super::tls::RedisTls;
use crate::{Opened, Result, StoreError};

/// The newest schema that this release knows.
const SCHEMA: u32 = 3;

/// How long calls are refused, with nothing written, before another connection is tried.
const REFUSED: Duration = Duration::from_secs(3);

const RECONNECT: Backoff =
    Backoff { initial: Duration::from_millis(50), max: Duration::from_secs(1) };

/// The shared connection, and everything to make a new one.
pub(super) struct Link {
    info: ConnectionInfo,
    tls: RedisTls,
    deadline: Duration,
    pub(super) keys: Keys,
    scripts: &'static Scripts,
    /// A call of each script up to the arguments that all of them share, by [`ScriptName`].
    calls: Vec<Cmd>,
    state: watch::Sender<LinkState>,
    /// Connections for blocking commands that are free now, with the generation of the shared one
    /// that they were made beside.
    spares: Mutex<Vec<(u64, MultiplexedConnection)>>,
    /// Since when calls are refused with nothing written in between, or when another connection was
    /// tried last.
    refused: Mutex<Option<Instant>>,
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
        let info = config.connection_info()?;
        let (keys, scripts) = (Keys::of(&config.queue), Scripts::of(clock));
        let calls = scripts.0.iter().map(|script| {
            let mut call = ::redis::cmd("EVALSHA");
            call.arg(script.get_hash()).arg(keys.of_scripts.len()).arg(&keys.of_scripts);
            call.arg(config.outbox_entries.max(1)).arg(bounds::millis(config.retention));
            call
        });
        Ok(Arc::new(Self {
            info,
            tls: config.tls.clone(),
            deadline: config.deadline,
            calls: calls.collect(),
            keys,
            scripts,
            state: watch::Sender::new(LinkState::Idle),
            spares: Mutex::default(),
            refused: Mutex::default(),
            detector,
        }))
    }

    /// Starts a call of a script; the script's own arguments follow.
    pub(super) fn call(&self, script: ScriptName) -> Cmd {
        self.calls[script as usize].clone()
    }

    /// Runs a command on the shared connection, within the deadline. After an error its outcome is
    /// unknown, so only the caller may repeat it. NOSCRIPT is the exception: the server did not
    /// start the script.
    pub(super) async fn run<T: FromRedisValue>(self: &Arc<Self>, command: &Cmd) -> Result<T> {
        let started = Instant::now();
        let Live { mut connection, generation } = self.live().await?;
        let call = self.query(command, &mut connection);
        let (error, action) =
            match timeout(self.deadline.saturating_sub(started.elapsed()), call).await {
                Ok(Ok(answer)) => return Ok(from_redis_value(answer)?),
                Ok(Err(error)) => classify(&error),
                // The network may have lost the server: a new connection may reach it.
                Err(_) => (StoreError::Timeout(self.deadline), ConnectionAction::Replace),
            };
        match action {
            ConnectionAction::Replace if self.connect_after(generation) => {
                warn!(cause = %error, "the connection to Redis failed; making another one");
            }
            ConnectionAction::Replace => {}
            ConnectionAction::Keep => self.refuse(generation, &error),
        }
        Err(error)
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
        *self.refused.lock() = None;
    }

    /// Notes that the server has refused a call, and tries another connection if nothing was
    /// written for a while.
    fn refuse(self: &Arc<Self>, generation: u64, cause: &StoreError) {
        let mut refused = self.refused.lock();
        let since = *refused.get_or_insert_with(Instant::now);
        if since.elapsed() >= REFUSED {
            *refused = Some(Instant::now());
            warn!(%cause, "Redis refuses calls; trying another connection beside this one");
            tokio::spawn(try_another(Arc::downgrade(self), generation));
        }
    }

    /// Runs a command that may block for `wait` on a connection of its own: on the shared one it
    /// would delay every other call.
    pub(super) async fn run_blocking<T: FromRedisValue>(
        self: &Arc<Self>,
        command: &Cmd,
        wait: Duration,
    ) -> Result<T> {
        const SPARES: usize = 4;
        // While Redis is away, only the task behind `live` tries to connect.
        let generation = self.live().await?.generation;
        let spare = {
            let mut spares = self.spares.lock();
            // Those of an earlier one may lead to a server that was demoted.
            spares.retain(|(made_beside, _)| *made_beside == generation);
            spares.pop()
        };
        let mut connection = match spare {
            Some((_, connection)) => connection,
            None => bounded(self.deadline, self.dial()).await?,
        };
        let call = command.query_async(&mut connection);
        let answer: Value = bounded(self.deadline.saturating_add(wait), call).await?;
        let mut spares = self.spares.lock();
        if spares.len() < SPARES {
            spares.push((generation, connection));
        }
        drop(spares);
        Ok(from_redis_value(answer)?)
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
            Ok(Ok(LinkState::Up(live))) => Ok(live.clone()),
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

    async fn dial(&self) -> RedisResult<MultiplexedConnection> {
        // The client's own limit of 500 ms would cut off blocking commands; the callers here set
        // theirs.
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.deadline))
            .set_response_timeout(None);
        let client = self.tls.client(self.info.clone()).await?;
        client.get_multiplexed_async_connection_with_config(&config).await
    }

    /// Connects to a server that is writable and holds data of a known schema.
    async fn connect(&self) -> Result<MultiplexedConnection> {
        // Also an unexpected error can pass: too many clients, for one.
        let mut connection =
            bounded(self.deadline, self.dial()).await.map_err(|error| match error {
                StoreError::Unexpected(why) => StoreError::Unavailable(why),
                error => error,
            })?;
        let (watermark, known) = (self.detector.watermark(), self.detector.newest_entry());
        let open = self.open_call("", known.as_ref());
        let open = self.query(&open, &mut connection);
        let (_, is_lost) = opened(bounded(self.deadline, open).await?)?;
        if is_lost {
            self.detector.lost(watermark);
        }
        Ok(connection)
    }

    /// A call of open.lua, which replaces the epoch if it is `outdated`, and looks for the entry
    /// that is `known`. It writes, so a read-only replica refuses it.
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
    Ok((Opened { epoch: epoch.unwrap_or_default(), warnings: Vec::new() }, is_lost))
}

/// Connects until it works, or until the store is dropped.
async fn keep_connecting(link: Weak<Link>, generation: u64) {
    let mut retry = Retry::forever(RECONNECT);
    loop {
        let Some(strong) = link.upgrade() else { return };
        match strong.connect().await {
            Ok(connection) => {
                if retry.failures() > 0 {
                    info!(failures = retry.failures(), "connected to Redis again");
                }
                *strong.refused.lock() = None;
                strong.state.send_replace(LinkState::Up(Live { connection, generation }));
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

/// Connects once, and puts the new connection in the place of the one of `generation`.
async fn try_another(link: Weak<Link>, generation: u64) {
    let Some(link) = link.upgrade() else { return };
    match link.connect().await {
        Ok(connection) => {
            *link.refused.lock() = None;
            link.state.send_if_modified(|state| {
                let is_current =
                    matches!(state, LinkState::Up(live) if live.generation == generation);
                if is_current {
                    *state = LinkState::Up(Live { connection, generation: generation + 1 });
                    info!("changed to another connection to Redis");
                }
                is_current
            });
        }
        Err(error) => info!(%error, "the other connection to Redis is of no use either"),
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
