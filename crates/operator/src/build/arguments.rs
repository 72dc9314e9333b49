//! The command lines of `bookingq worker` and `bookingq sweep`: each field of the plan as its flag.

use std::time::Duration;

use bookingq_api::DurationString;
use bookingq_api::downstream::{Endpoint, Role};
use bookingq_api::plan::Service;
use bookingq_core::time::millis;

use super::names;
use super::volumes;
use crate::secrets::Secrets;
use crate::target::Target;

/// How long one sweeper sweeps; the next one starts when it ends.
pub const SWEEP_FOR: Duration = Duration::from_secs(60);

/// Of a worker.
pub fn worker(target: &Target, secrets: &Secrets) -> Vec<String> {
    let plan = &target.plan;
    let mut arguments = vec!["worker".to_owned()];
    arguments.extend(shared(target, secrets));
    arguments.extend([
        format!("--listen=0.0.0.0:{}", names::GRPC_PORT),
        format!("--admin-listen=0.0.0.0:{}", names::ADMIN_PORT),
        format!("--concurrency={}", plan.worker.concurrency),
        flag("grace", plan.worker.grace),
        flag("linger", plan.worker.linger),
    ]);
    for (role, service) in [(Role::Ticket, &plan.ticket), (Role::Realtime, &plan.realtime)] {
        arguments.extend(service.iter().flat_map(|service| call(role, service, secrets)));
    }
    arguments
}

/// Of a sweeper.
pub fn sweeper(target: &Target, secrets: &Secrets) -> Vec<String> {
    let mut arguments = vec!["sweep".to_owned(), flag("for", SWEEP_FOR)];
    arguments.extend(shared(target, secrets));
    arguments
}

/// What a worker and a sweeper must agree on.
fn shared(target: &Target, secrets: &Secrets) -> Vec<String> {
    let plan = &target.plan;
    let mut arguments = vec![
        format!("--queue={}", plan.queue),
        flag("retention", plan.retention),
        flag("hold", plan.hold),
        flag("lease", plan.worker.lease),
        format!("--retry-attempts={}", plan.retry.attempts),
        flag("retry-initial", plan.retry.backoff.initial),
        flag("retry-max", plan.retry.backoff.max),
    ];
    arguments.extend(call(Role::Booking, &plan.booking, secrets));
    arguments
}

/// How one service is called.
fn call(role: Role, service: &Service, secrets: &Secrets) -> Vec<String> {
    let word = role.as_str();
    let (Endpoint::Grpc(endpoint) | Endpoint::Simulated(endpoint)) = &service.endpoint;
    let mut arguments =
        vec![format!("--{word}={endpoint}"), flag(&format!("{word}-timeout"), service.timeout)];
    let Some(tls) = &service.tls else { return arguments };
    let folder = volumes::tls_folder(role);
    let files = [("ca", "ca.crt"), ("cert", "tls.crt"), ("key", "tls.key")];
    for (what, key) in files.into_iter().filter(|(_, key)| secrets.has(&tls.secret_name, key)) {
        arguments.push(format!("--{word}-tls-{what}={folder}/{key}"));
    }
    arguments.extend(tls.server_name.iter().map(|name| format!("--{word}-tls-server-name={name}")));
    arguments
}

fn flag(name: &str, time: Duration) -> String {
    format!("--{name}={}", DurationString::from_millis(millis(time)))
}
