//! The systems that are compared, and the numbers of waiting and acknowledged jobs in Redis.

use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use bookingq_core::QueueName;
use bookingq_store::{RedisConfig, Store};
use redis::aio::MultiplexedConnection;

use crate::redis_server::MeasuredRedis;
use crate::sections::OURS;

/// A system.
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

/// Jobs in Redis at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JobCounts {
    /// Not taken by a worker yet.
    pub waiting: u64,
    /// Done, as Redis has recorded it.
    pub acknowledged: u64,
}

/// Counts the jobs of one system, over a connection of its own.
pub enum JobCounter {
    /// By its own keys, in one transaction.
    Keys(System, MultiplexedConnection),
    /// By the store.
    Store(Arc<dyn Store>),
}

impl JobCounter {
    /// Of a system in this Redis.
    pub async fn connect(system: System, redis: &MeasuredRedis) -> Result<Self> {
        if system != System::Ours {
            return Ok(Self::Keys(system, redis.connect().await?));
        }
        let queue = QueueName::new(crate::drive::QUEUE)?;
        Ok(Self::Store(bookingq_store::open(RedisConfig::new(redis.url(), queue))?))
    }

    /// The numbers now.
    pub async fn read(&mut self) -> Result<JobCounts> {
        match self {
            Self::Store(store) => {
                let now = store.snapshot().await?;
                let acknowledged = now.totals.confirmed + now.totals.rejected;
                Ok(JobCounts { waiting: now.backlog, acknowledged })
            }
            Self::Keys(system, connection) => keys(*system, connection).await,
        }
    }
}

async fn keys(system: System, connection: &mut MultiplexedConnection) -> Result<JobCounts> {
    let commands: &[[&str; 2]] = match system {
        System::Asynq => {
            &[["LLEN", "asynq:{default}:pending"], ["GET", "asynq:{default}:processed"]]
        }
        // It keeps no number of finished jobs: the number ever added, less those that are left.
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
    let (waiting, acknowledged) = match (system, answers.as_slice()) {
        (System::BullMq, &[waiting, added, active, failed]) => {
            ensure!(failed == 0, "{failed} jobs failed");
            let done = added.checked_sub(waiting + active);
            (waiting, done.context("more jobs are left than were added")?)
        }
        (System::Apalis10, &[active, acknowledged, scheduled]) => {
            (active + scheduled, acknowledged)
        }
        (_, &[waiting, acknowledged]) => (waiting, acknowledged),
        _ => anyhow::bail!("{} has no keys to count", system.name()),
    };
    Ok(JobCounts { waiting, acknowledged })
}
