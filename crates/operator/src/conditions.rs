//! The conditions of a queue: what holds, each with a reason and a message that a person
//! understands. Pure.

use std::borrow::Cow;

use bookingq_api::plan::ScalingPlan;
use bookingq_core::Admission;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use crate::error::Trouble;
use crate::fleet::observation::{Observation, StoreHealth, SweeperHealth};
use crate::known::Workers;
use crate::target::Target;

/// All that the conditions follow from.
pub struct Picture<'a> {
    /// `metadata.generation` of the spec they speak of.
    pub generation: Option<i64>,
    /// What its spec means, if it means anything.
    pub target: Option<&'a Target>,
    /// What stood in the way of putting it into effect.
    pub trouble: Option<&'a Trouble>,
    /// The workers, if they have a Deployment.
    pub workers: Option<&'a Workers>,
    /// What the queue's loop has seen.
    pub observation: Option<&'a Observation>,
}

/// True, False or Unknown, why, and in words.
struct Verdict {
    status: Cow<'static, str>,
    reason: Cow<'static, str>,
    message: String,
}

impl Verdict {
    fn new(status: &'static str, reason: &'static str, message: impl Into<String>) -> Self {
        Self { status: status.into(), reason: reason.into(), message: message.into() }
    }

    /// The same reason and message for another status.
    fn but(&self, status: &'static str) -> Self {
        Self { status: status.into(), reason: self.reason.clone(), message: self.message.clone() }
    }

    fn holds(&self) -> bool {
        self.status == "True"
    }
}

const YES: &str = "True";
const NO: &str = "False";
const UNKNOWN: &str = "Unknown";

/// The conditions; each keeps the time of its last transition from `before`, or gets `now`.
pub fn conditions(picture: &Picture<'_>, before: &[Condition], now: &Time) -> Vec<Condition> {
    let redis = carried("Redis", redis(picture), picture, before);
    let sweeper = carried("Sweeper", sweeper(picture), picture, before);
    let workers = workers(picture);
    let degraded = degraded(picture);
    let ready = ready(picture, &redis, &workers, &degraded);
    let all = [
        ("Ready", ready),
        ("Progressing", progressing(picture)),
        ("Degraded", degraded),
        ("Redis", redis),
        ("Workers", workers),
        ("Sweeper", sweeper),
    ];
    all.into_iter()
        .map(|(type_, verdict)| condition(type_, verdict, picture.generation, before, now))
        .collect()
}

/// An operator that has just started has not looked yet: what the one before it saw holds until it
/// has.
fn carried(type_: &str, verdict: Verdict, picture: &Picture<'_>, before: &[Condition]) -> Verdict {
    let looked = picture.observation.is_some_and(Observation::has_looked);
    let old = before.iter().find(|old| old.type_ == type_);
    match old.filter(|_| !looked && verdict.status == UNKNOWN) {
        Some(old) => Verdict {
            status: old.status.clone().into(),
            reason: old.reason.clone().into(),
            message: old.message.clone(),
        },
        None => verdict,
    }
}

fn condition(
    type_: &str,
    verdict: Verdict,
    generation: Option<i64>,
    before: &[Condition],
    now: &Time,
) -> Condition {
    let same = before.iter().find(|old| old.type_ == type_ && old.status == verdict.status);
    Condition {
        type_: type_.to_owned(),
        status: verdict.status.into_owned(),
        reason: verdict.reason.into_owned(),
        message: verdict.message,
        observed_generation: generation,
        last_transition_time: same
            .map_or_else(|| now.clone(), |old| old.last_transition_time.clone()),
    }
}

fn ready(picture: &Picture<'_>, redis: &Verdict, workers: &Verdict, degraded: &Verdict) -> Verdict {
    if degraded.holds() {
        return degraded.but(NO);
    }
    match [redis, workers].into_iter().find(|part| !part.holds()) {
        None => serving(picture.target.map(|target| target.plan.admission)),
        Some(part) => part.but(NO),
    }
}

fn serving(admission: Option<Admission>) -> Verdict {
    match admission {
        Some(Admission::Paused) => Verdict::new(
            YES,
            "Paused",
            "the queue takes bookings and keeps their order; it reserves nothing",
        ),
        Some(Admission::Closed) => {
            Verdict::new(YES, "Closed", "the queue takes no new bookings; it serves those in line")
        }
        Some(Admission::Open) | None => {
            Verdict::new(YES, "Serving", "the queue takes and serves bookings")
        }
    }
}

fn degraded(picture: &Picture<'_>) -> Verdict {
    match picture.trouble {
        Some(trouble) => {
            let kept = "What ran before is left as it is.";
            Verdict::new(YES, trouble.reason(), format!("{trouble}\n{kept}"))
        }
        None => Verdict::new(NO, "AsSpecified", "everything is as the spec says"),
    }
}

fn redis(picture: &Picture<'_>) -> Verdict {
    match picture.observation.map(|seen| &seen.store) {
        None | Some(StoreHealth::Unknown) => {
            Verdict::new(UNKNOWN, "NotAskedYet", "Redis has not been asked yet")
        }
        Some(StoreHealth::Answers { warnings }) if warnings.is_empty() => {
            Verdict::new(YES, "Answers", "Redis answers, and its settings are safe")
        }
        Some(StoreHealth::Answers { warnings }) => {
            Verdict::new(YES, "UnsafeSettings", warnings.join("\n"))
        }
        Some(StoreHealth::Fails { why }) => {
            let message =
                format!("{why}\nThe number of workers stays as it is until Redis answers.");
            Verdict::new(NO, "DoesNotAnswer", message)
        }
    }
}

fn workers(picture: &Picture<'_>) -> Verdict {
    let Some(Workers { available, wanted, refused, .. }) = picture.workers else {
        return Verdict::new(NO, "NotMade", "the workers' Deployment does not exist yet");
    };
    let (available, wanted, refused) = (*available, *wanted, refused.as_deref());
    let unschedulable = picture.observation.map_or(0, |seen| seen.unschedulable);
    if let (1.., Some(why)) = (available, refused) {
        return Verdict::new(
            YES,
            "PodsRefused",
            format!("workers serve, but no more can be made: {why}"),
        );
    }
    if available > 0 && unschedulable > 0 {
        let message =
            "workers serve, but not all can be scheduled: no more are asked for until they can";
        return Verdict::new(YES, "Unschedulable", message);
    }
    if available > 0 {
        return Verdict::new(YES, "Available", "workers serve");
    }
    if wanted == 0 {
        return Verdict::new(
            NO,
            "ScaledToZero",
            "no workers are asked for: nobody takes or serves bookings",
        );
    }
    if let Some(why) = refused {
        return Verdict::new(NO, "PodsRefused", format!("no worker can be made: {why}"));
    }
    if unschedulable > 0 {
        return Verdict::new(
            NO,
            "Unschedulable",
            "no worker can be scheduled: see the events of its Pods",
        );
    }
    Verdict::new(NO, "NoneAvailable", "no worker is ready yet: see the Pods and their logs")
}

fn sweeper(picture: &Picture<'_>) -> Verdict {
    if picture.target.is_some_and(|target| target.plan.sweep.is_none()) {
        return Verdict::new(
            NO,
            "Suspended",
            "spec.sweep.suspend is true: unpaid reservations are refused payment, and stay reserved until sweeping resumes",
        );
    }
    match picture.observation.map(|seen| seen.sweeper) {
        None | Some(SweeperHealth::Unknown) => {
            Verdict::new(UNKNOWN, "NotDueYet", "no sweeper has been due yet")
        }
        Some(SweeperHealth::Beats) => Verdict::new(YES, "Sweeps", "sweepers run when they are due"),
        Some(SweeperHealth::Silent) => Verdict::new(
            NO,
            "Silent",
            "a sweeper was due and has not been heard of: see the CronJob, its Jobs and their Pods",
        ),
    }
}

fn progressing(picture: &Picture<'_>) -> Verdict {
    let Some(workers) = picture.workers else {
        return Verdict::new(YES, "Creating", "objects are being made");
    };
    let seen = workers.observed_generation >= workers.generation;
    let updated = workers.updated == workers.wanted && workers.replicas == workers.wanted;
    if let Some(why) = &workers.refused {
        return Verdict::new(
            NO,
            "PodsRefused",
            format!("the API server refuses the workers' Pods: {why}"),
        );
    }
    if !seen || !updated {
        return Verdict::new(YES, "RollingOut", "workers are being started, replaced or stopped");
    }
    if workers.available < workers.wanted {
        return Verdict::new(YES, "Starting", "workers are starting");
    }
    let scaled = match picture.target.map(|target| target.plan.scaling) {
        Some(ScalingPlan::Fixed(_)) => "the fixed number of workers runs",
        _ => "as many workers as the line needs run",
    };
    Verdict::new(NO, "Settled", scaled)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    fn told(available: i32) -> Vec<(String, String, String, String)> {
        let forbidden = "pods \"concert-worker-\" is forbidden: exceeded quota";
        let workers = Workers::of(&serde_json::from_value(json!({
            "metadata": { "generation": 2 },
            "spec": { "replicas": 2, "selector": {}, "template": {} },
            "status": {
                "observedGeneration": 2, "availableReplicas": available,
                "conditions": [{ "type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": forbidden }],
            },
        }))
        .unwrap());
        let picture = Picture {
            generation: Some(1),
            target: None,
            trouble: None,
            workers: Some(&workers),
            observation: None,
        };
        let all = conditions(&picture, &[], &crate::fleet::scaling_now());
        all.into_iter().map(|one| (one.type_, one.status, one.reason, one.message)).collect()
    }

    #[test]
    fn pods_that_are_refused_are_told_with_the_reason_of_the_api_server() {
        for (available, workers) in [(0, "False"), (1, "True")] {
            let told = told(available);
            for (type_, status) in [("Workers", workers), ("Progressing", "False")] {
                let (_, found, reason, message) = told.iter().find(|one| one.0 == type_).unwrap();
                assert_eq!((found.as_str(), reason.as_str()), (status, "PodsRefused"), "{type_}");
                assert!(message.ends_with("is forbidden: exceeded quota"), "{message}");
            }
        }
    }
}
