//! Dereference: reads the Secrets of a queue before its objects are built, and creates the password
//! of a managed Redis.

use std::sync::Arc;

use bookingq_api::plan::{KafkaPlan, RedisPlan, RedisSource, StorePlan};
use bookingq_store::RedisConfig;
use bookingq_store::redis::{PemSource, RedisTls, SentinelLogin};
use bookingq_store::replicated::{KafkaLogin, KafkaSecurity, KafkaTls};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Secret;

use crate::autoscaler::{KafkaAccess, RedisPassword, StoreAccess};
use crate::build::{names, redis, volumes};
use crate::cached_object::owners;
use crate::error::ReconcileError;
use crate::object_cache::ObjectCache;
use crate::secret_cache::SecretCache;
use crate::secrets::{AUTHORITY, SecretPurpose, SecretReference, Secrets};
use crate::target::QueueTarget;

/// The result.
pub struct Dereferenced {
    /// Versions and keys of the Secrets.
    pub secrets: Secrets,
    /// How the operator connects to the queue's store.
    pub store: StoreAccess,
    /// The password of a managed Redis.
    pub redis_password: Option<RedisPassword>,
}

/// Reads the Secrets of `target`.
pub async fn dereference(
    cache: &SecretCache,
    objects: &ObjectCache,
    target: &QueueTarget,
) -> Result<Dereferenced, ReconcileError> {
    let own = target.managed_redis().map(|_| names::redis(&target.name));
    let mut found: Vec<Arc<Secret>> = Vec::new();
    for reference in &target.secrets {
        let name = &reference.name;
        if found.iter().any(|secret| secret.metadata.name.as_ref() == Some(name)) {
            continue;
        }
        if own.as_ref() == Some(name) {
            found.push(own_secret(cache, objects, target).await?);
        } else {
            found.extend(cache.get(&target.namespace, name).await?);
        }
    }
    connect(target, &found)
}

/// The same without creating the password of a managed Redis.
pub async fn look_up(
    cache: &SecretCache,
    target: &QueueTarget,
) -> Result<Dereferenced, ReconcileError> {
    let mut found: Vec<Arc<Secret>> = Vec::new();
    for reference in &target.secrets {
        found.extend(cache.get(&target.namespace, &reference.name).await?);
    }
    connect(target, &found)
}

/// How the operator connects, by these Secrets.
fn connect(target: &QueueTarget, found: &[Arc<Secret>]) -> Result<Dereferenced, ReconcileError> {
    let mut secrets = Secrets::default();
    for secret in found {
        secrets.insert(secret);
    }
    let problems: Vec<_> =
        target.secrets.iter().filter_map(|reference| secrets.problem(reference)).collect();
    if !problems.is_empty() {
        return Err(ReconcileError::Secrets(problems));
    }
    let redis_password = target.managed_redis().and_then(|_| {
        let password = value(target, found, SecretPurpose::RedisPassword)?;
        Some(RedisPassword(password.into()))
    });
    let store = match &target.plan.store {
        StorePlan::Redis(redis) => StoreAccess::Redis(redis_config(target, redis, found)?),
        StorePlan::Kafka(kafka) => {
            let security = kafka_security(target, kafka, found);
            StoreAccess::Kafka(KafkaAccess::new(target, kafka, security)?)
        }
    };
    Ok(Dereferenced { secrets, store, redis_password })
}

/// The Secret of the managed Redis. Created if missing, and never written again: a lost password
/// would make the data inaccessible.
async fn own_secret(
    cache: &SecretCache,
    objects: &ObjectCache,
    target: &QueueTarget,
) -> Result<Arc<Secret>, ReconcileError> {
    let (name, namespace) = (names::redis(&target.name), &target.namespace);
    let new = || redis::secret::build(target, redis::secret::generate_password());
    let found = if objects.status::<StatefulSet>(namespace, &name).is_some() {
        cache.get(namespace, &name).await?
    } else {
        // A new queue has none: creating it is the cheapest way to ask.
        match cache.create(namespace, &new()).await {
            Ok(created) => Some(created),
            Err(error) if error.code() == Some(409) => cache.get(namespace, &name).await?,
            Err(error) => return Err(error.into()),
        }
    };
    let secret = match found {
        Some(secret) => secret,
        None => cache.create(namespace, &new()).await?,
    };
    let owned = owners(&secret.metadata).any(|uid| uid == target.owner.uid);
    if owned { Ok(secret) } else { Err(ReconcileError::NameConflict { kind: "Secret", name }) }
}

fn redis_config(
    target: &QueueTarget,
    redis: &RedisPlan,
    found: &[Arc<Secret>],
) -> Result<RedisConfig, ReconcileError> {
    let url = value(target, found, SecretPurpose::RedisUrl)
        .unwrap_or_else(|| volumes::redis_address(target, redis));
    let mut config = RedisConfig::new(url, target.plan.queue.clone());
    config.retention = target.plan.retention;
    config.acknowledge_replicas = redis.acknowledge_replicas;
    if let RedisSource::Sentinel(sentinel) = &redis.source {
        config.sentinel = SentinelLogin {
            username: sentinel.username.clone(),
            password: value(target, found, SecretPurpose::SentinelPassword),
        };
    }
    if let Some(reference) = target.secret(SecretPurpose::RedisTls) {
        let pem = |key| data(found, reference, key).map(PemSource::Text);
        config.tls = RedisTls { ca: pem(AUTHORITY), identity: pem("tls.crt").zip(pem("tls.key")) };
    }
    Ok(match value(target, found, SecretPurpose::RedisPassword) {
        Some(password) => config.with_password(&password)?,
        None => config,
    })
}

/// How the operator reaches the brokers.
fn kafka_security(target: &QueueTarget, kafka: &KafkaPlan, found: &[Arc<Secret>]) -> KafkaSecurity {
    let pem = |key| {
        let reference = target.secret(SecretPurpose::KafkaTls)?;
        data(found, reference, key).map(PemSource::Text)
    };
    let tls = kafka
        .tls
        .as_ref()
        .map(|_| KafkaTls { ca: pem(AUTHORITY), identity: pem("tls.crt").zip(pem("tls.key")) });
    let login = kafka.sasl.as_ref().map(|sasl| KafkaLogin {
        mechanism: sasl.mechanism.into(),
        user: sasl.username.clone(),
        password: value(target, found, SecretPurpose::KafkaPassword).unwrap_or_default(),
    });
    KafkaSecurity { tls, login }
}

/// The bytes of a Secret's key.
fn data(found: &[Arc<Secret>], reference: &SecretReference, key: &str) -> Option<Vec<u8>> {
    let mut named = found.iter().filter(|s| s.metadata.name.as_ref() == Some(&reference.name));
    Some(named.next()?.data.as_ref()?.get(key)?.0.clone())
}

/// The text of the Secret for this purpose.
fn value(target: &QueueTarget, found: &[Arc<Secret>], purpose: SecretPurpose) -> Option<String> {
    let reference = target.secret(purpose)?;
    let value = data(found, reference, reference.keys.first()?)?;
    Some(String::from_utf8_lossy(&value).trim_end_matches(['\r', '\n']).to_owned())
}
