//! The ServiceAccount of the workers and sweepers: a name of their own and no rights, because they
//! never ask the API server.

use k8s_openapi::api::core::v1::ServiceAccount;

use super::names::{self, Part};
use crate::target::Target;

/// The ServiceAccount.
pub fn build(target: &Target) -> ServiceAccount {
    ServiceAccount {
        metadata: names::metadata(target, names::worker(&target.name), Part::Worker),
        automount_service_account_token: Some(false),
        ..ServiceAccount::default()
    }
}
