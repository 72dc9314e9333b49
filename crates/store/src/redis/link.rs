//! The connection to Redis: made when first needed, replaced when it fails, shared by all calls.
//!
//! ```text
//!   Idle --first call--> Connecting --> Up --a call finds it broken--> Connecting
//!                            '--> Down --back-off, try again--> Up
//! ```
//!
//! A call waits while the first try to connect runs, at most until its deadline. After that try has
//! failed, calls fail at once while the tries go on behind them. The tries never end: a store
//! without Redis has nothing better to do, and nobody is there to start it again.

use std::future::Future;
use std::sync::{Arc, Weak};
use std::time::Duration;

use ::redis::aio::MultiplexedConnection;
use ::redis::io::tcp::TcpSettings;
use ::redis::{
    AsyncConnectionConfig, Client, Cmd, ErrorKind, IntoConnectionInfo, ServerErrorKind, Value,
};
use bookingq_core::backoff::Backoff;
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::{info, warn};

use super::config::RedisConfig;
use super::decode;
use super::fault::{Fate, judge};
use super::keys::Keys;
use super::scripts::{ScriptClock, Scripts};
use crate::{Result, StoreError};

/// The data's layout as this release knows it.
pub(super) const SCHEMA: u32 = 1;

const RECONNECT: Backoff =
    Backoff { initial: Duration::from_millis(50), max: Duration::from_secs(1) };

/// The shared connection, and what is needed to make another one.
pub(super) struct Link {
    client: Client,
    deadline: Duration,
    pub(super) keys: Keys,
    pub(super) scripts: &'static Scripts,
    state: watch::Sender<State>,
}

#[derive(Clone)]
enum State {
    Idle,
    Connecting,
    Up(Live),
    Down(StoreError),
}

/// A working connection; `generation` tells it from those before and after.
#[derive(Clone)]
struct Live {
    connection: MultiplexedConnection,
    generation: u64,
}

impl Link {
    /// Without connecting.
    pub(super) fn new(config: &RedisConfig, clock: ScriptClock) -> Result<Arc<Self>> {
        // Without a provider TLS would panic at the first connection; another one that is installed
        // already is as good.
        rustls::crypto::ring::default_provider().install_default().ok();
        // The URL may carry a password, so it must not be part of the error.
        let info = config.url.as_str().into_connection_info().map_err(|error| {
            StoreError::Settings(format!(
                "the URL is not redis://… or rediss://… ({})",
                error.category()
            ))
        })?;
        let info = info.set_tcp_settings(TcpSettings::default().set_nodelay(true));
        let client = Client::open(info).map_err(|error| StoreError::Settings(error.to_string()))?;
        Ok(Arc::new(Self {
            client,
            deadline: config.deadline,
            keys: Keys::of(&config.queue),
            scripts: Scripts::of(clock),
            state: watch::Sender::new(State::Idle),
        }))
    }

    /// Runs one script. A script that the server does not know (any more) is loaded and run again:
    /// it had not started.
    pub(super) async fn script(
        self: &Arc<Self>,
        script: &::redis::Script,
        call: &Cmd,
    ) -> Result<Value> {
        self.attempt(|mut connection| async move {
            match call.query_async(&mut connection).await {
                Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                    script.load_async(&mut connection).await?;
                    call.query_async(&mut connection).await
                }
                answer => answer,
            }
        })
        .await
    }

    /// Runs one command.
    pub(super) async fn command(self: &Arc<Self>, command: &Cmd) -> Result<Value> {
        self.attempt(|mut connection| async move { command.query_async(&mut connection).await })
            .await
    }

    /// Runs one command that may block for `wait`, on a connection of its own: on the shared one it
    /// would hold up everybody. Takes the connection kept in `spare`, if there is one, and
    /// leaves it there when it still works.
    pub(super) async fn blocking(
        self: &Arc<Self>,
        command: &Cmd,
        wait: Duration,
        spare: &parking_lot::Mutex<Vec<MultiplexedConnection>>,
    ) -> Result<Value> {
        const SPARES: usize = 4;
        // Asked first, so that this does not try to connect on its own while Redis is away.
        self.live().await?;
        let kept = spare.lock().pop();
        let mut connection = match kept {
            Some(connection) => connection,
            None => bounded(self.deadline, self.dial()).await?,
        };
        let value =
            bounded(self.deadline.saturating_add(wait), command.query_async(&mut connection))
                .await?;
        let mut kept = spare.lock();
        if kept.len() < SPARES {
            kept.push(connection);
        }
        drop(kept);
        decode::no_error(value)
    }

    /// One call on the shared connection, within the deadline. A connection that fails is replaced
    /// for the next call; this one is not repeated, since nobody knows whether it took effect.
    async fn attempt<Call>(
        self: &Arc<Self>,
        call: impl FnOnce(MultiplexedConnection) -> Call,
    ) -> Result<Value>
    where
        Call: Future<Output = ::redis::RedisResult<Value>>,
    {
        let started = Instant::now();
        let live = self.live().await?;
        let left = self.deadline.saturating_sub(started.elapsed());
        let (error, fate) = match tokio::time::timeout(left, call(live.connection)).await {
            Ok(Ok(value)) => return decode::no_error(value),
            Ok(Err(error)) => judge(&error),
            // A server that does not answer may be a network that lost it: another connection may
            // do better.
            Err(_) => (StoreError::Timeout(self.deadline), Fate::Replace),
        };
        if fate == Fate::Replace {
            self.replace(live.generation, &error);
        }
        Err(error)
    }

    /// The working connection. Waits for the first try to connect, not for later ones.
    async fn live(self: &Arc<Self>) -> Result<Live> {
        let mut state = self.state.subscribe();
        self.start_if_idle();
        let settled = tokio::time::timeout(
            self.deadline,
            state.wait_for(|state| matches!(state, State::Up(_) | State::Down(_))),
        )
        .await;
        match settled.as_ref().map(|state| state.as_deref()) {
            Ok(Ok(State::Up(live))) => Ok(live.clone()),
            Ok(Ok(State::Down(error))) => Err(error.clone()),
            _ => Err(StoreError::Unavailable("still connecting".to_owned())),
        }
    }

    fn start_if_idle(self: &Arc<Self>) {
        if !matches!(*self.state.borrow(), State::Idle) {
            return;
        }
        let starts = self.state.send_if_modified(|state| {
            let idle = matches!(state, State::Idle);
            if idle {
                *state = State::Connecting;
            }
            idle
        });
        if starts {
            tokio::spawn(reconnect(Arc::downgrade(self), 1));
        }
    }

    /// Throws a broken connection away, unless somebody has done so already.
    fn replace(self: &Arc<Self>, generation: u64, cause: &StoreError) {
        let starts = self.state.send_if_modified(|state| {
            let broken = matches!(state, State::Up(live) if live.generation == generation);
            if broken {
                *state = State::Connecting;
            }
            broken
        });
        if starts {
            warn!(%cause, "the connection to Redis failed; making another one");
            tokio::spawn(reconnect(Arc::downgrade(self), generation + 1));
        }
    }

    async fn dial(&self) -> ::redis::RedisResult<MultiplexedConnection> {
        // Calls are bounded here, not by the client: a blocking one takes longer than its default
        // of 500 ms.
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.deadline))
            .set_response_timeout(None);
        self.client.get_multiplexed_async_connection_with_config(&config).await
    }

    /// A connection to a server that is writable, has the scripts, and whose data we understand.
    async fn connect(&self) -> Result<MultiplexedConnection> {
        // Whatever keeps us out may pass: too many clients, for one.
        let mut connection =
            bounded(self.deadline, self.dial()).await.map_err(|error| match error {
                StoreError::Unexpected(why) => StoreError::Unavailable(why),
                error => error,
            })?;
        let load = async {
            for script in self.scripts.all() {
                script.load_async(&mut connection).await?;
            }
            let call = self.open_call(None);
            call.query_async(&mut connection).await
        };
        let opened = bounded(self.deadline, load).await?;
        decode::opened(opened, SCHEMA)?;
        Ok(connection)
    }

    /// Marks new data, and reads the marks; data of the epoch `outdated` is marked as new as well.
    /// It writes, so a read-only replica refuses it.
    pub(super) fn open_call(&self, outdated: Option<&str>) -> Cmd {
        let mut call = self.call(&self.scripts.open);
        call.arg(0)
            .arg(0)
            .arg(SCHEMA)
            .arg(uuid::Uuid::now_v7().to_string())
            .arg(outdated.unwrap_or_default());
        call
    }

    /// A call of a script, up to its keys.
    pub(super) fn call(&self, script: &::redis::Script) -> Cmd {
        let keys = self.keys.all();
        let mut call = ::redis::cmd("EVALSHA");
        call.arg(script.get_hash()).arg(keys.len()).arg(&keys);
        call
    }
}

/// Tries until it works or nobody needs it any more.
async fn reconnect(link: Weak<Link>, generation: u64) {
    for tries in 1u32.. {
        let Some(strong) = link.upgrade() else { return };
        let error = match strong.connect().await {
            Ok(connection) => {
                if tries > 1 {
                    info!(tries, "connected to Redis again");
                }
                strong.state.send_replace(State::Up(Live { connection, generation }));
                return;
            }
            Err(error) => error,
        };
        if tries == 1 {
            warn!(%error, "can't connect to Redis; trying again until it works");
        }
        strong.state.send_replace(State::Down(error));
        // Not held while sleeping, so that dropping the store ends this.
        drop(strong);
        tokio::time::sleep(RECONNECT.delay(tries, rand::random())).await;
    }
}

/// A call of the client within a deadline.
async fn bounded<T>(
    deadline: Duration,
    call: impl Future<Output = ::redis::RedisResult<T>>,
) -> Result<T> {
    match tokio::time::timeout(deadline, call).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(judge(&error).0),
        Err(_) => Err(StoreError::Timeout(deadline)),
    }
}
