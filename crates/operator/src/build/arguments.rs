//! The arguments of the containers: those of the plan, with the ports and files of a Pod.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bookingq_api::DurationString;
use bookingq_api::args::{
    BackendArgs, GatewayArgs, GatewayDrainArgs, IdentityArgs, KafkaArgs, PublicArgs, QueueAddress,
    RedisArgs, ServerArgs, ServiceArgs, SweepArgs, WorkerArgs,
};
use bookingq_api::downstream::Role;
use bookingq_api::plan::{GatewayPlan, KafkaPlan, ServicePlan};

use super::inputs::BuildInputs;
use super::{gateway, names, volumes};
use crate::secrets::{AUTHORITY, Secrets};
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
    args.server = server(target);
    with_store_files(&mut args.redis, target, secrets);
    args.booking_call = with_files(Role::Booking, Some(&plan.booking), secrets).into();
    args.ticket_call = with_files(Role::Ticket, plan.ticket.as_ref(), secrets).into();
    args.realtime_call = with_files(Role::Realtime, plan.realtime.as_ref(), secrets).into();
    args.to_args()
}

/// The gRPC port, with the mounted files of its certificate.
fn server(target: &QueueTarget) -> ServerArgs {
    let Some(tls) = &target.plan.worker.tls else { return ServerArgs::default() };
    let (certificate, key) = pair(volumes::WORKER_TLS);
    let client_ca = tls.client_ca_secret_name.as_ref();
    ServerArgs {
        certificate: Some(certificate),
        key: Some(key),
        client_ca: client_ca.map(|_| Path::new(volumes::WORKER_CLIENT_CA).join(AUTHORITY)),
        ..ServerArgs::default()
    }
}

/// The files of a certificate and of its key in a mounted Secret.
fn pair(folder: &str) -> (PathBuf, PathBuf) {
    (Path::new(folder).join("tls.crt"), Path::new(folder).join("tls.key"))
}

/// Time during which a gateway that shuts down still accepts connections.
pub fn gateway_linger() -> Duration {
    GatewayDrainArgs::default().linger.get()
}

/// The arguments of a gateway.
pub fn gateway(inputs: &BuildInputs<'_>, gateway: &GatewayPlan) -> Vec<String> {
    let (target, spec) = (inputs.target, &gateway.spec);
    let own = spec.tls.as_ref().map(|_| pair(volumes::GATEWAY_TLS)).unzip();
    let mut args = GatewayArgs::new(vec![workers(target)]);
    args.config = Some(Path::new(volumes::GATEWAY_CONFIG).join(gateway::config_map::FILE));
    args.listen = any_address(names::PUBLIC_PORT);
    args.backend_listen = Some(any_address(names::BACKEND_PORT));
    args.admin_listen = Some(any_address(names::ADMIN_PORT));
    args.workers_call = calls_to_workers(inputs, gateway).into();
    args.public = PublicArgs {
        tls_cert: own.0.clone(),
        tls_key: own.1.clone(),
        trusted_proxies: spec.trusted_proxies.clone(),
        max_connections: gateway.max_connections,
        ..PublicArgs::default()
    };
    let client_ca = spec.backend.client_ca_secret_name.as_ref();
    args.backend = BackendArgs {
        backend_tls_cert: own.0,
        backend_tls_key: own.1,
        backend_tls_client_ca: client_ca
            .map(|_| Path::new(volumes::BACKEND_CLIENT_CA).join(AUTHORITY)),
    };
    args.identity = IdentityArgs { keys: Some(volumes::KEYS.into()), ..IdentityArgs::default() };
    args.drain.drain = DurationString::new(gateway.drain);
    args.to_args()
}

/// The queue, with all its workers: the headless Service.
fn workers(target: &QueueTarget) -> QueueAddress {
    let scheme = if target.plan.worker.tls.is_some() { "https" } else { "http" };
    let host = format!("{}.{}.svc", names::headless(&target.name), target.namespace);
    let workers = format!("{scheme}://{host}:{}", names::GRPC_PORT);
    QueueAddress { name: target.plan.queue.clone(), workers }
}

/// Calls of a gateway to the workers, with the mounted files that the Secrets contain.
fn calls_to_workers(inputs: &BuildInputs<'_>, gateway: &GatewayPlan) -> ServiceArgs {
    let BuildInputs { target, secrets, .. } = inputs;
    let Some(tls) = &target.plan.worker.tls else { return ServiceArgs::default() };
    let ca = secrets.has(&tls.secret_name, AUTHORITY);
    let own = gateway.spec.client_certificate_secret_name.as_ref();
    let (certificate, key) = own.map(|_| pair(volumes::CLIENT_TLS)).unzip();
    let name = format!("{}.{}.svc", target.name, target.namespace);
    ServiceArgs {
        ca: ca.then(|| Path::new(volumes::WORKER_CA).join(AUTHORITY)),
        certificate,
        key,
        server_name: Some(tls.server_name.clone().unwrap_or(name)),
        ..ServiceArgs::default()
    }
}

/// The arguments of a sweeper.
pub fn sweeper(target: &QueueTarget, secrets: &Secrets) -> Vec<String> {
    let mut args = SweepArgs::of(&target.plan, SWEEP_FOR);
    with_store_files(&mut args.redis, target, secrets);
    args.booking_call = with_files(Role::Booking, Some(&target.plan.booking), secrets).into();
    args.to_args()
}

fn any_address(port: i32) -> SocketAddr {
    SocketAddr::from(([0, 0, 0, 0], port as u16))
}

/// Adds the mounted files that the Secrets for the store contain.
fn with_store_files(args: &mut RedisArgs, target: &QueueTarget, secrets: &Secrets) {
    if let Some(kafka) = target.plan.store.kafka() {
        with_kafka_files(&mut args.kafka, kafka, secrets);
    }
    let Some(tls) = target.plan.store.redis().and_then(|redis| redis.tls.as_ref()) else { return };
    let file = |key| in_secret(secrets, &tls.secret_name, volumes::REDIS_TLS, key);
    let access = &mut args.access;
    access.ca = file(AUTHORITY);
    (access.certificate, access.key) = (file("tls.crt"), file("tls.key"));
}

fn with_kafka_files(args: &mut KafkaArgs, kafka: &KafkaPlan, secrets: &Secrets) {
    if let Some(name) = kafka.tls.as_ref().and_then(|tls| tls.secret_name.as_ref()) {
        let file = |key| in_secret(secrets, name, volumes::KAFKA_TLS, key);
        (args.ca, args.certificate, args.key) = (file(AUTHORITY), file("tls.crt"), file("tls.key"));
    }
    args.password_file = kafka.sasl.as_ref().map(|_| volumes::KAFKA_PASSWORD_FILE.into());
}

/// The mounted file of a Secret's key, if the Secret has it.
fn in_secret(secrets: &Secrets, name: &str, folder: &str, key: &str) -> Option<PathBuf> {
    secrets.has(name, key).then(|| Path::new(folder).join(key))
}

/// The arguments for a service, with the mounted files that its Secret contains.
fn with_files(role: Role, service: Option<&ServicePlan>, secrets: &Secrets) -> ServiceArgs {
    let Some(service) = service else { return ServiceArgs::default() };
    let args = ServiceArgs::of(service);
    let Some(tls) = &service.tls else { return args };
    let folder = volumes::tls_folder(role);
    let file = |key| in_secret(secrets, &tls.secret_name, &folder, key);
    ServiceArgs { ca: file(AUTHORITY), certificate: file("tls.crt"), key: file("tls.key"), ..args }
}
