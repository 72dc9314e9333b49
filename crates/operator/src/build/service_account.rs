//! The ServiceAccount of workers and sweepers. It has no rights: they never call the API server.

use k8s_openapi::api::core::v1::ServiceAccount;

use super::names::{self, Part};
use crate::target::QueueTarget;

/// The ServiceAccount.
pub fn build(target: &QueueTarget) -> ServiceAccount {
    ServiceAccount {
        metadata: target.metadata(names::worker(&target.name), Part::Worker),
        automount_service_account_token: Some(false),
        ..ServiceAccount::default()
    }
}
