//! Why a backup or a restore fails.

use std::fmt::Display;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::StoreError;
use crate::s3::{S3Error, S3SettingsError};

/// A backup or a restore failed. Each text says what is wrong and where.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// Redis cannot be reached, or the settings are invalid.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Redis has no data of the queue.
    #[error("this Redis has no data of queue {0}, so there is nothing to back up")]
    NoData(String),
    /// The data is in another database than the first.
    #[error("the address names database {0}; a backup is taken of database 0 only")]
    OtherDatabase(i64),
    /// Redis refuses a command that a copy needs.
    #[error("Redis refuses {command}: {answer}{}", missing_rights(answer))]
    Refused {
        /// The command.
        command: &'static str,
        /// What it answered.
        answer: String,
    },
    /// Redis sent nothing for too long.
    #[error("Redis has sent nothing for {0:?}")]
    Silent(Duration),
    /// The connection ended before the copy was whole.
    #[error("the connection ended after {received} bytes of the copy")]
    Cut {
        /// Bytes that had come.
        received: u64,
    },
    /// The connection for the copy failed.
    #[error("the connection for the copy failed: {0}")]
    Connection(String),
    /// What came is not what a primary sends.
    #[error("Redis sent {0:?}, which is no answer of a primary to PSYNC")]
    Unexpected(String),
    /// A file or folder.
    #[error("cannot {action} {}: {error}", path.display())]
    File {
        /// What was to be done.
        action: &'static str,
        /// With this file or folder.
        path: PathBuf,
        /// Why it failed.
        error: io::Error,
    },
    /// An object in a bucket.
    #[error(transparent)]
    S3(#[from] S3Error),
    /// A bucket cannot be used with these settings.
    #[error(transparent)]
    Bucket(#[from] S3SettingsError),
    /// Something has the name of the new backup.
    #[error("{0} exists already; a backup overwrites nothing")]
    Exists(String),
    /// A file is no backup, or its description is missing or unreadable.
    #[error("{location} is not the description of a backup: {why}")]
    Description {
        /// The file beside the RDB.
        location: String,
        /// Why.
        why: String,
    },
    /// The name of a backup.
    #[error("{0} is no name of a backup; allowed: a folder, or a name that ends with .rdb")]
    Name(String),
    /// The data is not what was written.
    #[error("{location} is damaged: {what}")]
    Damaged {
        /// The RDB file.
        location: String,
        /// What differs.
        what: String,
    },
    /// The backup is of another queue.
    #[error("{location} is a backup of queue {found}, not of {wanted}: a queue keeps its name")]
    OtherQueue {
        /// The RDB file.
        location: String,
        /// The queue in the backup.
        found: String,
        /// The queue that was asked for.
        wanted: String,
    },
    /// The folder has data already.
    #[error("{} has {found:?} already; a restore needs an empty folder and overwrites nothing", folder.display())]
    Occupied {
        /// The data folder.
        folder: PathBuf,
        /// What is in it.
        found: String,
    },
    /// The folder holds the restore of another backup.
    #[error(
        "{} was restored from another backup, of {taken_at}; a restore overwrites nothing",
        folder.display()
    )]
    RestoredBefore {
        /// The data folder.
        folder: PathBuf,
        /// When the other backup was taken.
        taken_at: String,
    },
}

fn missing_rights(answer: &str) -> &'static str {
    let hint = "; a backup needs the rights +psync and +replconf";
    if answer.starts_with("NOPERM") { hint } else { "" }
}

impl BackupError {
    /// An [`Self::Unexpected`] that shows the beginning of what came.
    pub(crate) fn unexpected(sent: &[u8]) -> Self {
        const SHOWN: usize = 64;
        Self::Unexpected(String::from_utf8_lossy(&sent[..sent.len().min(SHOWN)]).into_owned())
    }

    /// A [`Self::Description`].
    pub(super) fn description(location: &impl Display, why: &impl Display) -> Self {
        Self::Description { location: location.to_string(), why: why.to_string() }
    }

    /// Whether a file is missing, or a bucket does not give it.
    pub(super) fn is_absence(&self) -> bool {
        match self {
            Self::File { error, .. } => error.kind() == io::ErrorKind::NotFound,
            Self::S3(_) => true,
            _ => false,
        }
    }

    /// Says which file an error is about.
    pub(super) fn file(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |error| Self::File { action, path, error }
    }
}
