//! The init container that fills the empty volume of a managed Redis with a backup. It runs at each
//! start of the Pod, and does nothing once the volume is filled.

use bookingq_api::redis::ManagedRedis;
use k8s_openapi::api::core::v1::{
    Container, PersistentVolumeClaimVolumeSource, Volume, VolumeMount,
};

use crate::build::inputs::BuildInputs;
use crate::build::{names, pod};

/// Where the volume with the backup is.
const BACKUPS: &str = "/backups";

/// The container and the volume that it reads, if the spec names a backup.
pub fn build(
    inputs: &BuildInputs<'_>,
    redis: &ManagedRedis,
) -> Option<(Vec<Container>, Vec<Volume>)> {
    let source = redis.restore_from.as_ref()?;
    let plan = &inputs.target.plan;
    let mount = |name: &str, path: &str, read_only: Option<bool>| VolumeMount {
        name: name.to_owned(),
        mount_path: path.to_owned(),
        read_only,
        ..VolumeMount::default()
    };
    let args = [
        "backup",
        "restore",
        &format!("{BACKUPS}/{}", source.file),
        &format!("--data={}", names::REDIS_FOLDER),
        &format!("--queue={}", plan.queue),
    ];
    let container = Container {
        name: "restore".to_owned(),
        image: Some(inputs.environment.image_or(plan.worker.image.as_ref())),
        args: Some(args.map(str::to_owned).to_vec()),
        resources: Some(pod::resources(None, "100m", "32Mi")),
        security_context: Some(pod::container_security()),
        termination_message_policy: Some(pod::LAST_WORDS.to_owned()),
        volume_mounts: Some(vec![
            mount(names::REDIS_DATA, names::REDIS_FOLDER, None),
            mount(names::BACKUP, BACKUPS, Some(true)),
        ]),
        ..Container::default()
    };
    // Only the mount is read-only: on a read-only volume Kubernetes does not apply fsGroup, and the
    // user of Redis could not read the files.
    let claim = PersistentVolumeClaimVolumeSource {
        claim_name: source.persistent_volume_claim.claim_name.clone(),
        read_only: None,
    };
    let volume = Volume {
        name: names::BACKUP.to_owned(),
        persistent_volume_claim: Some(claim),
        ..Volume::default()
    };
    Some((vec![container], vec![volume]))
}
