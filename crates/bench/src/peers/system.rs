//! The systems that are compared, and what each calls its waiting and its acknowledged jobs in
//! Redis.

use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use bookingq_core::QueueName;
use bookingq_store::RedisConfig;
use bookingq_store::Store;
use redis::aio::MultiplexedConnection;

use crate::drive::QUEUE;
use crate::redis_server::RedisServer;

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum System {
    /// Go
    Asynq,
    /// Node.js
    #[value(name = "bullmq")]
    BullMq,
    /// Rust, version 0.7
    #[value(name = "apalis-0.7")]
    Apalis07,
    /// Rust, version 1.0
    #[value(name = "apalis-1.0")]
    Apalis10,
    /// Ours
    #[value(name = "bookingq")]
    Ours,
}

impl System {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Asynq, Self::BullMq, Self::Apalis07, Self::Apalis10, Self::Ours];

    /// As its makers write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Asynq => "asynq",
            Self::BullMq => "BullMQ",
            Self::Apalis07 => "apalis-redis 0.7",
            Self::Apalis10 => "apalis-redis 1.0",
            Self::Ours => OURS,
        }
    }
}

/// What our rows begin with.
pub const OURS: &str = "bookingq";

/// What is in Redis at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count {
    /// Jobs that nobody has taken yet.
    pub waiting: u64,
    /// Jobs that are done for good: whoever took them has said so, and Redis has recorded it.
    pub acknowledged: u64,
}

/// Reads [`Count`]s of one system, over a connection of its own.
pub enum Counter {
    /// By its own keys, in one transaction.
    Keys(System, MultiplexedConnection),
    /// By the store.
    Store(Arc<dyn Store>),
}

impl Counter {
    /// Of a system in this Redis.
    pub async fn connect(system: System, redis: &RedisServer) -> Result<Self> {
        if system != System::Ours {
            return Ok(Self::Keys(system, redis.connect().await?));
        }
        let config = RedisConfig::new(redis.url(), QueueName::new(QUEUE)?);
        let store: Arc<dyn Store> = bookingq_store::open(config)?;
        Ok(Self::Store(store))
    }

    /// What is there now.
    pub async fn read(&mut self) -> Result<Count> {
        match self {
            Self::Store(store) => {
                let now = store.snapshot().await?;
                let acknowledged = now.totals.confirmed + now.totals.sold_out;
                Ok(Count { waiting: now.backlog, acknowledged })
            }
            Self::Keys(system, connection) => keys(*system, connection).await,
        }
    }
}

async fn keys(system: System, connection: &mut MultiplexedConnection) -> Result<Count> {
    let commands: &[[&str; 2]] = match system {
        System::Asynq => {
            &[["LLEN", "asynq:{default}:pending"], ["GET", "asynq:{default}:processed"]]
        }
        // It keeps no number of what is done and removed: what was ever added, less what is left.
        System::BullMq => &[
            ["LLEN", "bull:bench:wait"],
            ["GET", "bull:bench:id"],
            ["LLEN", "bull:bench:active"],
            ["ZCARD", "bull:bench:failed"],
        ],
        System::Apalis07 => &[["LLEN", "bench:active"], ["ZCARD", "bench:done"]],
        System::Apalis10 => {
            &[["LLEN", "bench:active"], ["SCARD", "bench:done"], ["ZCARD", "bench:scheduled"]]
        }
        System::Ours => &[],
    };
    let mut transaction = redis::pipe();
    transaction.atomic();
    for [command, key] in commands {
        transaction.cmd(command).arg(key);
    }
    let answers: Vec<Option<u64>> = transaction.query_async(connection).await?;
    let answers: Vec<u64> = answers.into_iter().map(Option::unwrap_or_default).collect();
    match (system, answers.as_slice()) {
        (System::BullMq, &[waiting, added, active, failed]) => {
            ensure!(failed == 0, "{failed} jobs failed");
            let left = waiting + active;
            let acknowledged =
                added.checked_sub(left).context("more jobs are left than were added")?;
            Ok(Count { waiting, acknowledged })
        }
        (System::Apalis10, &[active, acknowledged, scheduled]) => {
            Ok(Count { waiting: active + scheduled, acknowledged })
        }
        (_, &[waiting, acknowledged]) => Ok(Count { waiting, acknowledged }),
        _ => anyhow::bail!("{} has no keys to count", system.name()),
    }
}
