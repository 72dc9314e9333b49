//! The StatefulSet of a managed Redis: one Pod and one volume, or three of each, and settings that
//! lose no bookings.

use std::collections::BTreeMap;

use bookingq_api::redis::ManagedRedis;
use k8s_openapi::api::apps::v1::{
    StatefulSet, StatefulSetPersistentVolumeClaimRetentionPolicy, StatefulSetSpec,
    StatefulSetUpdateStrategy,
};
use k8s_openapi::api::core::v1::{
    Container, EnvVar, EnvVarSource, ObjectFieldSelector, PersistentVolumeClaim,
    PersistentVolumeClaimSpec, PodSpec, PodTemplateSpec, Probe, VolumeMount,
    VolumeResourceRequirements,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::restore;
use crate::build::deployment::{port, spread_over_nodes, template_metadata};
use crate::build::inputs::BuildInputs;
use crate::build::names::{self, Part};
use crate::build::{overlay, pod, volumes};
use crate::redis_failover::view::NODES;
use crate::secrets::SecretPurpose;
use crate::target::QueueTarget;

/// The user of the official image.
const USER: i64 = 999;
/// The policy of a StatefulSet whose Pods start at once. Immutable.
pub const PARALLEL: &str = "Parallel";
/// The environment variable with the name of the Pod.
const POD: &str = "POD_NAME";
/// The command by which a Pod of three is ready. An image need not have a shell, and a read-only
/// script answers during a hand-over too.
pub const SERVES: [&str; 5] = ["redis-cli", "-e", "eval_ro", SERVES_SCRIPT, "0"];
const SERVES_SCRIPT: &str = "\
local state = redis.call('INFO', 'replication')
if state:find('role:master', 1, true) or state:find('master_link_status:up', 1, true) then
  return 'ready'
end
return redis.error_reply('NOTREADY cut off from the primary, or still copying')";

/// The StatefulSet. A changed password restarts Redis too.
pub fn build(inputs: &BuildInputs<'_>) -> Option<StatefulSet> {
    let target = inputs.target;
    let redis = target.managed_redis()?;
    let mut metadata = template_metadata(target, inputs.secrets, Part::Redis);
    let labels = metadata.labels.get_or_insert_default();
    for (key, value) in &redis.labels {
        labels.entry(key.clone()).or_insert_with(|| value.clone());
    }
    let fails_over = target.failover.is_some();
    let spec = StatefulSetSpec {
        replicas: Some(if fails_over { NODES as i32 } else { 1 }),
        // Without order, a Pod that cannot start would keep the others away. The operator replaces
        // Pods itself: it knows which one is the primary.
        pod_management_policy: fails_over.then(|| PARALLEL.to_owned()),
        update_strategy: fails_over.then(|| StatefulSetUpdateStrategy {
            type_: Some("OnDelete".to_owned()),
            ..StatefulSetUpdateStrategy::default()
        }),
        service_name: Some(names::redis(&target.name)),
        selector: names::selector(&target.name, Part::Redis),
        template: PodTemplateSpec { metadata: Some(metadata), spec: Some(pod_spec(inputs, redis)) },
        volume_claim_templates: Some(vec![claim(target, redis)]),
        persistent_volume_claim_retention_policy: Some(
            StatefulSetPersistentVolumeClaimRetentionPolicy {
                when_deleted: Some(target.plan.data_deletion.as_str().to_owned()),
                when_scaled: Some("Retain".to_owned()),
            },
        ),
        revision_history_limit: Some(3),
        ..StatefulSetSpec::default()
    };
    Some(StatefulSet {
        metadata: target.metadata(names::redis(&target.name), Part::Redis),
        spec: Some(spec),
        ..StatefulSet::default()
    })
}

fn pod_spec(inputs: &BuildInputs<'_>, redis: &ManagedRedis) -> PodSpec {
    let target = inputs.target;
    let password = target.secret(SecretPurpose::RedisPassword);
    // For redis-cli in the readiness probe.
    let mut env: Vec<EnvVar> = password
        .map(|password| volumes::from_secret("REDISCLI_AUTH", password))
        .into_iter()
        .collect();
    let announced = target.failover.map(|_| {
        env.push(own_name());
        format!("$({POD}).{}.{}.svc", names::redis(&target.name), target.namespace)
    });
    let container = Container {
        name: "redis".to_owned(),
        image: Some(redis.image.clone()),
        command: Some(vec!["redis-server".to_owned()]),
        args: Some(settings(redis, announced.as_deref())),
        env: Some(env).filter(|env| !env.is_empty()),
        ports: Some(vec![port("redis", names::REDIS_PORT)]),
        // Redis answers PING with LOADING for minutes while it reads a large log: alive, not ready.
        liveness_probe: Some(pod::tcp_probe("redis", 10, 6)),
        readiness_probe: Some(readiness(target)),
        resources: Some(pod::resources(redis.resources.as_ref(), "100m", "256Mi")),
        security_context: Some(pod::container_security()),
        termination_message_policy: Some(pod::LAST_WORDS.to_owned()),
        volume_mounts: Some(vec![VolumeMount {
            name: names::REDIS_DATA.to_owned(),
            mount_path: names::REDIS_FOLDER.to_owned(),
            ..VolumeMount::default()
        }]),
        ..Container::default()
    };
    let (restores, volumes) = restore::build(inputs, redis).unzip();
    PodSpec {
        image_pull_secrets: restores.as_ref().and_then(|_| overlay::pull_secrets(target)),
        init_containers: restores,
        volumes: volumes.filter(|volumes| !volumes.is_empty()),
        termination_grace_period_seconds: Some(60),
        topology_spread_constraints: target
            .failover
            .map(|_| vec![spread_over_nodes(target, Part::Redis)]),
        ..pod::spec(container, USER)
    }
}

/// A Pod is ready when it answers. One of three is ready when it takes writes, or has the data of
/// the one that does and follows it: a node drain evicts the next Pod only then, by the
/// PodDisruptionBudget.
///
/// A Pod that is cut off is not ready. So no Pod of a new queue is ready before the first election.
/// This blocks nothing: the Pods start in parallel, and workers, operator and Pods use the names of
/// the Pods, which the Service publishes although they are not ready. For the same reason no Pod
/// leaves the Service when the operator is away. A primary stays ready without an operator and
/// without replicas.
fn readiness(target: &QueueTarget) -> Probe {
    if target.failover.is_none() {
        return pod::exec_probe(&["redis-cli", "-e", "ping"], 2, 2);
    }
    pod::exec_probe(&SERVES, 2, 2)
}

/// The name of the Pod, as an environment variable.
fn own_name() -> EnvVar {
    let field = ObjectFieldSelector {
        field_path: "metadata.name".to_owned(),
        ..ObjectFieldSelector::default()
    };
    let source = EnvVarSource { field_ref: Some(field), ..EnvVarSource::default() };
    EnvVar { name: POD.to_owned(), value_from: Some(source), ..EnvVar::default() }
}

/// The settings of a Redis of three, beside those of one and the password of its source. It is
/// `announced` by its name and starts cut off: only the operator lets it take writes or copy.
pub fn settings_of_three(announced: &str) -> Vec<&str> {
    [
        ["--replicaof", "127.0.0.1", "1"].as_slice(),
        &["--replica-announce-ip", announced],
        &["--min-replicas-to-write", "1"],
        &["--min-replicas-max-lag", "2"],
        // The operator asks replicas for their last contact with the primary.
        &["--repl-ping-replica-period", "1"],
        &["--repl-diskless-load", "disabled"],
        &["--repl-diskless-sync-delay", "0"],
    ]
    .concat()
}

/// Acknowledged writes are on disk, and none is evicted when memory is full.
fn settings(redis: &ManagedRedis, announced: Option<&str>) -> Vec<String> {
    let port = names::REDIS_PORT.to_string();
    let settings = [
        ("--port", port.as_str()),
        ("--dir", names::REDIS_FOLDER),
        ("--appendonly", "yes"),
        ("--appendfsync", redis.appendfsync.as_str()),
        ("--save", ""),
        ("--maxmemory-policy", "noeviction"),
        // A small sorted set would be a list, searched for each change: a quarter of Redis's CPU
        // (docs/redis-keys.md).
        ("--zset-max-listpack-entries", "0"),
        ("--requirepass", "$(REDISCLI_AUTH)"),
    ];
    let words = settings.into_iter().flat_map(|(name, value)| [name, value]);
    let of_three = announced.map(|name| {
        ["--masterauth", "$(REDISCLI_AUTH)"].into_iter().chain(settings_of_three(name))
    });
    words.chain(of_three.into_iter().flatten()).map(str::to_owned).collect()
}

fn claim(target: &QueueTarget, redis: &ManagedRedis) -> PersistentVolumeClaim {
    let requests = BTreeMap::from([("storage".to_owned(), Quantity(redis.storage.clone()))]);
    let spec = PersistentVolumeClaimSpec {
        access_modes: Some(vec!["ReadWriteOnce".to_owned()]),
        storage_class_name: redis.storage_class_name.clone(),
        resources: Some(VolumeResourceRequirements {
            requests: Some(requests),
            ..VolumeResourceRequirements::default()
        }),
        ..PersistentVolumeClaimSpec::default()
    };
    let metadata = ObjectMeta {
        name: Some(names::REDIS_DATA.to_owned()),
        labels: Some(names::labels(&target.name, Part::Redis)),
        ..ObjectMeta::default()
    };
    PersistentVolumeClaim { metadata, spec: Some(spec), ..PersistentVolumeClaim::default() }
}
