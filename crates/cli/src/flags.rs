//! Flags that several subcommands share, and their conversion to typed values.

use std::path::Path;

use anyhow::Context as _;
use bookingq_api::args::{KafkaArgs, RedisArgs};
use bookingq_core::{QueueName, defaults};
use bookingq_store::redis::{PemSource, RedisTls, SentinelLogin};
use bookingq_store::replicated::{KafkaAddress, KafkaConfig, KafkaSecurity, ReplicatedConfig};
use bookingq_store::{RedisConfig, StoreConfig};
use bookingq_worker::kafka_access::{self, KafkaAccessError};

use crate::failure::Failure;

/// The store's settings for `queue`.
pub async fn store_config(args: RedisArgs, queue: QueueName) -> Result<StoreConfig, Failure> {
    let Some(store) = &args.store else {
        if args.kafka != KafkaArgs::default() {
            return Err(Failure::usage(
                "a flag of --kafka is given without an address; allowed: with --store kafka://…",
            ));
        }
        return Ok(redis_config(args, queue).await?.into());
    };
    let address = KafkaAddress::new(store)
        .map_err(|error| Failure::usage(format!("--store: {error}; for Redis, use --redis")))?
        .with_security(kafka_security(&args.kafka).await?);
    let retention = args.retention.get();
    let replicated = ReplicatedConfig { retention, ..ReplicatedConfig::new(queue) };
    Ok(KafkaConfig { address, replicated }.into())
}

/// How Kafka's brokers are reached.
pub async fn kafka_security(args: &KafkaArgs) -> Result<KafkaSecurity, Failure> {
    kafka_access::kafka_security(args).await.map_err(|error| match error {
        file @ KafkaAccessError::File { .. } => file.into(),
        usage => Failure::usage(usage.to_string()),
    })
}

async fn redis_config(args: RedisArgs, queue: QueueName) -> Result<RedisConfig, Failure> {
    let url = args.url.unwrap_or_else(|| defaults::REDIS_URL.to_owned());
    let mut config =
        with_password(RedisConfig::new(url, queue), args.password_file.as_deref()).await?;
    config.tls = RedisTls {
        ca: args.ca.map(PemSource::File),
        identity: args
            .certificate
            .zip(args.key)
            .map(|(certificate, key)| (PemSource::File(certificate), PemSource::File(key))),
    };
    config.sentinel = SentinelLogin {
        username: args.sentinel_username,
        password: match args.sentinel_password_file {
            Some(file) => Some(password("--redis-sentinel-password-file", &file).await?),
            None => None,
        },
    };
    config.acknowledge_replicas = args.acknowledge_replicas;
    config.deadline = args.deadline.get();
    config.retention = args.retention.get();
    config.outbox_entries = args.outbox_entries as usize;
    checked(config)
}

/// The settings, if a store can be opened with them.
pub fn checked(config: RedisConfig) -> Result<RedisConfig, Failure> {
    config.check().map_err(|error| Failure::usage(format!("--redis: {error}")))?;
    Ok(config)
}

/// Adds the password that a file contains, if there is one.
pub async fn with_password(
    config: RedisConfig,
    file: Option<&Path>,
) -> Result<RedisConfig, Failure> {
    let Some(file) = file else { return Ok(config) };
    let password = password("--redis-password-file", file).await?;
    config.with_password(&password).map_err(|error| Failure::usage(error.to_string()))
}

/// The password in the file that a flag names.
async fn password(flag: &str, file: &Path) -> Result<String, Failure> {
    let text = tokio::fs::read_to_string(file)
        .await
        .with_context(|| format!("cannot read {flag} {}", file.display()))?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}
