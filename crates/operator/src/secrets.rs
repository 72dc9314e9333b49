//! The Secrets a queue refers to: which ones, and what of them its objects depend on.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use bookingq_api::Plan;
use bookingq_api::plan::RedisSource;
use k8s_openapi::api::core::v1::Secret;

/// A Secret that is needed and not there, or not whole.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretProblem {
    /// No such Secret.
    #[error("the Secret {name}, named in {field}, does not exist in this namespace")]
    Missing {
        /// The Secret.
        name: String,
        /// Where the spec names it.
        field: &'static str,
    },
    /// It has no such key.
    #[error("the Secret {name}, named in {field}, has no key {key}")]
    NoKey {
        /// The Secret.
        name: String,
        /// Where the spec names it.
        field: &'static str,
        /// The key.
        key: String,
    },
}

/// One Secret that a spec names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// The Secret.
    pub name: String,
    /// A key that it must have.
    pub key: Option<String>,
    /// Where the spec names it.
    pub field: &'static str,
}

/// The Secrets that the plan names, in the order of its fields.
pub fn references(plan: &Plan) -> Vec<Reference> {
    let services = [
        ("spec.booking.tls", Some(&plan.booking)),
        ("spec.ticket.tls", plan.ticket.as_ref()),
        ("spec.realtime.tls", plan.realtime.as_ref()),
    ];
    let tls = services.into_iter().filter_map(|(field, service)| {
        let tls = service?.tls.as_ref()?;
        Some(Reference { name: tls.secret_name.clone(), key: None, field })
    });
    let url = match &plan.redis.source {
        RedisSource::UrlSecret(secret) => Some(("spec.redis.urlSecret", secret)),
        _ => None,
    };
    let password = plan.redis.password.as_ref().map(|secret| ("spec.redis.passwordSecret", secret));
    let keys = url.into_iter().chain(password).map(|(field, secret)| Reference {
        name: secret.name.clone(),
        key: Some(secret.key.clone()),
        field,
    });
    tls.chain(keys).collect()
}

/// What was found of the Secrets: their keys and versions, never their contents.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Secrets(BTreeMap<String, Facts>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Facts {
    version: String,
    keys: BTreeSet<String>,
}

impl Secrets {
    /// Remembers a Secret.
    pub fn note(&mut self, secret: &Secret) {
        let name = secret.metadata.name.clone().unwrap_or_default();
        let version = secret.metadata.resource_version.clone().unwrap_or_default();
        let keys = secret.data.iter().flatten().map(|(key, _)| key.clone()).collect();
        self.0.insert(name, Facts { version, keys });
    }

    /// Whether the Secret `name` is known and has `key`.
    pub fn has(&self, name: &str, key: &str) -> bool {
        self.0.get(name).is_some_and(|facts| facts.keys.contains(key))
    }

    /// Of these only the Secret `name`.
    #[must_use]
    pub fn only(&self, name: &str) -> Self {
        Self(
            self.0
                .iter()
                .filter(|(other, _)| *other == name)
                .map(|(k, v)| (k.clone(), v.clone()))
                .collect(),
        )
    }

    /// What is wrong with a reference, if anything.
    pub fn problem(&self, reference: &Reference) -> Option<SecretProblem> {
        let Reference { name, key, field } = reference.clone();
        if !self.0.contains_key(&name) {
            return Some(SecretProblem::Missing { name, field });
        }
        let key = key.filter(|key| !self.has(&name, key))?;
        Some(SecretProblem::NoKey { name, field, key })
    }

    /// Names the Secrets with their versions: an annotation of a Pod template, so that a changed
    /// Secret makes new Pods. It holds versions and no checksums: a checksum of a short
    /// password could be turned back into it.
    pub fn fingerprint(&self) -> String {
        self.to_string()
    }
}

impl fmt::Display for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (name, facts)) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { " " };
            write!(f, "{separator}{name}@{}", facts.version)?;
        }
        Ok(())
    }
}
