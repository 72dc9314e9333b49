//! Where the backups of a cluster are: in a volume or in a bucket.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::cel;
use crate::secret_key::SecretKey;

/// How the URL of a bucket begins.
const SCHEME: &str = "s3://";
/// Longest path of a file, and longest URL of a bucket, in bytes.
const MAX_PATH: usize = 512;

/// A PersistentVolumeClaim in the same namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BackupVolume {
    /// Name of the claim.
    #[schemars(length(min = 1, max = 253))]
    pub claim_name: String,
}

/// A bucket of S3, or of a server with the same interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BackupBucket {
    /// The bucket and what the names of the files begin with: s3://BUCKET/PREFIX.
    #[schemars(
        length(min = 8, max = 512),
        regex(pattern = "^s3://[A-Za-z0-9._-]{3,63}(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*/?$")
    )]
    pub url: String,
    /// Address of the server, such as `https://minio.storage:9000`. Defaults to that of AWS in the
    /// region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 8, max = 512), regex(pattern = "^https?://[^@?# ]+$"))]
    pub endpoint: Option<String>,
    /// Region of the bucket. Defaults to us-east-1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), regex(pattern = "^[A-Za-z0-9-]+$"))]
    pub region: Option<String>,
    /// Secret in the same namespace with AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and, for keys
    /// that expire, AWS_SESSION_TOKEN.
    #[schemars(length(min = 1, max = 253))]
    pub secret_name: String,
    /// Secret key with the authorities that sign the certificate of the server, as PEM. Defaults to
    /// the public ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_secret: Option<SecretKey>,
}

impl BackupBucket {
    /// Whether the URL names a bucket, and a prefix that is a plain path.
    pub fn has_valid_url(&self) -> bool {
        let Some(name) = self.url.strip_prefix(SCHEME) else { return false };
        let name = name.strip_suffix('/').unwrap_or(name);
        let (bucket, prefix) = name.split_once('/').unwrap_or((name, ""));
        let named = (3..=63).contains(&bucket.len()) && bucket.bytes().all(is_plain);
        named && self.url.len() <= MAX_PATH && (name == bucket || is_plain_path(prefix))
    }

    /// Whether the address of the server is one, without a login and without a query.
    pub fn has_valid_endpoint(&self) -> bool {
        self.endpoint.as_ref().is_none_or(|endpoint| {
            let scheme = ["http://", "https://"];
            let rest = scheme.iter().find_map(|scheme| endpoint.strip_prefix(scheme));
            rest.is_some_and(|rest| !rest.is_empty() && !rest.contains(['@', '?', '#', ' ']))
        })
    }

    /// Whether the region can be one.
    pub fn has_valid_region(&self) -> bool {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        self.region
            .as_ref()
            .is_none_or(|region| (1..=64).contains(&region.len()) && region.bytes().all(plain))
    }

    /// The URL of a file, or without one that of the prefix.
    pub fn url_of(&self, file: Option<&str>) -> String {
        let prefix = self.url.trim_end_matches('/');
        file.map_or_else(|| prefix.to_owned(), |file| format!("{prefix}/{file}"))
    }
}

/// A backup, as `bookingq backup create` writes it. Exactly one of persistentVolumeClaim and s3
/// says where it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = cel::rule(
    "has(self.persistentVolumeClaim) != has(self.s3)",
    "give exactly one of persistentVolumeClaim and s3"
)))]
pub struct RestoreSource {
    /// The volume with the backup.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub persistent_volume_claim: Option<BackupVolume>,
    /// The bucket with the backup.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub s3: Option<BackupBucket>,
    /// Path of the RDB file in the volume, or behind the URL of the bucket, such as
    /// concert-20261130T230000Z.rdb. The description beside it, of the same name with json, is
    /// needed too.
    #[schemars(
        length(min = 5, max = 512),
        regex(pattern = "^[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*[.]rdb$")
    )]
    pub file: String,
}

impl RestoreSource {
    /// Whether the path stays where the backups are, and names an RDB file.
    pub fn has_valid_path(&self) -> bool {
        let is_rdb = std::path::Path::new(&self.file).extension().is_some_and(|end| end == "rdb");
        is_rdb && self.file.len() <= MAX_PATH && is_plain_path(&self.file)
    }

    /// Where the backup is; `None` unless exactly one place is given.
    pub fn place(&self) -> Option<BackupPlace> {
        BackupPlace::of(self.persistent_volume_claim.as_ref(), self.s3.as_ref())
    }
}

/// Where backups are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BackupPlace {
    /// A volume.
    Volume(BackupVolume),
    /// A bucket.
    Bucket(BackupBucket),
}

impl BackupPlace {
    /// The one that is given; `None` unless it is exactly one.
    pub fn of(volume: Option<&BackupVolume>, bucket: Option<&BackupBucket>) -> Option<Self> {
        match (volume, bucket) {
            (Some(volume), None) => Some(Self::Volume(volume.clone())),
            (None, Some(bucket)) => Some(Self::Bucket(bucket.clone())),
            _ => None,
        }
    }
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"._-".contains(&byte)
}

/// Whether each part between slashes is plain and does not start with a dot.
fn is_plain_path(text: &str) -> bool {
    text.split('/')
        .all(|part| !part.is_empty() && !part.starts_with('.') && part.bytes().all(is_plain))
}
