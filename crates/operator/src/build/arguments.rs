//! The arguments of the containers: those of the plan, with the ports and files of a Pod.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use bookingq_api::args::{ServiceArgs, SweepArgs, WorkerArgs};
use bookingq_api::downstream::Role;
use bookingq_api::plan::ServicePlan;

use super::{names, volumes};
use crate::secrets::Secrets;
use crate::target::QueueTarget;

/// Duration of one sweeper, after which the next one starts.
pub const SWEEP_FOR: Duration = Duration::from_secs(60);

/// The arguments of a worker.
pub fn worker(target: &QueueTarget, secrets: &Secrets) -> Vec<String> {
    let plan = &target.plan;
    let mut args = WorkerArgs::of(plan, any_address(names::GRPC_PORT));
    args.admin_listen = Some(any_address(names::ADMIN_PORT));
    // For every queue, so that neither a pause nor a first limit restarts the workers.
    args.await_rules = true;
    args.booking_call = with_files(Role::Booking, Some(&plan.booking), secrets).into();
    args.ticket_call = with_files(Role::Ticket, plan.ticket.as_ref(), secrets).into();
    args.realtime_call = with_files(Role::Realtime, plan.realtime.as_ref(), secrets).into();
    args.to_args()
}

/// The arguments of a sweeper.
pub fn sweeper(target: &QueueTarget, secrets: &Secrets) -> Vec<String> {
    let mut args = SweepArgs::of(&target.plan, SWEEP_FOR);
    args.booking_call = with_files(Role::Booking, Some(&target.plan.booking), secrets).into();
    args.to_args()
}

fn any_address(port: i32) -> SocketAddr {
    SocketAddr::from(([0, 0, 0, 0], port as u16))
}

/// The arguments for a service, with the mounted files that its Secret contains.
fn with_files(role: Role, service: Option<&ServicePlan>, secrets: &Secrets) -> ServiceArgs {
    let Some(service) = service else { return ServiceArgs::default() };
    let args = ServiceArgs::of(service);
    let Some(tls) = &service.tls else { return args };
    let folder = PathBuf::from(volumes::tls_folder(role));
    let file = |key: &str| secrets.has(&tls.secret_name, key).then(|| folder.join(key));
    ServiceArgs { ca: file("ca.crt"), certificate: file("tls.crt"), key: file("tls.key"), ..args }
}
