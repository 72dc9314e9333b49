//! Secrets in Pods: which are mounted where, and the environment that tells where Redis is.

use bookingq_api::downstream::Role;
use bookingq_api::plan::{RedisSource, ServicePlan};
use bookingq_api::redis::SecretKey;
use k8s_openapi::api::core::v1::{
    EnvVar, EnvVarSource, KeyToPath, SecretKeySelector, SecretVolumeSource, Volume, VolumeMount,
};

use super::names;
use crate::target::Target;

const FOLDER: &str = "/etc/bookingq";
const PASSWORD: &str = "redis-password";
/// The process runs as another user than the one who owns the files.
const READABLE: i32 = 0o444;

/// Where the TLS files of a service are.
pub fn tls_folder(role: Role) -> String {
    format!("{FOLDER}/{}-tls", role.as_str())
}

/// The services of the plan, by their roles.
fn services(target: &Target) -> impl Iterator<Item = (Role, &ServicePlan)> {
    let plan = &target.plan;
    let optional = [(Role::Ticket, plan.ticket.as_ref()), (Role::Realtime, plan.realtime.as_ref())];
    let optional = optional.into_iter().filter_map(|(role, service)| Some((role, service?)));
    std::iter::once((Role::Booking, &plan.booking)).chain(optional)
}

/// The volumes of a Pod that calls the services `wanted` and Redis, each with its mount.
pub fn build(target: &Target, wanted: impl Fn(Role) -> bool) -> (Vec<Volume>, Vec<VolumeMount>) {
    let tls = services(target).filter(|(role, _)| wanted(*role)).filter_map(|(role, service)| {
        let secret = service.tls.as_ref()?.secret_name.clone();
        Some(mounted(&format!("{}-tls", role.as_str()), secret, None))
    });
    let password = password(target).map(|secret| mounted(PASSWORD, secret.name, Some(secret.key)));
    tls.chain(password).unzip()
}

/// The Secret that holds the password of Redis, if it stands alone.
pub fn password(target: &Target) -> Option<SecretKey> {
    match &target.plan.redis.source {
        RedisSource::Managed(_) => Some(SecretKey {
            name: names::redis(&target.name),
            key: names::PASSWORD_KEY.to_owned(),
        }),
        _ => target.plan.redis.password.clone(),
    }
}

fn mounted(name: &str, secret: String, key: Option<String>) -> (Volume, VolumeMount) {
    let items =
        key.map(|key| vec![KeyToPath { key, path: names::PASSWORD_KEY.to_owned(), mode: None }]);
    let source = SecretVolumeSource {
        secret_name: Some(secret),
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

/// Tells a process where Redis is. Passwords come from files and Secrets, never in plain text.
pub fn environment(target: &Target) -> Vec<EnvVar> {
    let url = match &target.plan.redis.source {
        RedisSource::UrlSecret(secret) => from_secret("BOOKINGQ_REDIS", secret),
        _ => plain("BOOKINGQ_REDIS", redis_address(target)),
    };
    let file = password(target).map(|_| {
        plain(
            "BOOKINGQ_REDIS_PASSWORD_FILE",
            format!("{FOLDER}/{PASSWORD}/{}", names::PASSWORD_KEY),
        )
    });
    std::iter::once(url).chain(file).collect()
}

/// The URL of the queue's Redis without a password; empty where only a Secret knows it.
pub fn redis_address(target: &Target) -> String {
    match &target.plan.redis.source {
        RedisSource::Url(url) => url.clone(),
        RedisSource::Managed(_) => {
            format!(
                "redis://{}.{}.svc:{}",
                names::redis(&target.name),
                target.namespace,
                names::REDIS_PORT
            )
        }
        RedisSource::UrlSecret(_) | RedisSource::Sentinel(_) | RedisSource::Cluster(_) => {
            String::new()
        }
    }
}

fn plain(name: &str, value: String) -> EnvVar {
    EnvVar { name: name.to_owned(), value: Some(value), ..EnvVar::default() }
}

/// A variable whose value is a key of a Secret.
pub fn from_secret(name: &str, secret: &SecretKey) -> EnvVar {
    let selector =
        SecretKeySelector { name: secret.name.clone(), key: secret.key.clone(), optional: None };
    let source = EnvVarSource { secret_key_ref: Some(selector), ..EnvVarSource::default() };
    EnvVar { name: name.to_owned(), value_from: Some(source), ..EnvVar::default() }
}
