//! The `BookingQueueBackup` resource: backups of a queue with a managed Redis, one or by a
//! schedule.
// Each printer column repeats `type_`; clippy takes that for a duplicate.
#![allow(clippy::duplicated_attributes)]

pub mod place;
pub mod status;

use bookingq_core::QueueName;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::place::{BackupBucket, BackupPlace, BackupVolume};
use self::status::BookingQueueBackupStatus;
use crate::cel;

/// What to back up, when, and where to. Without a schedule one backup is taken, once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, CustomResource, JsonSchema)]
#[kube(
    group = "bookingqueue.dev",
    version = "v1alpha1",
    kind = "BookingQueueBackup",
    plural = "bookingqueuebackups",
    shortname = "bqb",
    namespaced,
    status = "BookingQueueBackupStatus",
    derive = "PartialEq",
    doc = "BookingQueueBackup takes backups of a BookingQueue with a managed Redis: one at once, or by a schedule.",
    validation = Rule::new("self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$') && self.metadata.name.size() <= (has(self.spec.schedule) ? 45 : 56)")
        .message("metadata.name must be lower-case letters, digits and '-', at most 45 of them with a schedule and 56 without: a CronJob or a Job is named after it"),
    printcolumn(name = "Queue", type_ = "string", json_path = ".spec.queue"),
    printcolumn(name = "Schedule", type_ = "string", json_path = ".spec.schedule"),
    printcolumn(
        name = "Last",
        type_ = "string",
        json_path = ".status.lastBackup.file",
        description = "File of the last backup"
    ),
    printcolumn(
        name = "Taken",
        type_ = "date",
        json_path = ".status.lastBackup.takenAt",
        description = "Age of the last backup"
    ),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp", priority = "1"),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].message",
        priority = "1"
    )
)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = cel::rules(&[
    (
        "has(self.persistentVolumeClaim) != has(self.s3)",
        "give exactly one destination: persistentVolumeClaim or s3",
    ),
    (
        "has(self.schedule) || !(has(self.timeZone) || has(self.suspend))",
        "timeZone and suspend need a schedule",
    ),
    ("self.queue == oldSelf.queue", "queue is immutable: create another BookingQueueBackup"),
    (
        "has(self.schedule) == has(oldSelf.schedule)",
        "a schedule can be changed, and neither added nor removed: create another BookingQueueBackup",
    ),
    (
        "has(self.schedule) || self == oldSelf",
        "a backup without a schedule is immutable: create another BookingQueueBackup",
    ),
])))]
pub struct BookingQueueBackupSpec {
    /// Name of the BookingQueue in this namespace. Its Redis is managed. Immutable.
    #[schemars(length(min = 1, max = 40))]
    pub queue: String,
    /// When to take a backup: five cron fields, such as "17 * * * *". Without it, one backup is
    /// taken at once, and the spec is immutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 9, max = 128))]
    pub schedule: Option<String>,
    /// The time zone of the schedule, by its IANA name, such as Europe/Berlin. Defaults to that of
    /// the cluster's controllers, which is mostly UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub time_zone: Option<String>,
    /// Whether the schedule is suspended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspend: Option<bool>,
    /// How many backups of this queue stay at the destination; older ones are removed after each
    /// backup. Without it, all stay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10000))]
    pub keep: Option<i32>,
    /// Destination: the volume that gets the files. Several backups may share it. Exactly one of
    /// persistentVolumeClaim and s3 is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub persistent_volume_claim: Option<BackupVolume>,
    /// Destination: the bucket that gets the files. Several backups may share it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub s3: Option<BackupBucket>,
}

impl BookingQueueBackupSpec {
    /// Where the backups are; `None` unless exactly one place is given.
    pub fn place(&self) -> Option<BackupPlace> {
        BackupPlace::of(self.persistent_volume_claim.as_ref(), self.s3.as_ref())
    }
}

/// The typed and valid spec.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupPlan {
    /// `metadata.name` of the queue.
    pub queue: QueueName,
    /// When.
    pub timing: BackupTiming,
    /// How many backups stay; `None`: all.
    pub keep: Option<u32>,
    /// Where to.
    pub destination: BackupPlace,
}

/// When backups are taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BackupTiming {
    /// One, at once.
    Once,
    /// By a schedule.
    Repeated {
        /// Five cron fields.
        schedule: String,
        /// IANA name of the zone of the schedule; `None`: that of the cluster's controllers.
        time_zone: Option<String>,
        /// Whether none is taken at the moment.
        suspended: bool,
    },
}
