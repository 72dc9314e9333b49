//! The backups of a folder.

use super::description::{BackupDescription, DESCRIPTION, RDB};
use super::error::BackupError;
use super::location::BackupLocation;

/// A finished backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundBackup {
    /// The RDB file.
    pub rdb: BackupLocation,
    /// Its description.
    pub description: BackupDescription,
}

/// The finished backups in a folder, the newest first, and the descriptions that cannot be read.
///
/// # Errors
/// Why the folder cannot be read.
pub async fn list(
    folder: &BackupLocation,
) -> Result<(Vec<FoundBackup>, Vec<BackupError>), BackupError> {
    let (mut found, mut unread) = (Vec::new(), Vec::new());
    for name in folder.names().await? {
        let file = folder.join(&name);
        if !file.has_extension(DESCRIPTION) {
            continue;
        }
        let rdb = file.with_extension(RDB);
        match BackupDescription::read(&file).await {
            Ok(description) => found.push(FoundBackup { rdb, description }),
            Err(error) => unread.push(error),
        }
    }
    found.sort_by(|a, b| {
        b.description
            .taken_at
            .cmp(&a.description.taken_at)
            .then_with(|| b.rdb.file_name().cmp(&a.rdb.file_name()))
    });
    Ok((found, unread))
}

/// Keeps the `count` newest backups of the queue and namespace of `newest`, which is one of them
/// whatever its time, and removes the others. Returns what it removed.
///
/// # Errors
/// What cannot be read or removed.
pub async fn keep(newest: &FoundBackup, count: usize) -> Result<Vec<BackupLocation>, BackupError> {
    let folder = newest.rdb.parent();
    let (found, _) = list(&folder).await?;
    let of_queue = |other: &FoundBackup| {
        let (a, b) = (&other.description, &newest.description);
        other.rdb != newest.rdb && a.queue == b.queue && a.namespace == b.namespace
    };
    let others = found.into_iter().filter(of_queue);
    let mut removed = Vec::new();
    for old in others.skip(count.saturating_sub(1)) {
        // The description first: without it, the data is no backup.
        old.rdb.with_extension(DESCRIPTION).remove().await?;
        old.rdb.remove().await?;
        removed.push(old.rdb);
    }
    folder.sync_folder().await?;
    Ok(removed)
}
