//! The Secrets of a queue: listed once, for the Pods' volumes and environment, the watch, and the
//! checksum that restarts the Pods.

use std::collections::{BTreeMap, BTreeSet};

use bookingq_api::BookingQueueSpec;
use bookingq_api::downstream::{DownstreamSpec, Role, TlsSpec};
use bookingq_api::secret_key::SecretKey;
use k8s_openapi::api::core::v1::Secret;

use crate::build::names::Part;

/// What a Secret is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretPurpose {
    /// Certificates for calls to this service.
    Tls(Role),
    /// The whole URL of Redis.
    RedisUrl,
    /// The password of Redis.
    RedisPassword,
    /// The password of the sentinels.
    SentinelPassword,
    /// Certificates for Redis.
    RedisTls,
    /// Certificates for Kafka.
    KafkaTls,
    /// The password of the user at Kafka.
    KafkaPassword,
    /// Certificate of the workers' gRPC port.
    WorkerTls,
    /// The authority of the certificates that callers of the workers present.
    WorkerClientCa,
    /// Keys of places and passes.
    GatewayKeys,
    /// Certificate of the gateways' ports.
    GatewayTls,
    /// The authority of the certificates that the seller's backend presents.
    GatewayBackendCa,
    /// Certificate that the gateways present to the workers.
    GatewayClient,
}

impl SecretPurpose {
    /// Whether a change of the Secret restarts the Pods of this part: those that read it only when
    /// they start. A port reads a renewed certificate by itself.
    pub fn restarts(self, part: Part) -> bool {
        match self {
            Self::Tls(_) | Self::RedisUrl | Self::SentinelPassword | Self::KafkaPassword => {
                part == Part::Worker
            }
            Self::RedisPassword => matches!(part, Part::Worker | Part::Redis),
            Self::WorkerTls | Self::GatewayClient => part == Part::Gateway,
            Self::RedisTls
            | Self::KafkaTls
            | Self::WorkerClientCa
            | Self::GatewayKeys
            | Self::GatewayTls
            | Self::GatewayBackendCa => false,
        }
    }
}

/// A Secret that a queue uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretReference {
    /// Name of the Secret.
    pub name: String,
    /// The keys that it must have.
    pub keys: Vec<String>,
    /// The field of the spec that names it.
    pub field: &'static str,
    /// What it is for.
    pub purpose: SecretPurpose,
}

/// Keys of a Secret of the type `kubernetes.io/tls`.
const PAIR: [&str; 2] = ["tls.crt", "tls.key"];
/// Key with the certificates of an authority.
pub const AUTHORITY: &str = "ca.crt";

/// The Secrets that the spec names. A new Secret of a queue gets its line here.
pub fn references(spec: &BookingQueueSpec) -> Vec<SecretReference> {
    let whole = |tls: Option<&TlsSpec>| Some((tls?.secret_name.clone(), vec![]));
    let tls = |service: Option<&DownstreamSpec>| whole(service?.tls.as_ref());
    let key = |key: Option<&SecretKey>| Some((key?.name.clone(), vec![key?.key.clone()]));
    let owned = |keys: &[&str]| keys.iter().map(|&key| key.to_owned()).collect();
    let with = |name: Option<&String>, keys: &[&str]| Some((name?.clone(), owned(keys)));
    let (worker, gateway) = (spec.worker.tls.as_ref(), spec.gateway.as_ref());
    let redis = spec.redis.as_ref();
    let sentinel = redis.and_then(|redis| redis.sentinel.as_ref()?.password_secret.as_ref());
    let url = redis.and_then(|redis| redis.url_secret.as_ref());
    let password = redis.and_then(|redis| redis.password_secret.as_ref());
    let all = [
        ("spec.booking.tls", SecretPurpose::Tls(Role::Booking), tls(Some(&spec.booking))),
        ("spec.ticket.tls", SecretPurpose::Tls(Role::Ticket), tls(spec.ticket.as_ref())),
        ("spec.realtime.tls", SecretPurpose::Tls(Role::Realtime), tls(spec.realtime.as_ref())),
        ("spec.redis.urlSecret", SecretPurpose::RedisUrl, key(url)),
        ("spec.redis.passwordSecret", SecretPurpose::RedisPassword, key(password)),
        ("spec.redis.sentinel.passwordSecret", SecretPurpose::SentinelPassword, key(sentinel)),
        (
            "spec.redis.tls",
            SecretPurpose::RedisTls,
            whole(redis.and_then(|redis| redis.tls.as_ref())),
        ),
        (
            "spec.worker.tls.secretName",
            SecretPurpose::WorkerTls,
            with(worker.map(|tls| &tls.secret_name), &PAIR),
        ),
        (
            "spec.worker.tls.clientCaSecretName",
            SecretPurpose::WorkerClientCa,
            with(worker.and_then(|tls| tls.client_ca_secret_name.as_ref()), &[AUTHORITY]),
        ),
        (
            "spec.gateway.keys.secretName",
            SecretPurpose::GatewayKeys,
            with(gateway.map(|gateway| &gateway.keys.secret_name), &[]),
        ),
        (
            "spec.gateway.tls.secretName",
            SecretPurpose::GatewayTls,
            with(gateway.and_then(|gateway| Some(&gateway.tls.as_ref()?.secret_name)), &PAIR),
        ),
        (
            "spec.gateway.backend.clientCaSecretName",
            SecretPurpose::GatewayBackendCa,
            with(gateway.and_then(|g| g.backend.client_ca_secret_name.as_ref()), &[AUTHORITY]),
        ),
        (
            "spec.gateway.clientCertificateSecretName",
            SecretPurpose::GatewayClient,
            with(gateway.and_then(|g| g.client_certificate_secret_name.as_ref()), &PAIR),
        ),
    ];
    let named = |(field, purpose, secret): (_, _, Option<_>)| {
        let (name, keys) = secret?;
        Some(SecretReference { name, keys, field, purpose })
    };
    all.into_iter().filter_map(named).chain(of_kafka(spec)).collect()
}

/// Those of `spec.kafka`.
fn of_kafka(spec: &BookingQueueSpec) -> impl Iterator<Item = SecretReference> {
    let kafka = spec.kafka.as_ref();
    let tls = kafka.and_then(|kafka| kafka.tls.as_ref()?.secret_name.clone());
    let tls = tls.map(|name| SecretReference {
        name,
        keys: Vec::new(),
        field: "spec.kafka.tls.secretName",
        purpose: SecretPurpose::KafkaTls,
    });
    let password = kafka.and_then(|kafka| Some(kafka.sasl.as_ref()?.password_secret.clone()));
    let password = password.map(|secret| SecretReference {
        name: secret.name,
        keys: vec![secret.key],
        field: "spec.kafka.sasl.passwordSecret",
        purpose: SecretPurpose::KafkaPassword,
    });
    tls.into_iter().chain(password)
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

    /// Why the reference cannot be used, if so.
    pub fn problem(&self, reference: &SecretReference) -> Option<SecretProblem> {
        let SecretReference { name, keys, field, .. } = reference.clone();
        if !self.0.contains_key(&name) {
            return Some(SecretProblem::Missing { name, field });
        }
        let missing = keys.into_iter().find(|key| !self.has(&name, key));
        // A certificate without its key, or a key without its certificate.
        let half = || match PAIR.map(|key| self.has(&name, key)) {
            [true, false] => Some(PAIR[1].to_owned()),
            [false, true] => Some(PAIR[0].to_owned()),
            _ => None,
        };
        let key = match reference.purpose {
            SecretPurpose::Tls(_) | SecretPurpose::RedisTls | SecretPurpose::KafkaTls => {
                missing.or_else(half)
            }
            _ => missing,
        };
        Some(SecretProblem::NoKey { name, field, key: key? })
    }

    /// Names and versions of the Secrets among `references` whose changes restart the Pods of
    /// `part`, for an annotation of their template. A checksum of the contents would let short
    /// passwords be guessed.
    pub fn fingerprint(&self, references: &[SecretReference], part: Part) -> String {
        let restarts = |name: &str| {
            references.iter().any(|secret| secret.name == name && secret.purpose.restarts(part))
        };
        let all = self.0.iter().filter(|(name, _)| restarts(name));
        let all = all.map(|(name, secret)| format!("{name}@{}", secret.version));
        all.collect::<Vec<_>>().join(" ")
    }
}
