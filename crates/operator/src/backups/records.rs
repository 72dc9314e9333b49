//! What the operator reads of the Jobs of a backup and of their Pods.

use bookingq_api::backup::status::LastBackup;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::core::DynamicObject;
use serde::Deserialize;

use crate::pods::pod_fault::{self, PodFault};
use crate::pods::pod_status::{condition, container_statuses, time, transition};

/// A Job of a backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupJob {
    /// `metadata.name`.
    pub name: String,
    /// `metadata.uid`.
    pub uid: String,
    /// UID of the backup or the CronJob that manages it.
    pub manager: Option<String>,
    /// How it ended; `None` while it runs.
    pub end: Option<JobEnd>,
}

/// How a Job ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobEnd {
    /// Well, at this time.
    Complete(Timestamp),
    /// Its last Pod failed, or it took too long.
    Failed {
        /// When it was given up.
        at: Timestamp,
        /// The reason that the Job has.
        message: String,
    },
}

impl BackupJob {
    /// Of a watched Job.
    pub fn of(job: &DynamicObject) -> Self {
        let status = &job.data["status"];
        let ended = |type_| {
            let found = condition(status, type_).filter(|found| found["status"] == "True")?;
            Some((transition(status, type_).unwrap_or_default(), found["message"].clone()))
        };
        let failed = ended("Failed").map(|(at, message)| JobEnd::Failed {
            at,
            message: message.as_str().unwrap_or_default().to_owned(),
        });
        Self {
            name: job.metadata.name.clone().unwrap_or_default(),
            uid: job.metadata.uid.clone().unwrap_or_default(),
            manager: manager(job),
            end: failed.or_else(|| ended("Complete").map(|(at, _)| JobEnd::Complete(at))),
        }
    }
}

/// A Pod of such a Job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupPod {
    /// UID of its Job.
    pub job: Option<String>,
    /// What it left when it ended.
    pub end: Option<PodEnd>,
    /// Why it does not start.
    pub fault: Option<PodFault>,
}

/// What a Pod left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PodEnd {
    /// Its report.
    Taken(LastBackup),
    /// Its last words, and when it said them.
    Failed {
        /// When it ended.
        at: Timestamp,
        /// The end of its log.
        message: String,
    },
}

impl BackupPod {
    /// Of a watched Pod.
    pub fn of(pod: &DynamicObject) -> Self {
        Self { job: manager(pod), end: end(pod), fault: fault(pod) }
    }
}

/// Why a Pod that has not ended does not start. The end of one that has is in its report.
fn fault(pod: &DynamicObject) -> Option<PodFault> {
    if pod.data["status"]["phase"] == "Pending" { pod_fault::of_pod(pod) } else { None }
}

fn end(pod: &DynamicObject) -> Option<PodEnd> {
    let status = &pod.data["status"];
    let ended = container_statuses(status).map(|one| &one["state"]["terminated"]);
    let ended = ended.filter(|ended| !ended.is_null()).last()?;
    let message = ended["message"].as_str()?.trim();
    if ended["exitCode"] == 0 {
        return Some(PodEnd::Taken(report(message)?));
    }
    let at = time(&ended["finishedAt"]).unwrap_or_default();
    Some(PodEnd::Failed { at, message: message.to_owned() })
}

/// The fields of a report that the status shows.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReportedBackup {
    file: String,
    taken_at: Timestamp,
    bytes: i64,
}

/// Reads what `bookingq backup create --report` wrote; `None` if it is not that.
fn report(message: &str) -> Option<LastBackup> {
    let ReportedBackup { file, taken_at, bytes } = serde_json::from_str(message).ok()?;
    // Whole seconds, as the API server returns them: a status must equal the one that was written.
    let taken_at = Timestamp::from_second(taken_at.as_second()).ok()?;
    Some(LastBackup { file, taken_at: Time(taken_at), bytes })
}

/// UID of the object that manages this one.
pub fn manager(object: &DynamicObject) -> Option<String> {
    let mut owners = object.metadata.owner_references.iter().flatten();
    owners.find(|owner| owner.controller == Some(true)).map(|owner| owner.uid.clone())
}
