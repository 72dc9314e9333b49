//! The backups of a folder.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::description::{BackupDescription, DESCRIPTION, RDB};
use super::error::BackupError;
use super::files::{self, PART, has_extension, names_in};

/// After this time, a file without its name belongs to a process that has ended.
const ABANDONED: Duration = Duration::from_hours(24);

/// A finished backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundBackup {
    /// The RDB file.
    pub rdb: PathBuf,
    /// Its description.
    pub description: BackupDescription,
}

/// The finished backups in a folder, the newest first, and the descriptions that cannot be read.
///
/// # Errors
/// [`BackupError::File`] if the folder cannot be read.
pub async fn list(folder: &Path) -> Result<(Vec<FoundBackup>, Vec<BackupError>), BackupError> {
    let (mut found, mut unread) = (Vec::new(), Vec::new());
    for name in names_in(folder).await? {
        if !has_extension(&name, DESCRIPTION) {
            continue;
        }
        let path = folder.join(name);
        let rdb = path.with_extension(RDB);
        match BackupDescription::read(&path).await {
            Ok(description) => found.push(FoundBackup { rdb, description }),
            Err(error) => unread.push(error),
        }
    }
    found.sort_by(|a, b| {
        b.description.taken_at.cmp(&a.description.taken_at).then_with(|| b.rdb.cmp(&a.rdb))
    });
    Ok((found, unread))
}

/// Keeps the `count` newest backups of the queue and namespace of `newest`, which is one of them
/// whatever its time, and removes the others and what was left unfinished. Returns what it removed.
///
/// # Errors
/// [`BackupError::File`].
pub async fn keep(newest: &FoundBackup, count: usize) -> Result<Vec<PathBuf>, BackupError> {
    let folder = newest.rdb.parent().unwrap_or(Path::new("."));
    let (found, _) = list(folder).await?;
    let of_queue = |other: &FoundBackup| {
        let (a, b) = (&other.description, &newest.description);
        other.rdb != newest.rdb && a.queue == b.queue && a.namespace == b.namespace
    };
    let others = found.into_iter().filter(of_queue);
    let mut removed = Vec::new();
    for old in others.skip(count.saturating_sub(1)) {
        // The description first: without it, the data is no backup.
        remove(&old.rdb.with_extension(DESCRIPTION)).await?;
        remove(&old.rdb).await?;
        removed.push(old.rdb);
    }
    remove_abandoned(folder, newest).await?;
    files::sync_folder(folder).await?;
    Ok(removed)
}

/// Removes what a process of the same queue has begun and left long ago.
async fn remove_abandoned(folder: &Path, newest: &FoundBackup) -> Result<(), BackupError> {
    let queue = format!("{}-", newest.description.queue);
    for name in names_in(folder).await? {
        if !(name.starts_with(&queue) && name.ends_with(PART)) {
            continue;
        }
        let path = folder.join(name);
        let Ok(written) = tokio::fs::metadata(&path).await.and_then(|found| found.modified())
        else {
            continue;
        };
        if written.elapsed().is_ok_and(|age| age > ABANDONED) {
            remove(&path).await?;
        }
    }
    Ok(())
}

async fn remove(path: &Path) -> Result<(), BackupError> {
    match tokio::fs::remove_file(path).await {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(BackupError::file("remove", path)(error))
        }
        _ => Ok(()),
    }
}
