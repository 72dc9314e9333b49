//! Secrets in Pods: volumes, and the environment variables with the address of Redis.

use bookingq_api::downstream::Role;
use bookingq_api::plan::RedisSource;
use k8s_openapi::api::core::v1::{
    EnvVar, EnvVarSource, KeyToPath, SecretKeySelector, SecretVolumeSource, Volume, VolumeMount,
};

use super::names;
use crate::secrets::{SecretPurpose, SecretReference};
use crate::target::QueueTarget;

const FOLDER: &str = "/etc/bookingq";
const PASSWORD: &str = "redis-password";
/// The process runs as another user than the owner of the files.
const READABLE: i32 = 0o444;

/// Folder of the TLS files of a service.
pub fn tls_folder(role: Role) -> String {
    format!("{FOLDER}/{}-tls", role.as_str())
}

/// The volumes of a Pod that calls the services `wanted` and Redis, each with its mount.
pub fn build(
    target: &QueueTarget,
    wanted: impl Fn(Role) -> bool,
) -> (Vec<Volume>, Vec<VolumeMount>) {
    let volumes = target.secrets.iter().filter_map(|secret| match secret.purpose {
        SecretPurpose::Tls(role) if wanted(role) => {
            Some(mounted(&format!("{}-tls", role.as_str()), &secret.name, None))
        }
        SecretPurpose::RedisPassword => Some(mounted(PASSWORD, &secret.name, secret.key.clone())),
        SecretPurpose::Tls(_) | SecretPurpose::RedisUrl => None,
    });
    volumes.unzip()
}

fn mounted(name: &str, secret: &str, key: Option<String>) -> (Volume, VolumeMount) {
    let items =
        key.map(|key| vec![KeyToPath { key, path: names::PASSWORD_KEY.to_owned(), mode: None }]);
    let source = SecretVolumeSource {
        secret_name: Some(secret.to_owned()),
        items,
        default_mode: Some(READABLE),
        ..SecretVolumeSource::default()
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

/// The address of Redis. Passwords come from files and Secrets, never as plain text.
pub fn environment(target: &QueueTarget) -> Vec<EnvVar> {
    let url = match target.secret(SecretPurpose::RedisUrl) {
        Some(secret) => from_secret("BOOKINGQ_REDIS", secret),
        None => plain("BOOKINGQ_REDIS", redis_address(target)),
    };
    let file = target.secret(SecretPurpose::RedisPassword).map(|_| {
        let path = format!("{FOLDER}/{PASSWORD}/{}", names::PASSWORD_KEY);
        plain("BOOKINGQ_REDIS_PASSWORD_FILE", path)
    });
    std::iter::once(url).chain(file).collect()
}

/// The URL of the queue's Redis without a password; empty if a Secret contains it.
pub fn redis_address(target: &QueueTarget) -> String {
    match &target.plan.redis.source {
        RedisSource::Url(url) => url.clone(),
        RedisSource::Managed(_) => {
            let host = format!("{}.{}.svc", names::redis(&target.name), target.namespace);
            format!("redis://{host}:{}", names::REDIS_PORT)
        }
        RedisSource::UrlSecret(_) | RedisSource::Sentinel(_) | RedisSource::Cluster(_) => {
            String::new()
        }
    }
}

fn plain(name: &str, value: String) -> EnvVar {
    EnvVar { name: name.to_owned(), value: Some(value), ..EnvVar::default() }
}

/// A variable with the value of a Secret's key.
pub fn from_secret(name: &str, secret: &SecretReference) -> EnvVar {
    let selector = SecretKeySelector {
        name: secret.name.clone(),
        key: secret.key.clone().unwrap_or_default(),
        optional: None,
    };
    let source = EnvVarSource { secret_key_ref: Some(selector), ..EnvVarSource::default() };
    EnvVar { name: name.to_owned(), value_from: Some(source), ..EnvVar::default() }
}
