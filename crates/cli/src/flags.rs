//! Flags that several subcommands share, and their conversion to typed values.

use bookingq_api::args::{KafkaArgs, RedisAccessArgs, RedisArgs};
use bookingq_core::{QueueName, defaults};
use bookingq_store::replicated::{KafkaAddress, KafkaConfig, KafkaSecurity, ReplicatedConfig};
use bookingq_store::{RedisConfig, StoreConfig};
use bookingq_worker::kafka_access::{self, KafkaAccessError};
use bookingq_worker::redis_access::{RedisAccessError, with_access};

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
        file @ KafkaAccessError::File(_) => file.into(),
        usage => Failure::usage(usage.to_string()),
    })
}

async fn redis_config(args: RedisArgs, queue: QueueName) -> Result<RedisConfig, Failure> {
    let url = args.url.unwrap_or_else(|| defaults::REDIS_URL.to_owned());
    let config = RedisConfig {
        acknowledge_replicas: args.acknowledge_replicas,
        deadline: args.deadline.get(),
        retention: args.retention.get(),
        outbox_entries: args.outbox_entries as usize,
        ..RedisConfig::new(url, queue)
    };
    reached(config, &args.access).await
}

/// The settings with the logins and certificates of `args`, if a store can be opened with them.
pub async fn reached(config: RedisConfig, args: &RedisAccessArgs) -> Result<RedisConfig, Failure> {
    with_access(config, args).await.map_err(|error| match error {
        RedisAccessError::Settings(error) => Failure::usage(format!("--redis: {error}")),
        file @ RedisAccessError::File(_) => file.into(),
    })
}
