//! The store of a run.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bookingq_api::Plan;
use bookingq_core::backoff::Backoff;
use bookingq_core::retry::Retry;
use bookingq_harness::{Fsync, RedisOptions, RedisServer, Restart};
use bookingq_store::replicated::{KafkaAddress, KafkaConfig, ReplicatedConfig, create_topics};
use bookingq_store::{MemoryConfig, RedisConfig, Store, StoreConfig, StoreError};

use crate::config::StoreChoice;
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
        /// The server, if this run started it.
        server: Option<Box<RedisServer>>,
    },
    /// In Kafka.
    Kafka(KafkaAddress),
}

impl Backend {
    /// Starts a redis-server if `choice` asks for one.
    ///
    /// # Errors
    /// When there is no redis-server.
    pub fn start(
        choice: &StoreChoice,
        directory: &Path,
        console: &Console,
    ) -> Result<Self, UpError> {
        Ok(match choice {
            StoreChoice::Embedded => Self::Embedded,
            StoreChoice::Redis(url) => Self::Redis { url: url.clone(), server: None },
            StoreChoice::Kafka(address) => Self::Kafka(address.clone()),
            StoreChoice::OwnRedis => {
                let options = RedisOptions {
                    restart: Restart::Always(BACKOFF),
                    directory: Some(directory.to_owned()),
                    ..RedisOptions::new(Fsync::Always)
                };
                let server = options.start(console.reporter("redis-server"));
                let server = server.map_err(UpError::NoRedis)?;
                console.report(format!("redis-server listens at {}", server.address()));
                Self::Redis { url: server.url(), server: Some(Box::new(server)) }
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
            Self::Redis { url, .. } => {
                RedisConfig { retention, ..RedisConfig::new(url.clone(), queue) }.into()
            }
            Self::Kafka(address) => {
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
                (processes(("BOOKINGQ_REDIS", url.clone()), directory)?, "redis")
            }
            Self::Kafka(address) => {
                (processes(("BOOKINGQ_STORE", address.to_string()), directory)?, "kafka")
            }
        })
    }

    /// Stops the redis-server that this run started.
    pub async fn stop(self) {
        if let Self::Redis { server: Some(server), .. } = self {
            server.stop().await;
        }
    }
}

/// Workers as processes of this program.
fn processes(store: (&'static str, String), directory: &Path) -> Result<Runner, UpError> {
    let program = std::env::current_exe().map_err(UpError::Program)?;
    Ok(Runner::Processes(OwnProgram { program, store, directory: directory.to_owned() }))
}
