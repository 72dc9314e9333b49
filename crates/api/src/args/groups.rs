//! The groups of arguments that the processes of a queue share.

use std::path::PathBuf;
use std::time::Duration;

use bookingq_core::backoff::{Backoff, RetryPolicy};
use bookingq_core::defaults;
use clap::{Args, value_parser};
use serde::Serialize;

use super::{InvalidArgs, KafkaArgs, with_env};
use crate::duration::DurationString;
use crate::plan::{Plan, RedisSource, StorePlan};

/// How to log in at a Redis and its sentinels, and with which certificates: the same for every
/// command that takes an address of Redis.
#[derive(Debug, Clone, PartialEq, Eq, Default, Args, Serialize)]
#[command(next_help_heading = "Redis", mut_args = with_env)]
#[serde(rename_all = "kebab-case")]
pub struct RedisAccessArgs {
    /// File with the password, which keeps it out of the process list
    #[arg(long = "redis-password-file", value_name = "FILE")]
    #[serde(rename = "redis-password-file")]
    pub password_file: Option<PathBuf>,
    /// User of the sentinels, for redis-sentinel://
    #[arg(long = "redis-sentinel-username", value_name = "NAME")]
    #[serde(rename = "redis-sentinel-username")]
    pub sentinel_username: Option<String>,
    /// File with the password of the sentinels, for redis-sentinel://
    #[arg(long = "redis-sentinel-password-file", value_name = "FILE")]
    #[serde(rename = "redis-sentinel-password-file")]
    pub sentinel_password_file: Option<PathBuf>,
    /// Certificate authority that signs its certificate (PEM), for rediss:// [default: the
    /// system's]
    #[arg(id = "redis-tls-ca", long = "redis-tls-ca", value_name = "FILE")]
    #[serde(rename = "redis-tls-ca")]
    pub ca: Option<PathBuf>,
    /// Client certificate (PEM), for rediss:// with mTLS
    #[arg(
        id = "redis-tls-cert",
        long = "redis-tls-cert",
        value_name = "FILE",
        requires = "redis-tls-key"
    )]
    #[serde(rename = "redis-tls-cert")]
    pub certificate: Option<PathBuf>,
    /// Client key (PEM), for rediss:// with mTLS
    #[arg(
        id = "redis-tls-key",
        long = "redis-tls-key",
        value_name = "FILE",
        requires = "redis-tls-cert"
    )]
    #[serde(rename = "redis-tls-key")]
    pub key: Option<PathBuf>,
}

/// The connection to Redis, and the data kept there.
#[derive(Debug, Clone, PartialEq, Eq, Args, Serialize)]
#[command(next_help_heading = "Redis", mut_args = with_env)]
#[serde(rename_all = "kebab-case")]
pub struct RedisArgs {
    /// Address of Redis: redis://HOST:PORT/DB, redis-sentinel://HOST:PORT/DB#NAME or
    /// redis-cluster://HOST:PORT, each with several hosts if need be (A,B,C); with rediss for TLS
    /// [default: redis://127.0.0.1:6379]
    #[arg(long = "redis", env = "BOOKINGQ_REDIS", hide_env_values = true, value_name = "URL")]
    #[serde(rename = "redis")]
    pub url: Option<String>,
    /// Keep the bookings in Kafka instead: kafka://HOST:PORT, with several brokers if need be
    /// (A,B,C), and with /PREFIX for other topics than bookingq.QUEUE and bookingq.QUEUE.SNAPSHOTS.
    /// The topics must be there; `bookingq up` makes them. Needs a bookingq that was built with the
    /// feature kafka
    #[arg(long, value_name = "URL", conflicts_with = "url")]
    pub store: Option<String>,
    /// How Kafka is reached.
    #[command(flatten)]
    #[serde(flatten)]
    pub kafka: KafkaArgs,
    /// How its servers and sentinels are reached.
    #[command(flatten)]
    #[serde(flatten)]
    pub access: RedisAccessArgs,
    /// Replicas that must have a join, a payment, a cancellation or a settlement before it is
    /// acknowledged, and a claim before its tasks run
    #[arg(
        long = "redis-acknowledge-replicas",
        value_name = "N",
        default_value_t = 0,
        value_parser = value_parser!(u8).range(0..=2)
    )]
    #[serde(rename = "redis-acknowledge-replicas")]
    pub acknowledge_replicas: u8,
    /// Deadline of one Redis call
    #[arg(long = "redis-deadline", value_name = "TIME", default_value_t = REDIS_DEADLINE)]
    #[serde(rename = "redis-deadline")]
    pub deadline: DurationString,
    /// Time for which a decided booking can still be looked up
    #[arg(long, value_name = "TIME", default_value_t = RETENTION)]
    pub retention: DurationString,
    /// Outbox entries kept for followers, approximately; an entry holds the events of one store
    /// call, 1 to 256
    #[arg(
        long,
        value_name = "N",
        default_value_t = defaults::OUTBOX_ENTRIES,
        value_parser = value_parser!(u32).range(1000..)
    )]
    pub outbox_entries: u32,
}

const REDIS_DEADLINE: DurationString = DurationString::new(defaults::REDIS_DEADLINE);
const RETENTION: DurationString = DurationString::new(defaults::RETENTION);

impl RedisArgs {
    pub(super) fn of(plan: &Plan) -> Self {
        let own = match &plan.store {
            StorePlan::Kafka(kafka) => Self {
                store: Some(kafka.address()),
                kafka: KafkaArgs::of(kafka),
                ..Self::default()
            },
            StorePlan::Redis(redis) => Self {
                access: RedisAccessArgs {
                    sentinel_username: match &redis.source {
                        RedisSource::Sentinel(sentinel) => sentinel.username.clone(),
                        _ => None,
                    },
                    ..RedisAccessArgs::default()
                },
                acknowledge_replicas: redis.acknowledge_replicas,
                ..Self::default()
            },
        };
        Self { retention: DurationString::new(plan.retention), ..own }
    }
}

impl Default for RedisArgs {
    fn default() -> Self {
        Self {
            url: None,
            store: None,
            kafka: KafkaArgs::default(),
            access: RedisAccessArgs::default(),
            acknowledge_replicas: 0,
            deadline: REDIS_DEADLINE,
            retention: RETENTION,
            outbox_entries: defaults::OUTBOX_ENTRIES,
        }
    }
}

/// How bookings are processed.
#[derive(Debug, Clone, PartialEq, Eq, Args, Serialize)]
#[command(next_help_heading = "Processing", mut_args = with_env)]
#[serde(rename_all = "kebab-case")]
pub struct ProcessingArgs {
    /// Tasks to run at once
    #[arg(
        long,
        value_name = "N",
        default_value_t = defaults::CONCURRENCY,
        value_parser = value_parser!(u32).range(1..=10_000)
    )]
    pub concurrency: u32,
    /// Time after which another worker may claim the task of a silent one
    #[arg(long, value_name = "TIME", default_value_t = DurationString::new(defaults::LEASE))]
    pub lease: DurationString,
    /// Time to pay for a reservation
    #[arg(long, value_name = "TIME", default_value_t = DurationString::new(defaults::HOLD))]
    pub hold: DurationString,
    /// Failed attempts to reserve after which a booking fails
    #[arg(
        long,
        value_name = "N",
        default_value_t = defaults::RETRY.attempts,
        value_parser = value_parser!(u32).range(1..=100)
    )]
    pub retry_attempts: u32,
    /// Wait before the first retry; each further wait is twice as long
    #[arg(long, value_name = "TIME", default_value_t = DurationString::new(BACKOFF.initial))]
    pub retry_initial: DurationString,
    /// Longest wait between two attempts
    #[arg(long, value_name = "TIME", default_value_t = DurationString::new(BACKOFF.max))]
    pub retry_max: DurationString,
}

const BACKOFF: Backoff = defaults::RETRY.backoff;

impl ProcessingArgs {
    pub(super) fn of(plan: &Plan) -> Self {
        Self {
            concurrency: plan.worker.concurrency,
            lease: DurationString::new(plan.worker.lease),
            hold: DurationString::new(plan.hold),
            retry_attempts: plan.retry.attempts,
            retry_initial: DurationString::new(plan.retry.backoff.initial),
            retry_max: DurationString::new(plan.retry.backoff.max),
        }
    }

    /// Retries of calls to the Booking Service.
    ///
    /// # Errors
    /// [`InvalidArgs`] if the first wait is zero or longer than the longest.
    pub fn retry(&self) -> Result<RetryPolicy, InvalidArgs> {
        let backoff = Backoff { initial: self.retry_initial.get(), max: self.retry_max.get() };
        if backoff.initial.is_zero() || backoff.initial > backoff.max {
            return Err(InvalidArgs {
                flag: "retry-initial".to_owned(),
                value: self.retry_initial.to_string(),
                allowed: format!("above 0s and at most --retry-max ({})", self.retry_max),
            });
        }
        Ok(RetryPolicy { attempts: self.retry_attempts, backoff })
    }

    /// The lease.
    ///
    /// # Errors
    /// [`InvalidArgs`] if it is too short to be renewed.
    pub fn lease(&self) -> Result<Duration, InvalidArgs> {
        if self.lease.get() < Duration::from_secs(1) {
            return Err(InvalidArgs {
                flag: "lease".to_owned(),
                value: self.lease.to_string(),
                allowed: "1s and more".to_owned(),
            });
        }
        Ok(self.lease.get())
    }
}

/// How a worker shuts down.
#[derive(Debug, Clone, PartialEq, Eq, Args, Serialize)]
#[command(next_help_heading = "Shutdown", mut_args = with_env)]
pub struct DrainArgs {
    /// Time to shut down after SIGTERM
    #[arg(long, value_name = "TIME", default_value_t = DurationString::new(defaults::GRACE))]
    pub grace: DurationString,
    /// Part of --grace during which new connections are still accepted, because endpoints lag
    #[arg(long, value_name = "TIME", default_value_t = DurationString::new(defaults::LINGER))]
    pub linger: DurationString,
}

/// Limits and TLS of the gRPC port.
#[derive(Debug, Clone, PartialEq, Eq, Args, Serialize)]
#[command(next_help_heading = "gRPC port", mut_args = with_env)]
pub struct ServerArgs {
    /// Certificate chain (PEM); without it the port speaks plain text
    #[arg(long = "tls-cert", value_name = "FILE")]
    #[serde(rename = "tls-cert")]
    pub certificate: Option<PathBuf>,
    /// Private key (PEM)
    #[arg(long = "tls-key", value_name = "FILE")]
    #[serde(rename = "tls-key")]
    pub key: Option<PathBuf>,
    /// Require client certificates signed by this authority (mTLS)
    #[arg(long = "tls-client-ca", value_name = "FILE", requires = "certificate")]
    #[serde(rename = "tls-client-ca")]
    pub client_ca: Option<PathBuf>,
    /// Age after which a connection is asked to reconnect, so that new workers get their share
    #[arg(long = "max-connection-age", value_name = "TIME", default_value_t = CONNECTION_AGE)]
    #[serde(rename = "max-connection-age")]
    pub connection_age: DurationString,
    /// Requests in progress at once; further ones are refused with OVERLOADED
    #[arg(
        long = "max-requests",
        value_name = "N",
        default_value_t = defaults::MAX_REQUESTS,
        value_parser = value_parser!(u32).range(1..=1_000_000)
    )]
    #[serde(rename = "max-requests")]
    pub requests: u32,
    /// Open WatchStatus streams; further ones are refused with OVERLOADED
    #[arg(
        long = "max-watches",
        value_name = "N",
        default_value_t = defaults::MAX_WATCHES,
        value_parser = value_parser!(u32).range(1..=10_000_000)
    )]
    #[serde(rename = "max-watches")]
    pub watches: u32,
}

const CONNECTION_AGE: DurationString = DurationString::new(defaults::MAX_CONNECTION_AGE);

impl Default for ServerArgs {
    fn default() -> Self {
        Self {
            certificate: None,
            key: None,
            client_ca: None,
            connection_age: CONNECTION_AGE,
            requests: defaults::MAX_REQUESTS,
            watches: defaults::MAX_WATCHES,
        }
    }
}
