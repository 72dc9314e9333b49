//! The Secret with the password of a managed Redis: made once, and never written again.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Secret;

use crate::build::names::{self, Part};
use crate::target::Target;

/// The Secret with this password. It is only ever created: whoever changes the password later is
/// right.
pub fn build(target: &Target, password: String) -> Secret {
    Secret {
        metadata: names::metadata(target, names::redis(&target.name), Part::Redis),
        type_: Some("Opaque".to_owned()),
        string_data: Some(BTreeMap::from([(names::PASSWORD_KEY.to_owned(), password)])),
        ..Secret::default()
    }
}

/// A password that nobody guesses: 32 letters and digits, 190 bits, of the system's random numbers.
pub fn generate_password() -> String {
    use rand::Rng as _;
    rand::rng().sample_iter(rand::distr::Alphanumeric).take(32).map(char::from).collect()
}
