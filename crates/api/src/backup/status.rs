//! The status of a `BookingQueueBackup`, as the operator reports it.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::status::named;

/// Observed state of the backups.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct BookingQueueBackupStatus {
    /// Conditions: Ready and, once a backup without a schedule has ended, Complete or Failed.
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    #[schemars(schema_with = "crate::schema::conditions")]
    pub conditions: Vec<Condition>,
    /// The most recent generation that the operator has observed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The last backup that was taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_backup: Option<LastBackup>,
    /// The last attempt that failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_failure: Option<LastFailure>,
}

impl BookingQueueBackupStatus {
    /// Whether this condition is True.
    pub fn has(&self, type_: &str) -> bool {
        self.condition(type_).is_some_and(|condition| condition.status == "True")
    }

    /// The condition of this type.
    pub fn condition(&self, type_: &str) -> Option<&Condition> {
        named(&self.conditions, type_)
    }
}

/// Condition: the one backup was taken.
pub const COMPLETE: &str = "Complete";
/// Condition: the one backup could not be taken.
pub const FAILED: &str = "Failed";
/// Condition: the one backup was taken, or the schedule is followed and its last backup was taken.
pub const READY: &str = "Ready";

/// A backup that was taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LastBackup {
    /// Name of its file, as spec.redis.managed.restoreFrom of a BookingQueue takes it.
    pub file: String,
    /// When the copy was asked for.
    #[schemars(schema_with = "crate::schema::time")]
    pub taken_at: Time,
    /// Size of the file.
    pub bytes: i64,
}

/// An attempt that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LastFailure {
    /// When its Job was given up.
    #[schemars(schema_with = "crate::schema::time")]
    pub at: Time,
    /// Why: the last words of its Pod, or those of the Job.
    pub message: String,
}
