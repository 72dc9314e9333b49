//! Secrets in Pods: volumes, and the environment variables with the address of Redis.

use bookingq_api::downstream::Role;
use bookingq_api::plan::{RedisPlan, RedisSource};
use k8s_openapi::api::core::v1::{
    EnvVar, EnvVarSource, KeyToPath, SecretKeySelector, SecretVolumeSource, Volume, VolumeMount,
};

use super::names::{self, Part};
use crate::redis_failover::view::NODES;
use crate::secrets::{AUTHORITY, SecretPurpose, SecretReference};
use crate::target::QueueTarget;

const FOLDER: &str = "/etc/bookingq";
const PASSWORD: &str = "redis-password";
const SENTINEL_PASSWORD: &str = "sentinel-password";
const KAFKA_PASSWORD: &str = "kafka-password";
/// The process runs as another user than the owner of the files.
const READABLE: i32 = 0o444;

/// Folder of the TLS files of a service.
pub fn tls_folder(role: Role) -> String {
    format!("{FOLDER}/{}-tls", role.as_str())
}

/// Folder of the certificates for Redis.
pub const REDIS_TLS: &str = "/etc/bookingq/redis-tls";
/// Folder of the certificates for Kafka.
pub const KAFKA_TLS: &str = "/etc/bookingq/kafka-tls";
/// File with the password of the user at Kafka.
pub const KAFKA_PASSWORD_FILE: &str = "/etc/bookingq/kafka-password/password";
/// Folder of the certificate of the workers' gRPC port.
pub const WORKER_TLS: &str = "/etc/bookingq/worker-tls";
/// Folder of the authority of their callers.
pub const WORKER_CLIENT_CA: &str = "/etc/bookingq/worker-client-ca";

/// Folder of the authority that signs the workers' certificate, for gateways.
pub const WORKER_CA: &str = "/etc/bookingq/worker-ca";
/// Folder of the certificate that gateways present to workers.
pub const CLIENT_TLS: &str = "/etc/bookingq/client-tls";
/// Folder of the keys of places and passes.
pub const KEYS: &str = "/etc/bookingq/keys";
/// Folder of the certificate of the gateways' ports.
pub const GATEWAY_TLS: &str = "/etc/bookingq/gateway-tls";
/// Folder of the authority of the seller's backend.
pub const BACKEND_CLIENT_CA: &str = "/etc/bookingq/backend-client-ca";
/// Folder of the gateways' configuration.
pub const GATEWAY_CONFIG: &str = "/etc/bookingq/config";

/// The volumes of a Pod of this part, each with its mount.
pub fn build(target: &QueueTarget, part: Part) -> (Vec<Volume>, Vec<VolumeMount>) {
    target.secrets.iter().filter_map(|secret| mount_in(target, part, secret)).unzip()
}

/// The mount of the Secret in the Pods of this part, if they use it. A new Secret gets its line
/// here.
fn mount_in(
    target: &QueueTarget,
    part: Part,
    secret: &SecretReference,
) -> Option<(Volume, VolumeMount)> {
    let whole = |name: &str| Some(mounted(name, &secret.name, None));
    let one = |name: &str, key: &str, path| Some(mounted(name, &secret.name, Some((key, path))));
    match (part, secret.purpose) {
        (Part::Worker, SecretPurpose::Tls(role))
        | (Part::Sweeper, SecretPurpose::Tls(role @ Role::Booking)) => {
            whole(&format!("{}-tls", role.as_str()))
        }
        (Part::Worker | Part::Sweeper, SecretPurpose::RedisPassword) => redis_password(target),
        (Part::Worker | Part::Sweeper, SecretPurpose::SentinelPassword) => {
            one(SENTINEL_PASSWORD, secret.keys.first()?, names::PASSWORD_KEY)
        }
        (Part::Worker | Part::Sweeper, SecretPurpose::RedisTls) => whole("redis-tls"),
        (Part::Worker | Part::Sweeper, SecretPurpose::KafkaTls) => whole("kafka-tls"),
        (Part::Worker | Part::Sweeper, SecretPurpose::KafkaPassword) => {
            one(KAFKA_PASSWORD, secret.keys.first()?, names::PASSWORD_KEY)
        }
        (Part::Worker, SecretPurpose::WorkerTls) => whole("worker-tls"),
        (Part::Worker, SecretPurpose::WorkerClientCa) => {
            one("worker-client-ca", AUTHORITY, AUTHORITY)
        }
        // Never the workers' key: gateways face the internet.
        (Part::Gateway, SecretPurpose::WorkerTls) => one("worker-ca", AUTHORITY, AUTHORITY),
        (Part::Gateway, SecretPurpose::GatewayClient) => whole("client-tls"),
        (Part::Gateway, SecretPurpose::GatewayKeys) => whole("keys"),
        (Part::Gateway, SecretPurpose::GatewayTls) => whole("gateway-tls"),
        (Part::Gateway, SecretPurpose::GatewayBackendCa) => {
            one("backend-client-ca", AUTHORITY, AUTHORITY)
        }
        _ => None,
    }
}

/// The password of Redis, for a Pod that needs no other Secret.
pub fn redis_password(target: &QueueTarget) -> Option<(Volume, VolumeMount)> {
    let secret = target.secret(SecretPurpose::RedisPassword)?;
    Some(mounted(PASSWORD, &secret.name, Some((secret.keys.first()?, names::PASSWORD_KEY))))
}

/// The whole Secret, or one key as the file of another name.
pub fn mounted(name: &str, secret: &str, only: Option<(&str, &str)>) -> (Volume, VolumeMount) {
    let item = |(key, path): (&str, &str)| KeyToPath {
        key: key.to_owned(),
        path: path.to_owned(),
        mode: None,
    };
    let items = only.map(|only| vec![item(only)]);
    let source = SecretVolumeSource {
        secret_name: Some(secret.to_owned()),
        items,
        default_mode: Some(READABLE),
        // A Secret may lack the authority, and a reconcile checks all keys that it must have.
        optional: only.filter(|(key, _)| *key == AUTHORITY).map(|_| true),
    };
    let volume = Volume { name: name.to_owned(), secret: Some(source), ..Volume::default() };
    let mount = VolumeMount {
        name: name.to_owned(),
        mount_path: format!("{FOLDER}/{name}"),
        read_only: Some(true),
        ..VolumeMount::default()
    };
    (volume, mount)
}

/// The address of Redis. Passwords come from files and Secrets, never as plain text. That of Kafka
/// is an argument.
pub fn environment(target: &QueueTarget) -> Vec<EnvVar> {
    let Some(redis) = target.plan.store.redis() else { return Vec::new() };
    let url = match target.secret(SecretPurpose::RedisUrl) {
        Some(secret) => from_secret("BOOKINGQ_REDIS", secret),
        None => plain("BOOKINGQ_REDIS", redis_address(target, redis)),
    };
    let file = |purpose, name, folder| {
        target.secret(purpose)?;
        Some(plain(name, format!("{FOLDER}/{folder}/{}", names::PASSWORD_KEY)))
    };
    let files = [
        file(SecretPurpose::RedisPassword, "BOOKINGQ_REDIS_PASSWORD_FILE", PASSWORD),
        file(
            SecretPurpose::SentinelPassword,
            "BOOKINGQ_REDIS_SENTINEL_PASSWORD_FILE",
            SENTINEL_PASSWORD,
        ),
    ];
    std::iter::once(url).chain(files.into_iter().flatten()).collect()
}

/// The URL of the queue's Redis without a password; empty if a Secret contains it.
pub fn redis_address(target: &QueueTarget, redis: &RedisPlan) -> String {
    let scheme = if redis.tls.is_some() { "rediss" } else { "redis" };
    match &redis.source {
        RedisSource::Url(url) => url.clone(),
        RedisSource::Managed(_) => {
            let (queue, namespace) = (&target.name, &target.namespace);
            if target.failover.is_none() {
                let host = format!("{}.{namespace}.svc", names::redis(queue));
                return format!("redis://{host}:{}", names::REDIS_PORT);
            }
            // Never the Service, which leads to replicas too.
            let node = |ordinal| {
                let host = names::redis_host(namespace, queue, ordinal);
                format!("{host}:{}", names::REDIS_PORT)
            };
            let nodes: Vec<String> = (0..NODES).map(node).collect();
            format!("redis://{}/0", nodes.join(","))
        }
        RedisSource::Sentinel(sentinel) => {
            let database = sentinel.database.map(|database| format!("/{database}"));
            format!(
                "{scheme}-sentinel://{}{}#{}",
                sentinel.nodes.join(","),
                database.unwrap_or_default(),
                sentinel.primary_name
            )
        }
        RedisSource::Cluster(cluster) => format!("{scheme}-cluster://{}", cluster.nodes.join(",")),
        RedisSource::UrlSecret(_) => String::new(),
    }
}

/// A variable with this value.
pub fn plain(name: &str, value: String) -> EnvVar {
    EnvVar { name: name.to_owned(), value: Some(value), ..EnvVar::default() }
}

/// A variable with the value of a Secret's first key.
pub fn from_secret(name: &str, secret: &SecretReference) -> EnvVar {
    let key = secret.keys.first().map(String::as_str).unwrap_or_default();
    from_secret_key(name, &secret.name, key, None)
}

/// A variable with the value of this key of a Secret. Without the key, the container starts only if
/// it is `optional`.
pub fn from_secret_key(name: &str, secret: &str, key: &str, optional: Option<bool>) -> EnvVar {
    let selector = SecretKeySelector { name: secret.to_owned(), key: key.to_owned(), optional };
    let source = EnvVarSource { secret_key_ref: Some(selector), ..EnvVarSource::default() };
    EnvVar { name: name.to_owned(), value_from: Some(source), ..EnvVar::default() }
}
