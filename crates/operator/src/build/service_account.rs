//! The ServiceAccounts: one of workers and sweepers, one of gateways. They have no rights: none of
//! these processes calls the API server.

use k8s_openapi::api::core::v1::ServiceAccount;

use super::names::{self, Part};
use crate::target::QueueTarget;

/// The ServiceAccount of this part, if the queue has the part.
pub fn build(target: &QueueTarget, part: Part) -> Option<ServiceAccount> {
    target.has(part).then(|| ServiceAccount {
        metadata: target.metadata(names::of(&target.name, part), part),
        automount_service_account_token: Some(false),
        ..ServiceAccount::default()
    })
}
