//! Files that are there whole or not at all, also after the power was cut.

use std::fmt::Display;
use std::path::{Path, PathBuf};

use serde::Serialize;
use tokio::fs::{File, OpenOptions};
use tokio::io::AsyncWriteExt as _;

use super::error::BackupError;

/// The end of the name of a file that is not whole yet.
pub(super) const PART: &str = ".part";

/// A file under a temporary name. It is removed when dropped, unless it was given its name.
pub(super) struct PartFile {
    file: File,
    path: PathBuf,
    named: bool,
}

impl PartFile {
    /// Creates it beside its later name.
    pub(super) async fn create(name: &Path) -> Result<Self, BackupError> {
        let unique = uuid::Uuid::now_v7().simple();
        let mut path = name.as_os_str().to_owned();
        path.push(format!(".{unique}{PART}"));
        let path = PathBuf::from(path);
        let file = OpenOptions::new().write(true).create_new(true).open(&path).await;
        let file = file.map_err(BackupError::file("create", &path))?;
        Ok(Self { file, path, named: false })
    }

    pub(super) async fn write(&mut self, bytes: &[u8]) -> Result<(), BackupError> {
        self.file.write_all(bytes).await.map_err(BackupError::file("write", &self.path))
    }

    /// Waits until it is on disk and gives it its name, which no other file may have.
    pub(super) async fn finish(&mut self, name: &Path) -> Result<(), BackupError> {
        let failed = BackupError::file("write", &self.path);
        let synced = async {
            self.file.flush().await?;
            self.file.sync_all().await
        };
        synced.await.map_err(failed)?;
        refuse_existing(name).await?;
        let renamed = tokio::fs::rename(&self.path, name).await;
        renamed.map_err(BackupError::file("write", name))?;
        self.named = true;
        sync_folder(name.parent().unwrap_or(Path::new("."))).await
    }
}

impl Drop for PartFile {
    fn drop(&mut self) {
        if !self.named {
            std::fs::remove_file(&self.path).ok();
        }
    }
}

/// An error if a file has this name.
pub(super) async fn refuse_existing(name: &Path) -> Result<(), BackupError> {
    if tokio::fs::try_exists(name).await.unwrap_or(true) {
        return Err(BackupError::Exists(name.display().to_string()));
    }
    Ok(())
}

/// Removes a file, if it is there.
pub(super) async fn remove(path: &Path) -> Result<(), BackupError> {
    match tokio::fs::remove_file(path).await {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(BackupError::file("remove", path)(error))
        }
        _ => Ok(()),
    }
}

/// Writes a file that is there whole or not at all.
pub(super) async fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), BackupError> {
    let mut part = PartFile::create(path).await?;
    part.write(bytes).await?;
    part.finish(path).await
}

/// Writes a file of JSON that is there whole or not at all.
pub(super) async fn write_json(path: &Path, content: &impl Serialize) -> Result<(), BackupError> {
    write_whole(path, json(&path.display(), content)?.as_bytes()).await
}

/// The text of a file of JSON.
pub(super) fn json(
    location: &impl Display,
    content: &impl Serialize,
) -> Result<String, BackupError> {
    let text = serde_json::to_string_pretty(content);
    let text = text.map_err(|error| BackupError::description(location, &error))?;
    Ok(text + "\n")
}

/// The folder of a name without one is the present one.
fn here(folder: &Path) -> &Path {
    if folder.as_os_str().is_empty() { Path::new(".") } else { folder }
}

/// Waits until the names in a folder are on disk.
pub(super) async fn sync_folder(folder: &Path) -> Result<(), BackupError> {
    let folder = here(folder);
    let synced = async { File::open(folder).await?.sync_all().await };
    synced.await.map_err(BackupError::file("sync", folder))
}

/// The names in a folder, in order.
pub(super) async fn names_in(folder: &Path) -> Result<Vec<String>, BackupError> {
    let read = async {
        let mut names = Vec::new();
        let mut entries = tokio::fs::read_dir(here(folder)).await?;
        while let Some(entry) = entries.next_entry().await? {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
        Ok(names)
    };
    let mut names = read.await.map_err(BackupError::file("read", folder))?;
    names.sort();
    Ok(names)
}
