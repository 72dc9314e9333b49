//! Fills an empty data folder of Redis with a backup.
//!
//! ```text
//!   DATA/bookingq-restore.part/           written and synced, then renamed to
//!   DATA/appendonlydir/
//!     appendonly.aof.manifest             names the two
//!     appendonly.aof.1.base.rdb           the backup
//!     appendonly.aof.1.incr.aof           one command: the new epoch
//!     bookingq-restore.json               which backup this is
//! ```
//!
//! One rename makes the restore, so a folder has all of it or nothing. Redis since 7.0 and Valkey
//! read these files with the default names, `appendonly yes` and `aof-use-rdb-preamble yes`.

use std::io::ErrorKind;
use std::path::Path;

use bookingq_core::QueueName;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::description::BackupDescription;
use super::digest;
use super::error::BackupError;
use super::files::{PartFile, names_in, sync_folder, write_json, write_whole};
use super::location::BackupLocation;
use crate::redis::resp;

/// Where Redis keeps its log, by default.
const LOG: &str = "appendonlydir";
/// A restore that is not finished.
const PART: &str = "bookingq-restore.part";
const BASE: &str = "appendonly.aof.1.base.rdb";
const INCREMENT: &str = "appendonly.aof.1.incr.aof";
const MANIFEST: &str = "appendonly.aof.manifest";
const NOTE: &str = "bookingq-restore.json";
/// What a new volume may have.
const IGNORED: &str = "lost+found";

/// What a restore did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Restored {
    /// It filled the folder.
    Now(BackupDescription),
    /// The folder was filled with this backup before, and is as it was.
    Before,
}

/// Kept in the folder: which backup it was restored from.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RestoreNote {
    /// Name of the RDB file, by which it is known once it was removed.
    file: String,
    sha256: String,
    taken_at: Timestamp,
    restored_at: Timestamp,
    epoch: String,
}

/// Fills `data`, the data folder of a Redis that does not run, and gives the data a new epoch. Does
/// nothing in a folder that was filled with the same backup, whatever Redis wrote since, also once
/// the backup was removed, and while its bucket does not answer.
///
/// # Errors
/// [`BackupError`]; then the folder has no data that it did not have before.
pub async fn restore(
    rdb: &BackupLocation,
    data: &Path,
    queue: Option<&QueueName>,
) -> Result<Restored, BackupError> {
    let description = of_queue(rdb, queue).await;
    let log = data.join(LOG);
    if let Some(note) = read_note(&log.join(NOTE)).await? {
        if note.is_of(rdb, description)? {
            return Ok(Restored::Before);
        }
        let taken_at = note.taken_at.to_string();
        return Err(BackupError::RestoredBefore { folder: data.to_owned(), taken_at });
    }
    let description = description?;
    tokio::fs::create_dir_all(data).await.map_err(BackupError::file("create", data))?;
    let part = data.join(PART);
    let occupied = names_in(data).await?.into_iter().find(|name| name != PART && name != IGNORED);
    if let Some(found) = occupied {
        return Err(BackupError::Occupied { folder: data.to_owned(), found });
    }
    if tokio::fs::try_exists(&part).await.unwrap_or(true) {
        let removed = tokio::fs::remove_dir_all(&part).await;
        removed.map_err(BackupError::file("remove", &part))?;
    }
    fill(&part, rdb, &description).await?;
    tokio::fs::rename(&part, &log).await.map_err(BackupError::file("write", &log))?;
    sync_folder(data).await?;
    Ok(Restored::Now(description))
}

impl RestoreNote {
    /// Whether the folder was filled with this backup. Of one that was removed, or that its bucket
    /// does not give now, the name decides: Redis must start without it.
    fn is_of(
        &self,
        rdb: &BackupLocation,
        description: Result<BackupDescription, BackupError>,
    ) -> Result<bool, BackupError> {
        match description {
            Ok(found) => Ok(self.sha256 == found.sha256 && self.taken_at == found.taken_at),
            Err(error) if error.is_absence() => Ok(self.file == rdb.file_name()),
            Err(error) => Err(error),
        }
    }
}

/// The description of a backup of this queue.
async fn of_queue(
    rdb: &BackupLocation,
    queue: Option<&QueueName>,
) -> Result<BackupDescription, BackupError> {
    let description = BackupDescription::of(rdb).await?;
    if let Some(wanted) = queue.filter(|wanted| **wanted != description.queue) {
        return Err(BackupError::OtherQueue {
            location: rdb.to_string(),
            found: description.queue.to_string(),
            wanted: wanted.to_string(),
        });
    }
    Ok(description)
}

/// Writes all files, and waits until they are on disk.
async fn fill(
    part: &Path,
    rdb: &BackupLocation,
    description: &BackupDescription,
) -> Result<(), BackupError> {
    tokio::fs::create_dir(part).await.map_err(BackupError::file("create", part))?;
    let base = part.join(BASE);
    let mut copy = PartFile::create(&base).await?;
    digest::read_through(rdb, description, Some(&mut copy)).await?;
    copy.finish(&base).await?;
    let epoch = uuid::Uuid::now_v7().to_string();
    let command = resp::new_epoch(&description.queue, &epoch);
    write_whole(&part.join(INCREMENT), command.as_bytes()).await?;
    let manifest = format!("file {BASE} seq 1 type b\nfile {INCREMENT} seq 1 type i\n");
    write_whole(&part.join(MANIFEST), manifest.as_bytes()).await?;
    let (sha256, taken_at) = (description.sha256.clone(), description.taken_at);
    let file = rdb.file_name();
    let note = RestoreNote { file, sha256, taken_at, restored_at: Timestamp::now(), epoch };
    write_json(&part.join(NOTE), &note).await
}

async fn read_note(path: &Path) -> Result<Option<RestoreNote>, BackupError> {
    match tokio::fs::read(path).await {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|error| BackupError::description(&path.display(), &error)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(BackupError::file("read", path)(error)),
    }
}
