//! Parts that all Pods of a queue share: security contexts, probes and resources.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Capabilities, Container, ExecAction, HTTPGetAction, PodSecurityContext, PodSpec, Probe,
    ResourceRequirements, SeccompProfile, SecurityContext, TCPSocketAction,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

/// The user in the image of bookingq.
pub const USER: i64 = 65532;
/// The termination message policy of all containers: the kubelet writes the end of the log of a
/// process that fails into the status of its Pod, from which conditions and events quote it.
pub const LAST_WORDS: &str = "FallbackToLogsOnError";

/// A Pod with one container, without access to the API server.
pub fn spec(container: Container, user: i64) -> PodSpec {
    PodSpec {
        containers: vec![container],
        automount_service_account_token: Some(false),
        enable_service_links: Some(false),
        security_context: Some(security(user)),
        ..PodSpec::default()
    }
}

/// Security context of a Pod. With [`container_security`] it fits the Pod Security Standard
/// `restricted`.
fn security(user: i64) -> PodSecurityContext {
    PodSecurityContext {
        run_as_non_root: Some(true),
        run_as_user: Some(user),
        run_as_group: Some(user),
        fs_group: Some(user),
        seccomp_profile: Some(SeccompProfile {
            type_: "RuntimeDefault".to_owned(),
            ..SeccompProfile::default()
        }),
        ..PodSecurityContext::default()
    }
}

/// Security context of a container: no new privileges, no capabilities, a read-only root.
pub fn container_security() -> SecurityContext {
    SecurityContext {
        allow_privilege_escalation: Some(false),
        read_only_root_filesystem: Some(true),
        capabilities: Some(Capabilities {
            drop: Some(vec!["ALL".to_owned()]),
            ..Capabilities::default()
        }),
        ..SecurityContext::default()
    }
}

/// The resources of the spec, or these requests. No limits: the needs of a line are not known in
/// advance.
pub fn resources(
    given: Option<&ResourceRequirements>,
    cpu: &str,
    memory: &str,
) -> ResourceRequirements {
    given.cloned().unwrap_or_else(|| {
        let requests = [("cpu", cpu), ("memory", memory)];
        let requests =
            requests.map(|(name, amount)| (name.to_owned(), Quantity(amount.to_owned())));
        ResourceRequirements {
            requests: Some(BTreeMap::from(requests)),
            ..ResourceRequirements::default()
        }
    })
}

/// Asks `path` on the port named admin.
pub fn http_probe(path: &str, period_seconds: i32, failure_threshold: i32) -> Probe {
    let get = HTTPGetAction {
        path: Some(path.to_owned()),
        port: IntOrString::String("admin".to_owned()),
        scheme: Some("HTTP".to_owned()),
        ..HTTPGetAction::default()
    };
    probe(Probe { http_get: Some(get), ..Probe::default() }, period_seconds, failure_threshold)
}

/// Connects to the named port.
pub fn tcp_probe(port: &str, period_seconds: i32, failure_threshold: i32) -> Probe {
    let connect = TCPSocketAction { port: IntOrString::String(port.to_owned()), host: None };
    probe(
        Probe { tcp_socket: Some(connect), ..Probe::default() },
        period_seconds,
        failure_threshold,
    )
}

/// Runs a command in the container.
pub fn exec_probe(command: &[&str], period_seconds: i32, failure_threshold: i32) -> Probe {
    let command = command.iter().map(|&word| word.to_owned()).collect();
    let exec = ExecAction { command: Some(command) };
    probe(Probe { exec: Some(exec), ..Probe::default() }, period_seconds, failure_threshold)
}

fn probe(action: Probe, period_seconds: i32, failure_threshold: i32) -> Probe {
    Probe {
        period_seconds: Some(period_seconds),
        failure_threshold: Some(failure_threshold),
        timeout_seconds: Some(2),
        ..action
    }
}
