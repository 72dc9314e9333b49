//! What all Pods of a queue have in common: the restricted security context, probes, quantities.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Capabilities, ExecAction, HTTPGetAction, PodSecurityContext, Probe, ResourceRequirements,
    SeccompProfile, SecurityContext, TCPSocketAction,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

/// The user that the image of bookingq is made for.
pub const USER: i64 = 65532;

/// Of a Pod: not root, default seccomp profile. With [`container_security`] it is what the
/// restricted profile asks for.
pub fn security(user: i64) -> PodSecurityContext {
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

/// Of a container: no new rights, no capabilities, nothing to write to but volumes.
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

/// What a container asks for where the user says nothing. No limits: how much a line needs is not
/// known beforehand.
pub fn resources(
    asked: Option<&ResourceRequirements>,
    cpu: &str,
    memory: &str,
) -> ResourceRequirements {
    asked.cloned().unwrap_or_else(|| {
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
