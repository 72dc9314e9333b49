//! What is done with the files of a backup, in a folder and in a bucket alike.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use tokio::fs::File;
use tokio::io::AsyncReadExt as _;

use super::error::BackupError;
use super::files::{self, PART, PartFile};
use super::location::BackupLocation;
use crate::s3::{S3Reader, S3Upload};

/// Bytes that are read at once.
const PIECE: usize = 256 << 10;
/// After this time, what is not finished belongs to a process that has ended.
const ABANDONED: Duration = Duration::from_hours(24);

/// A file that is written. It is there once it is finished, or not at all.
pub(super) enum DataWriter {
    File { part: PartFile, path: PathBuf },
    Object { upload: S3Upload, location: BackupLocation },
}

/// A file that is read.
pub(super) enum DataReader {
    File { file: File, path: PathBuf, piece: Vec<u8> },
    Object { reader: S3Reader, piece: Bytes },
}

impl BackupLocation {
    /// An error if something has this name.
    pub(super) async fn refuse_existing(&self) -> Result<(), BackupError> {
        match self {
            Self::Path(path) => files::refuse_existing(path).await,
            Self::Object { bucket, key } => match bucket.length(key).await? {
                Some(_) => Err(BackupError::Exists(self.to_string())),
                None => Ok(()),
            },
        }
    }

    /// The names in the folder, in order. A bucket has no folders: a prefix that no key has is an
    /// empty one.
    pub(super) async fn names(&self) -> Result<Vec<String>, BackupError> {
        match self {
            Self::Path(path) => files::names_in(path).await,
            Self::Object { bucket, key } => Ok(bucket.names(key).await?),
        }
    }

    /// Makes the folder, where there are folders.
    pub(super) async fn create_folder(&self) -> Result<(), BackupError> {
        match self {
            Self::Path(path) => {
                let created = tokio::fs::create_dir_all(path).await;
                created.map_err(BackupError::file("create", path))
            }
            Self::Object { .. } => Ok(()),
        }
    }

    /// Waits until what was removed from the folder stays so after a power cut.
    pub(super) async fn sync_folder(&self) -> Result<(), BackupError> {
        match self {
            Self::Path(path) => files::sync_folder(path).await,
            Self::Object { .. } => Ok(()),
        }
    }

    /// All of a short file.
    pub(super) async fn read(&self) -> Result<Bytes, BackupError> {
        match self {
            Self::Path(path) => {
                let read = tokio::fs::read(path).await;
                read.map(Bytes::from).map_err(BackupError::file("read", path))
            }
            Self::Object { bucket, key } => Ok(bucket.read(key).await?),
        }
    }

    /// Writes a short file, which is there whole or not at all.
    pub(super) async fn write_json(&self, content: &impl Serialize) -> Result<(), BackupError> {
        match self {
            Self::Path(path) => files::write_json(path, content).await,
            Self::Object { bucket, key } => {
                let text = files::json(self, content)?;
                self.refuse_existing().await?;
                Ok(bucket.write(key, text.into()).await?)
            }
        }
    }

    /// Removes it, if it is there.
    pub(super) async fn remove(&self) -> Result<(), BackupError> {
        match self {
            Self::Path(path) => files::remove(path).await,
            Self::Object { bucket, key } => Ok(bucket.remove(key).await?),
        }
    }

    /// Removes from the folder what begins with `prefix`, and was begun and left long ago. In a
    /// bucket, a lifecycle rule does so.
    pub(super) async fn remove_abandoned(&self, prefix: &str) -> Result<(), BackupError> {
        match self {
            Self::Path(path) => remove_part_files(path, prefix).await,
            Self::Object { .. } => Ok(()),
        }
    }

    /// Begins to write it.
    pub(super) async fn writer(&self) -> Result<DataWriter, BackupError> {
        match self {
            Self::Path(path) => {
                let part = PartFile::create(path).await?;
                Ok(DataWriter::File { part, path: path.clone() })
            }
            Self::Object { bucket, key } => {
                let upload = S3Upload::begin(bucket, key).await?;
                Ok(DataWriter::Object { upload, location: self.clone() })
            }
        }
    }

    /// Begins to read it.
    pub(super) async fn reader(&self) -> Result<DataReader, BackupError> {
        match self {
            Self::Path(path) => {
                let file = File::open(path).await.map_err(BackupError::file("read", path))?;
                Ok(DataReader::File { file, path: path.clone(), piece: vec![0; PIECE] })
            }
            Self::Object { bucket, key } => {
                let reader = S3Reader::open(bucket, key).await?;
                Ok(DataReader::Object { reader, piece: Bytes::new() })
            }
        }
    }
}

impl DataWriter {
    pub(super) async fn write(&mut self, piece: &[u8]) -> Result<(), BackupError> {
        match self {
            Self::File { part, .. } => part.write(piece).await,
            Self::Object { upload, .. } => Ok(upload.write(piece).await?),
        }
    }

    /// Gives it its name, which nothing else may have. Removes what was written when that fails.
    pub(super) async fn finish(self) -> Result<(), BackupError> {
        match self {
            Self::File { mut part, path } => part.finish(&path).await,
            Self::Object { upload, location } => {
                if let Err(error) = location.refuse_existing().await {
                    upload.discard().await;
                    return Err(error);
                }
                Ok(upload.finish().await?)
            }
        }
    }

    /// Removes what was written.
    pub(super) async fn discard(self) {
        match self {
            // Dropping it removes it.
            Self::File { .. } => {}
            Self::Object { upload, .. } => upload.discard().await,
        }
    }
}

impl DataReader {
    /// The next piece; `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<&[u8]>, BackupError> {
        match self {
            Self::File { file, path, piece } => {
                let read = file.read(piece).await.map_err(BackupError::file("read", path))?;
                Ok(Some(&piece[..read]).filter(|piece| !piece.is_empty()))
            }
            Self::Object { reader, piece } => {
                let Some(next) = reader.next().await? else { return Ok(None) };
                *piece = next;
                Ok(Some(&piece[..]))
            }
        }
    }
}

async fn remove_part_files(folder: &Path, prefix: &str) -> Result<(), BackupError> {
    for name in files::names_in(folder).await? {
        if !(name.starts_with(prefix) && name.ends_with(PART)) {
            continue;
        }
        let path = folder.join(name);
        let Ok(written) = tokio::fs::metadata(&path).await.and_then(|found| found.modified())
        else {
            continue;
        };
        if written.elapsed().is_ok_and(|age| age > ABANDONED) {
            files::remove(&path).await?;
        }
    }
    Ok(())
}
