//! The files of backups, as a container reaches them: in a volume that is mounted, or in a bucket.

use bookingq_api::backup::place::{BackupBucket, BackupPlace, BackupVolume};
use k8s_openapi::api::core::v1::{EnvVar, PersistentVolumeClaimVolumeSource, Volume, VolumeMount};

use super::{names, volumes};

/// Where the volume of backups is mounted.
const MOUNT: &str = "/backups";
/// Name of the volume with the authorities of a bucket's server.
const AUTHORITIES: &str = "s3-ca";
/// Name of the file with them.
const AUTHORITIES_FILE: &str = "ca.crt";

/// What a container needs for `bookingq backup`.
#[derive(Debug)]
pub struct BackupFiles {
    /// How the arguments name the folder, or the file in it.
    pub path: String,
    /// The settings of a bucket.
    pub environment: Vec<EnvVar>,
    /// The volumes of the Pod.
    pub volumes: Vec<Volume>,
    /// Their mounts.
    pub mounts: Vec<VolumeMount>,
}

/// The folder at this place, to write to.
pub fn folder(place: &BackupPlace) -> BackupFiles {
    match place {
        BackupPlace::Volume(volume) => in_volume(volume, None),
        BackupPlace::Bucket(bucket) => in_bucket(bucket, None),
    }
}

/// A file at this place, to read.
pub fn file(place: &BackupPlace, name: &str) -> BackupFiles {
    match place {
        BackupPlace::Volume(volume) => in_volume(volume, Some(name)),
        BackupPlace::Bucket(bucket) => in_bucket(bucket, Some(name)),
    }
}

fn in_volume(volume: &BackupVolume, file: Option<&str>) -> BackupFiles {
    // Only the mount is read-only: on a read-only volume Kubernetes does not apply fsGroup, and the
    // user of Redis could not read the files.
    let claim = PersistentVolumeClaimVolumeSource {
        claim_name: volume.claim_name.clone(),
        read_only: None,
    };
    let volume = Volume {
        name: names::BACKUP.to_owned(),
        persistent_volume_claim: Some(claim),
        ..Volume::default()
    };
    let mount = VolumeMount {
        name: names::BACKUP.to_owned(),
        mount_path: MOUNT.to_owned(),
        read_only: file.map(|_| true),
        ..VolumeMount::default()
    };
    BackupFiles {
        path: file.map_or_else(|| MOUNT.to_owned(), |file| format!("{MOUNT}/{file}")),
        environment: Vec::new(),
        volumes: vec![volume],
        mounts: vec![mount],
    }
}

fn in_bucket(bucket: &BackupBucket, file: Option<&str>) -> BackupFiles {
    let secret =
        |name, optional| volumes::from_secret_key(name, &bucket.secret_name, name, optional);
    let set = |name, value: &Option<String>| value.clone().map(|value| volumes::plain(name, value));
    let authorities = bucket
        .ca_secret
        .as_ref()
        .map(|ca| volumes::mounted(AUTHORITIES, &ca.name, Some((&ca.key, AUTHORITIES_FILE))));
    let path = authorities.as_ref().map(|(_, mount)| {
        volumes::plain("AWS_CA_BUNDLE", format!("{}/{AUTHORITIES_FILE}", mount.mount_path))
    });
    let given =
        [set("AWS_REGION", &bucket.region), set("AWS_ENDPOINT_URL_S3", &bucket.endpoint), path];
    let login = [
        secret("AWS_ACCESS_KEY_ID", None),
        secret("AWS_SECRET_ACCESS_KEY", None),
        secret("AWS_SESSION_TOKEN", Some(true)),
    ];
    let (volumes, mounts) = authorities.into_iter().unzip();
    BackupFiles {
        path: bucket.url_of(file),
        environment: login.into_iter().chain(given.into_iter().flatten()).collect(),
        volumes,
        mounts,
    }
}
