//! The Secrets of a queue: listed once, for the Pods' volumes and environment, the watch, and the
//! checksum that restarts the Pods.

use std::collections::{BTreeMap, BTreeSet};

use bookingq_api::BookingQueueSpec;
use bookingq_api::downstream::{DownstreamSpec, Role};
use bookingq_api::redis::SecretKey;
use k8s_openapi::api::core::v1::Secret;

/// What a Secret is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretPurpose {
    /// Certificates for calls to this service.
    Tls(Role),
    /// The whole URL of Redis.
    RedisUrl,
    /// The password of Redis.
    RedisPassword,
}

/// A Secret that a queue uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretReference {
    /// Name of the Secret.
    pub name: String,
    /// The key that it must have.
    pub key: Option<String>,
    /// The field of the spec that names it.
    pub field: &'static str,
    /// What it is for.
    pub purpose: SecretPurpose,
}

/// The Secrets that the spec names. A new Secret of a queue gets its line here.
pub fn references(spec: &BookingQueueSpec) -> Vec<SecretReference> {
    let tls =
        |service: Option<&DownstreamSpec>| Some((service?.tls.as_ref()?.secret_name.clone(), None));
    let key = |key: Option<&SecretKey>| Some((key?.name.clone(), Some(key?.key.clone())));
    let all = [
        ("spec.booking.tls", SecretPurpose::Tls(Role::Booking), tls(Some(&spec.booking))),
        ("spec.ticket.tls", SecretPurpose::Tls(Role::Ticket), tls(spec.ticket.as_ref())),
        ("spec.realtime.tls", SecretPurpose::Tls(Role::Realtime), tls(spec.realtime.as_ref())),
        ("spec.redis.urlSecret", SecretPurpose::RedisUrl, key(spec.redis.url_secret.as_ref())),
        (
            "spec.redis.passwordSecret",
            SecretPurpose::RedisPassword,
            key(spec.redis.password_secret.as_ref()),
        ),
    ];
    let named = all.into_iter().filter_map(|(field, purpose, secret)| {
        let (name, key) = secret?;
        Some(SecretReference { name, key, field, purpose })
    });
    named.collect()
}

/// Why a Secret cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretProblem {
    /// No such Secret.
    #[error("the Secret {name}, named in {field}, does not exist in this namespace")]
    Missing {
        /// Name of the Secret.
        name: String,
        /// The field that names it.
        field: &'static str,
    },
    /// The Secret lacks a key.
    #[error("the Secret {name}, named in {field}, has no key {key}")]
    NoKey {
        /// Name of the Secret.
        name: String,
        /// The field that names it.
        field: &'static str,
        /// The missing key.
        key: String,
    },
}

/// Versions and keys of the Secrets that were found, without their contents.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Secrets(BTreeMap<String, SecretVersion>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct SecretVersion {
    version: String,
    keys: BTreeSet<String>,
}

impl Secrets {
    /// Adds a Secret.
    pub fn insert(&mut self, secret: &Secret) {
        let name = secret.metadata.name.clone().unwrap_or_default();
        let version = secret.metadata.resource_version.clone().unwrap_or_default();
        let keys = secret.data.iter().flatten().map(|(key, _)| key.clone()).collect();
        self.0.insert(name, SecretVersion { version, keys });
    }

    /// Whether the Secret `name` exists and has `key`.
    pub fn has(&self, name: &str, key: &str) -> bool {
        self.0.get(name).is_some_and(|secret| secret.keys.contains(key))
    }

    /// The Secret `name` alone.
    #[must_use]
    pub fn only(&self, name: &str) -> Self {
        Self(self.0.get_key_value(name).map(|(k, v)| (k.clone(), v.clone())).into_iter().collect())
    }

    /// Why the reference cannot be used, if so.
    pub fn problem(&self, reference: &SecretReference) -> Option<SecretProblem> {
        let SecretReference { name, key, field, .. } = reference.clone();
        if !self.0.contains_key(&name) {
            return Some(SecretProblem::Missing { name, field });
        }
        let key = key.filter(|key| !self.has(&name, key))?;
        Some(SecretProblem::NoKey { name, field, key })
    }

    /// Names and versions, for an annotation of Pod templates: a changed Secret restarts the Pods.
    /// A checksum of the contents would let short passwords be guessed.
    pub fn fingerprint(&self) -> String {
        let all = self.0.iter().map(|(name, secret)| format!("{name}@{}", secret.version));
        all.collect::<Vec<_>>().join(" ")
    }
}
