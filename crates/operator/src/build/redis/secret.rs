//! The Secret with the password of a managed Redis: created once, and never written again.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Secret;

use crate::build::names::{self, Part};
use crate::target::QueueTarget;

/// The Secret with this password. A password that is changed later is left alone.
pub fn build(target: &QueueTarget, password: String) -> Secret {
    Secret {
        metadata: target.metadata(names::redis(&target.name), Part::Redis),
        type_: Some("Opaque".to_owned()),
        string_data: Some(BTreeMap::from([(names::PASSWORD_KEY.to_owned(), password)])),
        ..Secret::default()
    }
}

/// A random password of 32 letters and digits (190 bits).
pub fn generate_password() -> String {
    use rand::Rng as _;
    rand::rng().sample_iter(rand::distr::Alphanumeric).take(32).map(char::from).collect()
}
