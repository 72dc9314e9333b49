//! Why Pods do not start or do not stay up. Pure.

use std::time::Duration;

use jiff::Timestamp;
use kube::ResourceExt as _;
use kube::core::DynamicObject;
use serde_json::Value;

use super::pod_status::{condition, container_statuses, time, transition};

/// Time for which Pods may be at fault before the queue is degraded.
pub const DEADLINE: Duration = Duration::from_secs(300);
/// Longest line of a log in a message, in bytes.
const MAX_LINE: usize = 256;
/// Longest text of the kubelet or the scheduler in a message, in bytes.
const MAX_TEXT: usize = 512;

/// A reason, the worst first: what a person must mend comes before what may pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FaultReason {
    /// The image cannot be pulled.
    ImagePullBackOff,
    /// The container names a Secret, a ConfigMap or a setting that does not exist.
    CreateContainerConfigError,
    /// The container cannot be started.
    CreateContainerError,
    /// A quota, an admission policy or a missing class keeps Pods from being created.
    PodCreationFailed,
    /// The container used more memory than its limit.
    OOMKilled,
    /// The process exits again and again.
    CrashLoopBackOff,
    /// The last Pods of a Job have failed.
    PodFailed,
    /// No node has room for the Pod.
    Unschedulable,
}

impl FaultReason {
    /// The reason in conditions and events.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ImagePullBackOff => "ImagePullBackOff",
            Self::CreateContainerConfigError => "CreateContainerConfigError",
            Self::CreateContainerError => "CreateContainerError",
            Self::PodCreationFailed => "PodCreationFailed",
            Self::OOMKilled => "OOMKilled",
            Self::CrashLoopBackOff => "CrashLoopBackOff",
            Self::PodFailed => "PodFailed",
            Self::Unschedulable => "Unschedulable",
        }
    }

    /// Whether a Pod with it may be ready for a while in between.
    pub(super) fn comes_and_goes(self) -> bool {
        matches!(self, Self::OOMKilled | Self::CrashLoopBackOff)
    }

    /// Of the reason for which the kubelet lets a container wait.
    fn of_waiting(reason: &str) -> Option<Self> {
        match reason {
            "ImagePullBackOff"
            | "ErrImagePull"
            | "ErrImageNeverPull"
            | "InvalidImageName"
            | "ImageInspectError"
            | "RegistryUnavailable"
            | "SignatureValidationFailed" => Some(Self::ImagePullBackOff),
            "CreateContainerConfigError" => Some(Self::CreateContainerConfigError),
            "CreateContainerError"
            | "RunContainerError"
            | "PreCreateHookError"
            | "PostStartHookError" => Some(Self::CreateContainerError),
            "CrashLoopBackOff" => Some(Self::CrashLoopBackOff),
            _ => None,
        }
    }
}

/// Why a Pod does not start or stay up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodFault {
    /// The reason.
    pub reason: FaultReason,
    /// The Pod, its container, and the words of the kubelet, the scheduler or the process.
    pub detail: String,
    /// Since when the Pod has not been ready.
    pub since: Timestamp,
    /// UID of the Pod; empty if there is none.
    pub pod: String,
}

impl PodFault {
    /// Whether it has lasted for [`DEADLINE`].
    pub fn is_overdue(&self, now: Timestamp) -> bool {
        now.duration_since(self.since).unsigned_abs() >= DEADLINE && now > self.since
    }
}

/// The fault that the status of a watched Pod shows; none while it is being deleted.
pub fn of_pod(pod: &DynamicObject) -> Option<PodFault> {
    let (meta, status, name) = (&pod.metadata, &pod.data["status"], pod.name_any());
    if meta.deletion_timestamp.is_some() {
        return None;
    }
    let created = meta.creation_timestamp.as_ref().map_or(Timestamp::UNIX_EPOCH, |at| at.0);
    let uid = meta.uid.clone().unwrap_or_default();
    let since = transition(status, "Ready").unwrap_or(created);
    let failed_pod = status["phase"] == "Failed";
    let fault = |reason, detail, since| PodFault { reason, detail, since, pod: uid.clone() };
    let of_container = |container: &Value| {
        let (reason, text) = of_container(container, failed_pod, transition(status, "Ready"))?;
        let container = container["name"].as_str().unwrap_or_default();
        Some(fault(reason, format!("Pod {name}, container {container}: {text}"), since))
    };
    let worst = container_statuses(status).filter_map(of_container).min_by_key(|one| one.reason);
    let unscheduled = || {
        let why = unscheduled(status)?;
        let since = transition(status, "PodScheduled").unwrap_or(created);
        Some(fault(FaultReason::Unschedulable, format!("Pod {name}: {why}"), since))
    };
    // It has ended badly, and its containers say nothing.
    let failed = || {
        let said = text_of(&status["message"]).or_else(|| text_of(&status["reason"]));
        let why = said.unwrap_or_else(|| "it has failed".to_owned());
        failed_pod.then(|| fault(FaultReason::PodFailed, format!("Pod {name}: {why}"), since))
    };
    worst.or_else(unscheduled).or_else(failed)
}

/// The words of the scheduler about a Pod that fits no node.
fn unscheduled(status: &Value) -> Option<String> {
    let scheduled = condition(status, "PodScheduled")?;
    let is_so = scheduled["status"] == "False" && scheduled["reason"] == "Unschedulable";
    is_so.then(|| text_of(&scheduled["message"]).unwrap_or_else(|| "no node has room".to_owned()))
}

fn of_container(
    container: &Value,
    failed_pod: bool,
    unready_at: Option<Timestamp>,
) -> Option<(FaultReason, String)> {
    let (state, last) = (&container["state"], &container["lastState"]["terminated"]);
    if let Some(reason) = state["waiting"]["reason"].as_str().and_then(FaultReason::of_waiting) {
        if reason == FaultReason::CrashLoopBackOff {
            return Some(crash(last));
        }
        let said = text_of(&state["waiting"]["message"]);
        let image = container["image"].as_str().unwrap_or_default();
        let why = said.unwrap_or_else(|| format!("image {image}"));
        return Some((reason, why));
    }
    let (ended, restarts) = (&state["terminated"], container["restartCount"].as_i64().unwrap_or(0));
    if !ended.is_null() {
        // One that ended well has done its work.
        let (reason, why) = (ended["exitCode"] != 0).then(|| crash(ended))?;
        // The first end of one that restarts is no loop yet.
        return match (restarts > 0 || reason == FaultReason::OOMKilled, failed_pod) {
            (true, _) => Some((reason, why)),
            (false, true) => Some((FaultReason::PodFailed, why)),
            (false, false) => None,
        };
    }
    // It runs again, and has not been ready since: what made it unready later is another fault.
    let started = time(&state["running"]["startedAt"]);
    let was_ready = started.zip(unready_at).is_some_and(|(started, unready)| unready > started);
    let unready = container["ready"] == false && !was_ready && !last.is_null();
    let again = restarts > 1 || last["reason"] == "OOMKilled";
    (unready && again && last["exitCode"] != 0).then(|| crash(last))
}

/// The end of a process: the reason, its exit code and the last line of its log.
fn crash(ended: &Value) -> (FaultReason, String) {
    let code = ended["exitCode"].as_i64();
    let code = code.map_or_else(|| "no exit code".to_owned(), |code| format!("exit code {code}"));
    let cause = ended["reason"].as_str().filter(|cause| *cause != "Error");
    let said = ended["message"].as_str().and_then(last_line);
    let mut why = match cause {
        Some(cause) => format!("{cause}, {code}"),
        None => code,
    };
    if let Some(said) = said {
        why = format!("{why}; last line: {said}");
    }
    let oom = ended["reason"] == "OOMKilled";
    (if oom { FaultReason::OOMKilled } else { FaultReason::CrashLoopBackOff }, why)
}

fn last_line(log: &str) -> Option<String> {
    let line = log.lines().map(str::trim).rfind(|line| !line.is_empty())?;
    Some(cut(line, MAX_LINE))
}

fn text_of(value: &Value) -> Option<String> {
    value.as_str().filter(|said| !said.is_empty()).map(text)
}

/// A text of Kubernetes, cut to what a condition can hold.
pub(super) fn text(said: &str) -> String {
    cut(said, MAX_TEXT)
}

fn cut(text: &str, bytes: usize) -> String {
    let end = text.floor_char_boundary(bytes);
    let dots = if end < text.len() { "…" } else { "" };
    format!("{}{dots}", &text[..end])
}
