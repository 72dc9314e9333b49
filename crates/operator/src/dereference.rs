//! Dereference: what a queue refers to, read before anything is built; and the password of a
//! managed Redis, made once.

use std::sync::Arc;

use bookingq_api::BookingQueueSpec;
use bookingq_api::plan::RedisSource;
use bookingq_store::RedisConfig;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Secret;

use crate::build::{names, redis, volumes};
use crate::caches::Caches;
use crate::error::ReconcileError;
use crate::secret_cache::SecretCache;
use crate::secrets::{Secrets, references};
use crate::target::Target;

/// What was found.
pub struct Found {
    /// The Secrets that the objects depend on.
    pub secrets: Secrets,
    /// How the operator itself reaches the queue's Redis.
    pub redis: RedisConfig,
}

/// Reads all that `target` refers to.
///
/// # Errors
/// [`ReconcileError::Secrets`] with all that is missing; [`ReconcileError::Store`] if Redis's URL is none;
/// [`ReconcileError::Api`].
pub async fn dereference(
    secret_cache: &SecretCache,
    caches: &Caches,
    target: &Target,
) -> Result<Found, ReconcileError> {
    let named = references(&target.plan);
    let mut found: Vec<Arc<Secret>> = Vec::new();
    for reference in &named {
        let known =
            found.iter().any(|secret| secret.metadata.name.as_deref() == Some(&reference.name));
        if !known {
            found.extend(secret_cache.get(&target.namespace, &reference.name).await?);
        }
    }
    if matches!(target.plan.redis.source, RedisSource::Managed(_)) {
        found.push(own_secret(secret_cache, caches, target).await?);
    }
    let mut secrets = Secrets::default();
    for secret in &found {
        secrets.note(secret);
    }
    let problems: Vec<_> =
        named.iter().filter_map(|reference| secrets.problem(reference)).collect();
    if !problems.is_empty() {
        return Err(ReconcileError::Secrets(problems));
    }
    let redis = redis_config(target, &found)?;
    Ok(Found { secrets, redis })
}

/// The Secret of the managed Redis. Made if it is not there, and never written again: a lost
/// password would be a lost Redis.
async fn own_secret(
    secret_cache: &SecretCache,
    caches: &Caches,
    target: &Target,
) -> Result<Arc<Secret>, ReconcileError> {
    let (name, namespace) = (names::redis(&target.name), &target.namespace);
    let new = || redis::secret::build(target, redis::secret::generate_password());
    let found = if caches.get::<StatefulSet>(namespace, &name).is_some() {
        secret_cache.get(namespace, &name).await?
    } else {
        // A new queue has none: making one is the cheapest way to ask.
        match secret_cache.create(namespace, &new()).await {
            Ok(made) => Some(made),
            Err(error) if error.code() == Some(409) => secret_cache.get(namespace, &name).await?,
            Err(error) => return Err(error.into()),
        }
    };
    let secret = match found {
        Some(secret) => secret,
        None => secret_cache.create(namespace, &new()).await?,
    };
    let owners = secret.metadata.owner_references.as_deref().unwrap_or_default();
    if owners.iter().any(|owner| owner.uid == target.owner.uid) {
        Ok(secret)
    } else {
        Err(ReconcileError::Foreign { kind: "Secret".to_owned(), name })
    }
}

fn redis_config(target: &Target, found: &[Arc<Secret>]) -> Result<RedisConfig, ReconcileError> {
    let value = |name: &str, key: &str| {
        let secret = found.iter().find(|secret| secret.metadata.name.as_deref() == Some(name))?;
        let value = secret.data.as_ref()?.get(key)?;
        Some(String::from_utf8_lossy(&value.0).trim_end_matches(['\r', '\n']).to_owned())
    };
    let url = match &target.plan.redis.source {
        RedisSource::UrlSecret(secret) => value(&secret.name, &secret.key).unwrap_or_default(),
        _ => volumes::redis_address(target),
    };
    let mut config = RedisConfig::new(url, target.plan.queue.clone());
    config.retention = target.plan.retention;
    let password = volumes::password(target).and_then(|secret| value(&secret.name, &secret.key));
    Ok(match password {
        Some(password) => config.with_password(&password)?,
        None => config,
    })
}

/// Whether the spec names the Secret. (That of a managed Redis is not named: it belongs to the
/// queue.)
pub fn refers_to(spec: &BookingQueueSpec, secret: &str) -> bool {
    let services = [Some(&spec.booking), spec.ticket.as_ref(), spec.realtime.as_ref()];
    let tls = services
        .into_iter()
        .flatten()
        .filter_map(|service| Some(service.tls.as_ref()?.secret_name.as_str()));
    let keys = [spec.redis.url_secret.as_ref(), spec.redis.password_secret.as_ref()];
    let keys = keys.into_iter().flatten().map(|key| key.name.as_str());
    tls.chain(keys).any(|name| name == secret)
}
