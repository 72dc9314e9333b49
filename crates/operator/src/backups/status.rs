//! The status of a backup, from its Jobs and their Pods. Pure.

use std::time::Duration;

use bookingq_api::backup::status::{
    BookingQueueBackupStatus, COMPLETE, FAILED, LastBackup, LastFailure, READY,
};
use bookingq_api::backup::{BackupPlan, BackupTiming};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::runtime::events::EventType;

use super::obstacle::Obstacle;
use super::records::{BackupJob, BackupPod, JobEnd, PodEnd};
use crate::conditions::state::ConditionState;
use crate::pods::pod_fault::PodFault;

/// Time within which the report of a Pod arrives after the end of its Job: they have two watches.
const REPORT_WITHIN: Duration = Duration::from_secs(10);
/// Longest message of a failure, in bytes.
const MAX_MESSAGE: usize = 1024;

/// Everything that a status is computed from.
pub struct BackupFacts<'a> {
    /// `metadata.generation`.
    pub generation: Option<i64>,
    /// The spec; `None` if it is invalid.
    pub plan: Option<&'a BackupPlan>,
    /// What is in the way.
    pub obstacle: Option<&'a Obstacle>,
    /// The Jobs that belong to the backup.
    pub jobs: &'a [BackupJob],
    /// Pods of these and of other Jobs.
    pub pods: &'a [BackupPod],
    /// The status until now.
    pub before: &'a BookingQueueBackupStatus,
    /// The time.
    pub now: Time,
}

/// The status, and when to look again although nothing changes.
#[derive(Debug, PartialEq)]
pub struct BackupLook {
    /// The status.
    pub status: BookingQueueBackupStatus,
    /// When to look again.
    pub again: Option<Duration>,
}

/// Whether a backup without a schedule has ended.
pub fn is_over(status: &BookingQueueBackupStatus) -> bool {
    status.has(COMPLETE) || status.has(FAILED)
}

/// The status that follows from `facts`.
pub fn look(facts: &BackupFacts<'_>) -> BackupLook {
    let last_backup = last_backup(facts);
    let last_failure = last_failure(facts);
    let progress = progress(facts, last_failure.as_ref());
    let ready = match facts.plan.map(|plan| &plan.timing) {
        Some(BackupTiming::Repeated { schedule, suspended, .. }) => {
            let lasts = (last_backup.as_ref(), last_failure.as_ref());
            let stuck = facts.jobs.iter().find_map(|job| stuck(facts, job));
            match stuck.filter(|_| facts.obstacle.is_none()) {
                Some(fault) => does_not_start(fault),
                None => of_schedule(facts.obstacle, schedule, *suspended, lasts),
            }
        }
        _ => of_one(facts, &progress, last_backup.as_ref()),
    };
    let mut all = vec![(READY, ready)];
    match &progress {
        BackupProgress::Complete => all.push((COMPLETE, taken(last_backup.as_ref()))),
        BackupProgress::Failed(message) => all.push((FAILED, failed(message).confirmed())),
        BackupProgress::Waiting | BackupProgress::Running { .. } => {}
    }
    let before = &facts.before.conditions;
    let conditions = all
        .into_iter()
        .map(|(type_, state)| state.condition(type_, facts.generation, before, &facts.now));
    let status = BookingQueueBackupStatus {
        conditions: conditions.collect(),
        observed_generation: facts.generation,
        last_backup,
        last_failure,
    };
    let again = if let BackupProgress::Running { again, .. } = progress { again } else { None };
    BackupLook { status, again }
}

/// How far a backup without a schedule is.
enum BackupProgress<'a> {
    /// It has no Job.
    Waiting,
    /// Its Job runs, or has ended and left no report yet.
    Running { job: &'a BackupJob, again: Option<Duration> },
    /// Its Job has ended well.
    Complete,
    /// Its Job has failed.
    Failed(String),
}

fn progress<'a>(facts: &BackupFacts<'a>, failure: Option<&LastFailure>) -> BackupProgress<'a> {
    let once = facts.plan.is_some_and(|plan| plan.timing == BackupTiming::Once);
    let Some(job) = facts.jobs.first().filter(|_| once) else { return BackupProgress::Waiting };
    match &job.end {
        None => BackupProgress::Running { job, again: None },
        Some(JobEnd::Complete(at)) => {
            let reported = ends_of(facts, &job.uid).any(|end| matches!(end, PodEnd::Taken(_)));
            let waited = Duration::try_from(facts.now.0.duration_since(*at)).unwrap_or_default();
            let again = REPORT_WITHIN.saturating_sub(waited);
            if reported || again.is_zero() {
                return BackupProgress::Complete;
            }
            BackupProgress::Running { job, again: Some(again) }
        }
        Some(JobEnd::Failed { message, .. }) => {
            BackupProgress::Failed(failure.map_or(message, |failure| &failure.message).clone())
        }
    }
}

fn ends_of<'a>(facts: &BackupFacts<'a>, job: &str) -> impl Iterator<Item = &'a PodEnd> {
    let pods = facts.pods.iter().filter(move |pod| pod.job.as_deref() == Some(job));
    pods.filter_map(|pod| pod.end.as_ref())
}

/// The newest of the reports and of what the status has: Pods go, backups stay.
fn last_backup(facts: &BackupFacts<'_>) -> Option<LastBackup> {
    let ends = facts.jobs.iter().flat_map(|job| ends_of(facts, &job.uid));
    let reports = ends.filter_map(|end| match end {
        PodEnd::Taken(backup) => Some(backup),
        PodEnd::Failed { .. } => None,
    });
    let known = facts.before.last_backup.iter();
    known.chain(reports).max_by_key(|backup| backup.taken_at.0).cloned()
}

/// The newest of the Jobs that failed and of what the status has.
fn last_failure(facts: &BackupFacts<'_>) -> Option<LastFailure> {
    let before = facts.before.last_failure.as_ref();
    let failed = facts.jobs.iter().filter_map(|job| match &job.end {
        Some(JobEnd::Failed { at, message }) => Some((*at, job, message)),
        _ => None,
    });
    let newest = failed.max_by_key(|(at, ..)| *at);
    let Some((at, job, reason)) =
        newest.filter(|(at, ..)| before.is_none_or(|before| before.at.0 <= *at))
    else {
        return before.cloned();
    };
    // The words of a Pod may arrive later than its Job, and go earlier.
    let kept = before.filter(|before| before.at.0 == at).map(|before| before.message.clone());
    let message = last_words(facts, &job.uid).or(kept);
    let message = message.unwrap_or_else(|| format!("the Job {}: {reason}", job.name));
    Some(LastFailure { at: Time(at), message: cut(message) })
}

/// As long as a status holds.
fn cut(mut message: String) -> String {
    message.truncate(message.floor_char_boundary(MAX_MESSAGE));
    message
}

fn last_words(facts: &BackupFacts<'_>, job: &str) -> Option<String> {
    let words = ends_of(facts, job).filter_map(|end| match end {
        PodEnd::Failed { at, message } => Some((at, message)),
        PodEnd::Taken(_) => None,
    });
    words.max_by_key(|(at, _)| **at).map(|(_, message)| message.clone())
}

/// Why the Pod of a Job that runs does not start.
fn stuck<'a>(facts: &BackupFacts<'a>, job: &BackupJob) -> Option<&'a PodFault> {
    let mut pods = facts.pods.iter().filter(|pod| pod.job.as_deref() == Some(&*job.uid));
    pods.find_map(|pod| pod.fault.as_ref()).filter(|_| job.end.is_none())
}

fn does_not_start(fault: &PodFault) -> ConditionState {
    ConditionState::no(fault.reason.as_str(), &*fault.detail)
}

/// What the Pods of a Job say that has not failed.
fn running(facts: &BackupFacts<'_>, job: &BackupJob) -> ConditionState {
    if let Some(fault) = stuck(facts, job) {
        return does_not_start(fault);
    }
    let name = &job.name;
    match last_words(facts, &job.uid).filter(|_| job.end.is_none()) {
        Some(words) => {
            let words = cut(words);
            ConditionState::no("Retrying", format!("{words}; the Job {name} tries again"))
        }
        None => ConditionState::no("Running", format!("the Job {name} takes the backup")),
    }
}

fn of_one(
    facts: &BackupFacts<'_>,
    progress: &BackupProgress<'_>,
    backup: Option<&LastBackup>,
) -> ConditionState {
    match (progress, facts.obstacle) {
        (BackupProgress::Complete, _) => taken(backup),
        (BackupProgress::Failed(message), _) => failed(message),
        (BackupProgress::Running { job, .. }, _) => running(facts, job),
        (BackupProgress::Waiting, Some(obstacle)) => of_obstacle(obstacle),
        (BackupProgress::Waiting, None) => {
            ConditionState::no("Starting", "the Job is being created")
        }
    }
}

fn of_schedule(
    obstacle: Option<&Obstacle>,
    schedule: &str,
    suspended: bool,
    (backup, failure): (Option<&LastBackup>, Option<&LastFailure>),
) -> ConditionState {
    if let Some(obstacle) = obstacle {
        return of_obstacle(obstacle);
    }
    if suspended {
        return ConditionState::yes("Suspended", "no backup is taken while spec.suspend is true");
    }
    let unmended =
        failure.filter(|failure| backup.is_none_or(|backup| backup.taken_at.0 < failure.at.0));
    match unmended {
        Some(failure) => failed(&failure.message),
        None => {
            ConditionState::yes("Scheduled", format!("backups are taken by the cron {schedule:?}"))
        }
    }
}

fn of_obstacle(obstacle: &Obstacle) -> ConditionState {
    ConditionState::no(obstacle.reason(), obstacle.to_string())
}

fn taken(backup: Option<&LastBackup>) -> ConditionState {
    match backup {
        Some(LastBackup { file, bytes, .. }) => {
            ConditionState::yes("BackupTaken", format!("{file}, {bytes} bytes"))
        }
        None => ConditionState::yes(
            "NoReport",
            "the Job has ended well, and its Pod left no report; `bookingq backup list` shows what \
             the destination has",
        ),
    }
}

fn failed(message: &str) -> ConditionState {
    ConditionState::no("BackupFailed", message)
}

/// What an event says of a backup.
pub struct BackupEvent {
    /// Normal or Warning.
    pub type_: EventType,
    /// The reason.
    pub reason: &'static str,
    /// The note.
    pub note: String,
}

/// The events about a change of the status.
pub fn events(
    before: &BookingQueueBackupStatus,
    after: &BookingQueueBackupStatus,
) -> Vec<BackupEvent> {
    let mut events = Vec::new();
    if let Some(LastBackup { file, bytes, .. }) = &after.last_backup
        && before.last_backup != after.last_backup
    {
        let note = format!("{file}, {bytes} bytes");
        events.push(BackupEvent { type_: EventType::Normal, reason: "BackupTaken", note });
    }
    let at = |status: &BookingQueueBackupStatus| status.last_failure.as_ref().map(|one| one.at.0);
    if let Some(LastFailure { message, .. }) = &after.last_failure
        && at(before) != at(after)
    {
        let note = message.clone();
        events.push(BackupEvent { type_: EventType::Warning, reason: "BackupFailed", note });
    }
    events
}
