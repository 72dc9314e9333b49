//! Where a backup is, or many are: names only.

use std::fmt;
use std::path::{Path, PathBuf};

use super::error::BackupError;
use crate::s3::{S3Bucket, S3Settings, S3SettingsError};

/// How the name of something in a bucket begins.
const SCHEME: &str = "s3://";

/// The place of one backup or of many: a folder or a file of this machine, or a prefix or an object
/// of a bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BackupLocation {
    /// On this machine.
    Path(PathBuf),
    /// In a bucket.
    Object {
        /// The bucket.
        bucket: S3Bucket,
        /// The key of an object; or a prefix without the slash at its end, empty for the whole
        /// bucket.
        key: String,
    },
}

impl BackupLocation {
    /// Reads `s3://BUCKET/KEY`, or a path. Asks for the settings of a bucket only.
    ///
    /// # Errors
    /// [`BackupError::Bucket`].
    pub async fn open(
        text: &Path,
        settings: impl FnOnce() -> Result<S3Settings, S3SettingsError>,
    ) -> Result<Self, BackupError> {
        let Some(name) = text.as_os_str().as_encoded_bytes().strip_prefix(SCHEME.as_bytes()) else {
            return Ok(Self::Path(text.to_owned()));
        };
        let unfit = || S3SettingsError::Key(text.display().to_string());
        let name = std::str::from_utf8(name).map_err(|_| unfit())?;
        let (bucket, key) = name.split_once('/').unwrap_or((name, ""));
        let key = key.trim_end_matches('/');
        if !S3Bucket::is_key(key) {
            return Err(unfit().into());
        }
        let bucket = S3Bucket::new(bucket, &settings()?).await?;
        Ok(Self::Object { bucket, key: key.to_owned() })
    }

    /// The last part of the name.
    pub fn file_name(&self) -> String {
        match self {
            Self::Path(path) => path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            Self::Object { key, .. } => last(key).to_owned(),
        }
    }

    /// What has this name in the folder.
    pub(super) fn join(&self, name: &str) -> Self {
        match self {
            Self::Path(path) => Self::Path(path.join(name)),
            Self::Object { bucket, key } => {
                Self::Object { bucket: bucket.clone(), key: below(key, name) }
            }
        }
    }

    /// The folder that it is in.
    pub(super) fn parent(&self) -> Self {
        match self {
            Self::Path(path) => Self::Path(path.parent().unwrap_or(Path::new(".")).to_owned()),
            Self::Object { bucket, key } => {
                let folder = key.rsplit_once('/').map_or("", |(folder, _)| folder);
                Self::Object { bucket: bucket.clone(), key: folder.to_owned() }
            }
        }
    }

    /// Whether the name ends so.
    pub(super) fn has_extension(&self, extension: &str) -> bool {
        let name = self.file_name();
        Path::new(&name).extension().is_some_and(|found| found == extension)
    }

    /// The file beside it whose name ends so.
    #[must_use]
    pub fn with_extension(&self, extension: &str) -> Self {
        match self {
            Self::Path(path) => Self::Path(path.with_extension(extension)),
            Self::Object { .. } => {
                let name = self.file_name();
                let name = Path::new(&name).with_extension(extension);
                self.parent().join(&name.to_string_lossy())
            }
        }
    }
}

/// The key of what has this name below a prefix.
fn below(prefix: &str, name: &str) -> String {
    if prefix.is_empty() { name.to_owned() } else { format!("{prefix}/{name}") }
}

fn last(key: &str) -> &str {
    key.rsplit_once('/').map_or(key, |(_, name)| name)
}

impl From<PathBuf> for BackupLocation {
    fn from(path: PathBuf) -> Self {
        Self::Path(path)
    }
}

impl fmt::Display for BackupLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => path.display().fmt(f),
            Self::Object { bucket, key } => f.write_str(&bucket.url(key)),
        }
    }
}
