//! Takes a backup.

use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;

use super::description::{BackupDescription, CopiedData, RDB};
use super::digest::DataDigest;
use super::error::BackupError;
use super::files::{self, PartFile};
use super::folder::FoundBackup;
use crate::redis::RedisConfig;
use crate::redis::copy::{CopiedSource, RdbReader, find};

/// What to back up, and to where.
#[derive(Debug, Clone)]
pub struct BackupRequest {
    /// The Redis and the queue.
    pub redis: RedisConfig,
    /// The namespace of the queue, for one in Kubernetes.
    pub namespace: Option<String>,
    /// A folder, which is created if need be, or the name of a new file that ends with `.rdb`.
    pub to: PathBuf,
    /// Longest time without a byte from Redis.
    pub silence: Duration,
}

/// How far a copy has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CopyProgress {
    /// Bytes that were written.
    pub bytes: u64,
    /// All bytes, if Redis says how many there are.
    pub total: Option<u64>,
}

/// Takes a copy of all data of the Redis at one moment. Redis forks a process for it, as for a new
/// replica, and goes on serving.
///
/// # Errors
/// [`BackupError`]; then there is no new backup.
pub async fn create(
    request: &BackupRequest,
    mut on_progress: impl FnMut(CopyProgress),
) -> Result<FoundBackup, BackupError> {
    let taken_at = now();
    let rdb = name(request, taken_at).await?;
    let description_path = BackupDescription::path(&rdb)?;
    for path in [&rdb, &description_path] {
        files::refuse_existing(path).await?;
    }
    let CopiedSource { server, schema, epoch, connection } = find(&request.redis).await?;
    let queue = request.redis.queue.clone();
    let mut part = PartFile::create(&rdb).await?;
    let stream = connection.open(request.silence).await?;
    let mut reader = RdbReader::begin(stream, request.silence).await?;
    let mut digest = DataDigest::new();
    while let Some(piece) = reader.next().await? {
        digest.add(piece);
        part.write(piece).await?;
        on_progress(CopyProgress { bytes: digest.bytes(), total: reader.total() });
    }
    part.finish(&rdb).await?;
    let namespace = request.namespace.clone();
    let copied = CopiedData { queue, namespace, server, schema, epoch };
    let description = BackupDescription::new(copied, taken_at, digest.finish());
    description.write(&description_path).await?;
    Ok(FoundBackup { rdb, description })
}

/// Whole seconds, as in the name.
fn now() -> Timestamp {
    let seconds = Timestamp::now().as_second();
    Timestamp::from_second(seconds).unwrap_or_default()
}

/// The RDB file: QUEUE-20261130T230000Z.rdb in a folder, or the one that was asked for.
async fn name(request: &BackupRequest, at: Timestamp) -> Result<PathBuf, BackupError> {
    let to = &request.to;
    let is_folder = tokio::fs::metadata(to).await.is_ok_and(|found| found.is_dir());
    if !is_folder && to.extension().is_some() {
        BackupDescription::path(to)?;
        return Ok(to.clone());
    }
    create_folder(to).await?;
    Ok(to.join(format!("{}-{}.{RDB}", request.redis.queue, at.strftime("%Y%m%dT%H%M%SZ"))))
}

async fn create_folder(folder: &Path) -> Result<(), BackupError> {
    tokio::fs::create_dir_all(folder).await.map_err(BackupError::file("create", folder))
}
