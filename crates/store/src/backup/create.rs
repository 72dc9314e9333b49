//! Takes a backup.

use std::time::Duration;

use jiff::Timestamp;

use super::description::{BackupDescription, CopiedData, RDB};
use super::digest::DataDigest;
use super::error::BackupError;
use super::folder::FoundBackup;
use super::location::BackupLocation;
use super::storage::DataWriter;
use crate::redis::RedisConfig;
use crate::redis::copy::{CopiedSource, CopyConnection, RdbReader, find};

/// What to back up, and to where.
#[derive(Debug, Clone)]
pub struct BackupRequest {
    /// The Redis and the queue.
    pub redis: RedisConfig,
    /// The namespace of the queue, for one in Kubernetes.
    pub namespace: Option<String>,
    /// A folder, which is created if need be, or the name of a new file that ends with `.rdb`.
    pub to: BackupLocation,
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
    let description_location = BackupDescription::location(&rdb)?;
    for location in [&rdb, &description_location] {
        location.refuse_existing().await?;
    }
    let CopiedSource { server, schema, epoch, connection } = find(&request.redis).await?;
    let queue = request.redis.queue.clone();
    // A new backup is worth more than the room of an old one.
    if let Err(error) = rdb.parent().remove_abandoned(&format!("{queue}-")).await {
        tracing::warn!("what an earlier process has left unfinished stays: {error}");
    }
    let mut writer = rdb.writer().await?;
    let copied = copy(&connection, request.silence, &mut writer, &mut on_progress).await;
    let digest = match copied {
        Ok(digest) => digest,
        Err(error) => {
            writer.discard().await;
            return Err(error);
        }
    };
    writer.finish().await?;
    let namespace = request.namespace.clone();
    let copied = CopiedData { queue, namespace, server, schema, epoch };
    let description = BackupDescription::new(copied, taken_at, digest.finish());
    description_location.write_json(&description).await?;
    Ok(FoundBackup { rdb, description })
}

/// Writes all that Redis sends.
async fn copy(
    connection: &CopyConnection,
    silence: Duration,
    writer: &mut DataWriter,
    on_progress: &mut impl FnMut(CopyProgress),
) -> Result<DataDigest, BackupError> {
    let stream = connection.open(silence).await?;
    let mut reader = RdbReader::begin(stream, silence).await?;
    let mut digest = DataDigest::new();
    while let Some(piece) = reader.next().await? {
        digest.add(piece);
        writer.write(piece).await?;
        on_progress(CopyProgress { bytes: digest.bytes(), total: reader.total() });
    }
    Ok(digest)
}

/// Whole seconds, as in the name.
fn now() -> Timestamp {
    let seconds = Timestamp::now().as_second();
    Timestamp::from_second(seconds).unwrap_or_default()
}

/// The RDB file: QUEUE-20261130T230000Z.rdb in a folder, or the one that was asked for.
async fn name(request: &BackupRequest, at: Timestamp) -> Result<BackupLocation, BackupError> {
    let to = &request.to;
    if names_a_file(to).await {
        BackupDescription::location(to)?;
        return Ok(to.clone());
    }
    to.create_folder().await?;
    Ok(to.join(&format!("{}-{}.{RDB}", request.redis.queue, at.strftime("%Y%m%dT%H%M%SZ"))))
}

/// Whether it is not a folder. The parts of a prefix may have dots, and no one can ask whether it
/// is one.
async fn names_a_file(to: &BackupLocation) -> bool {
    match to {
        BackupLocation::Path(path) => {
            let is_folder = tokio::fs::metadata(path).await.is_ok_and(|found| found.is_dir());
            !is_folder && path.extension().is_some()
        }
        BackupLocation::Object { .. } => to.has_extension(RDB),
    }
}
