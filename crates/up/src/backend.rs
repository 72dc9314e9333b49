//! The store of a run.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bookingq_api::Plan;
use bookingq_api::args::{KAFKA_PASSWORD, KafkaArgs, RedisAccessArgs};
use bookingq_core::backoff::Backoff;
use bookingq_core::retry::Retry;
use bookingq_harness::{Fsync, KafkaCluster, KafkaOptions, RedisOptions, RedisServer, Restart};
use bookingq_store::replicated::{KafkaAddress, KafkaConfig, ReplicatedConfig, create_topics};
use bookingq_store::{MemoryConfig, RedisConfig, Store, StoreConfig, StoreError};
use bookingq_worker::kafka_access::kafka_security;
use bookingq_worker::redis_access::with_access;
use tokio_util::sync::CancellationToken;

use crate::config::{StoreChoice, UpArgs};
use crate::console::Console;
use crate::error::UpError;
use crate::runner::{BACKOFF, OwnProgram, Runner};

/// Replicas of topics that a run makes: it may be a single broker.
const REPLICATION: u16 = 1;
/// Longest wait for the first answer of a store.
const OPENING: Duration = Duration::from_secs(10);
const OPENING_BACKOFF: Backoff =
    Backoff { initial: Duration::from_millis(50), max: Duration::from_secs(1) };

/// Retries a call for a store that may still be starting.
///
/// # Errors
/// The last one.
pub async fn when_open<T, F>(call: impl FnMut() -> F) -> Result<T, StoreError>
where
    F: Future<Output = Result<T, StoreError>>,
{
    Retry::within(OPENING_BACKOFF, OPENING).run(StoreError::is_transient, call).await
}

/// Opens a store, and warns of what is unsafe about it.
///
/// # Errors
/// When it does not answer, or has data of a newer release.
pub async fn open(
    config: impl Into<StoreConfig>,
    console: &Console,
) -> Result<Arc<dyn Store>, UpError> {
    let store: Arc<dyn Store> = bookingq_store::open(config)?;
    for warning in when_open(|| store.open()).await?.warnings {
        console.report(format!("warning: {warning}"));
    }
    Ok(store)
}

/// The kind of store of a run.
#[derive(Debug)]
pub enum Backend {
    /// In this process.
    Embedded,
    /// In Redis.
    Redis {
        /// Its URL.
        url: String,
        /// How to log in there, and with which certificates.
        access: RedisAccessArgs,
        /// The server, if this run started it.
        server: Option<Box<RedisServer>>,
    },
    /// In Kafka.
    Kafka(Box<KafkaBackend>),
}

/// A store in Kafka.
#[derive(Debug)]
pub struct KafkaBackend {
    /// Its brokers.
    address: KafkaAddress,
    /// How workers and sweepers reach them.
    access: KafkaArgs,
    /// The broker, if this run started it.
    server: Option<KafkaCluster>,
}

impl Backend {
    /// Starts a redis-server or a broker if the arguments ask for one.
    ///
    /// # Errors
    /// When there is none, a login is given for a store that has none, or `stop` comes before it
    /// serves; nothing is left running then.
    pub async fn start(
        config: &UpArgs,
        directory: &Path,
        console: &Console,
        stop: &CancellationToken,
    ) -> Result<Self, UpError> {
        let (kafka, redis, store) = (&config.kafka, &config.redis, config.store());
        if !kafka.given.is_empty() && !matches!(store, StoreChoice::Kafka(_)) {
            let (flags, store) = (kafka.given.join(", "), store.to_string());
            return Err(UpError::NoKafkaAccess { flags, store });
        }
        if !redis.given.is_empty() && !matches!(store, StoreChoice::Redis(_)) {
            let (flags, store) = (redis.given.join(", "), store.to_string());
            return Err(UpError::NoAccess { flags, store });
        }
        Ok(match store {
            StoreChoice::Embedded => Self::Embedded,
            StoreChoice::Redis(url) => {
                Self::Redis { url: url.clone(), access: redis.values.clone(), server: None }
            }
            StoreChoice::Kafka(address) => {
                let access = kafka.values.clone();
                let security = kafka_security(&access).await?;
                let address = address.clone().with_security(security);
                Self::Kafka(Box::new(KafkaBackend { address, access, server: None }))
            }
            StoreChoice::OwnKafka => {
                own_kafka(config.kafka_jars.clone(), directory, console, stop).await?
            }
            StoreChoice::OwnRedis => {
                let options = RedisOptions {
                    restart: Restart::Always(BACKOFF),
                    directory: Some(directory.to_owned()),
                    ..RedisOptions::new(Fsync::Always)
                };
                let server = options.start(console.reporter("redis-server"));
                let server = server.map_err(UpError::NoRedis)?;
                console.report(format!("redis-server listens at {}", server.address()));
                let (url, access) = (server.url(), RedisAccessArgs::default());
                Self::Redis { url, access, server: Some(Box::new(server)) }
            }
        })
    }

    /// Opens the store of one queue.
    ///
    /// # Errors
    /// When it does not answer, or has data of a newer release.
    pub async fn store(&self, plan: &Plan, console: &Console) -> Result<Arc<dyn Store>, UpError> {
        let (queue, retention) = (plan.queue.clone(), plan.retention);
        let config: StoreConfig = match self {
            Self::Embedded => MemoryConfig { retention, ..MemoryConfig::new(queue) }.into(),
            Self::Redis { url, access, .. } => {
                let config = RedisConfig { retention, ..RedisConfig::new(url.clone(), queue) };
                with_access(config, access).await?.into()
            }
            Self::Kafka(kafka) => {
                let address = &kafka.address;
                let make = || create_topics(address, &queue, REPLICATION);
                if when_open(make).await? {
                    console.report(format!("Kafka topic {} is made", address.commands(&queue)));
                }
                let replicated = ReplicatedConfig { retention, ..ReplicatedConfig::new(queue) };
                KafkaConfig { address: address.clone(), replicated }.into()
            }
        };
        let store = open(config, console).await?;
        store.set_admission(plan.admission).await?;
        store.set_rules(plan.rules.clone()).await?;
        Ok(store)
    }

    /// Where the workers of a queue run, and the name of the store in the report.
    ///
    /// # Errors
    /// When this program cannot be found to run it again.
    pub fn runner(
        &self,
        store: &Arc<dyn Store>,
        directory: &Path,
    ) -> Result<(Runner, &'static str), UpError> {
        Ok(match self {
            Self::Embedded => (Runner::InProcess(Arc::clone(store)), "embedded"),
            Self::Redis { url, .. } => {
                (processes(vec![("BOOKINGQ_REDIS", url.clone())], directory)?, "redis")
            }
            Self::Kafka(kafka) => {
                let address = &kafka.address;
                let mut variables = vec![("BOOKINGQ_STORE", address.to_string())];
                let login = address.security().login.as_ref();
                variables.extend(login.map(|login| (KAFKA_PASSWORD, login.password.clone())));
                (processes(variables, directory)?, "kafka")
            }
        })
    }

    /// How workers and sweepers log in at Redis.
    pub fn redis_access(&self) -> RedisAccessArgs {
        match self {
            Self::Redis { access, .. } => access.clone(),
            _ => RedisAccessArgs::default(),
        }
    }

    /// How workers and sweepers reach Kafka.
    pub fn kafka_access(&self) -> KafkaArgs {
        match self {
            // The password is in their environment.
            Self::Kafka(kafka) => KafkaArgs { password_file: None, ..kafka.access.clone() },
            _ => KafkaArgs::default(),
        }
    }

    /// Stops the redis-server or the broker that this run started.
    pub async fn stop(self) {
        match self {
            Self::Redis { server: Some(server), .. } => server.stop().await,
            Self::Kafka(kafka) => {
                if let Some(server) = kafka.server {
                    server.stop().await;
                }
            }
            _ => {}
        }
    }
}

/// Starts a broker, which takes some seconds.
async fn own_kafka(
    jars: Option<PathBuf>,
    directory: &Path,
    console: &Console,
    stop: &CancellationToken,
) -> Result<Backend, UpError> {
    bookingq_store::replicated::check_built()?;
    let options = KafkaOptions {
        jars,
        directory: Some(directory.join("kafka")),
        restart: Restart::Always(BACKOFF),
        ..KafkaOptions::default()
    };
    let reporter = console.reporter("Kafka's broker");
    let given_up = Arc::clone(&options.given_up);
    let start = move || KafkaCluster::start_reporting(1, &options, reporter);
    let mut starting = tokio::task::spawn_blocking(start);
    let started = tokio::select! {
        started = &mut starting => started,
        () = stop.cancelled() => {
            given_up.store(true, Ordering::SeqCst);
            starting.await
        }
    };
    let cluster = started.map_err(|error| UpError::Broken(error.to_string()))?;
    let cluster = cluster.map_err(UpError::NoKafka)?;
    let address = KafkaAddress::new(&cluster.url())?;
    console.report(format!("Kafka's broker listens at {}", cluster.bootstrap()));
    let access = KafkaArgs::default();
    Ok(Backend::Kafka(Box::new(KafkaBackend { address, access, server: Some(cluster) })))
}

/// Workers as processes of this program.
fn processes(store: Vec<(&'static str, String)>, directory: &Path) -> Result<Runner, UpError> {
    let program = std::env::current_exe().map_err(UpError::Program)?;
    Ok(Runner::Processes(OwnProgram { program, store, directory: directory.to_owned() }))
}
