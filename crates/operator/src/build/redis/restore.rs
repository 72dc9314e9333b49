//! The init container that fills the empty volume of a managed Redis with a backup. It runs at each
//! start of the Pod, and does nothing once the volume is filled.

use bookingq_api::redis::ManagedRedis;
use k8s_openapi::api::core::v1::{Container, Volume, VolumeMount};

use crate::build::inputs::BuildInputs;
use crate::build::{backup_files, names, pod};

/// The container and the volumes that it reads, if the spec names a backup.
pub fn build(
    inputs: &BuildInputs<'_>,
    redis: &ManagedRedis,
) -> Option<(Vec<Container>, Vec<Volume>)> {
    let source = redis.restore_from.as_ref()?;
    let plan = &inputs.target.plan;
    let backup = backup_files::file(&source.place()?, &source.file);
    let data = VolumeMount {
        name: names::REDIS_DATA.to_owned(),
        mount_path: names::REDIS_FOLDER.to_owned(),
        ..VolumeMount::default()
    };
    let args = [
        "backup",
        "restore",
        &backup.path,
        &format!("--data={}", names::REDIS_FOLDER),
        &format!("--queue={}", plan.queue),
    ];
    let container = Container {
        name: "restore".to_owned(),
        image: Some(inputs.environment.image_or(plan.worker.image.as_ref())),
        args: Some(args.map(str::to_owned).to_vec()),
        env: Some(backup.environment).filter(|set| !set.is_empty()),
        resources: Some(pod::resources(None, "100m", "32Mi")),
        security_context: Some(pod::container_security()),
        termination_message_policy: Some(pod::LAST_WORDS.to_owned()),
        volume_mounts: Some([vec![data], backup.mounts].concat()),
        ..Container::default()
    };
    Some((vec![container], backup.volumes))
}
