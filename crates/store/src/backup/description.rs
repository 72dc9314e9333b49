//! What a backup holds: the file beside the data.

use bookingq_core::QueueName;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::error::BackupError;
use super::location::BackupLocation;

/// The extension of the data.
pub const RDB: &str = "rdb";
/// The extension of the description.
pub const DESCRIPTION: &str = "json";
/// The newest format that this release knows.
const FORMAT: u32 = 1;

/// Describes a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BackupDescription {
    /// Version of this description and of what it describes.
    format: u32,
    /// The queue.
    pub queue: QueueName,
    /// The namespace of the queue, for one in Kubernetes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// When the copy was asked for, by the clock of the machine that took it. Redis may send a copy
    /// that it had begun for another replica, or begin later.
    pub taken_at: Timestamp,
    /// The release of bookingq that took it.
    pub release: String,
    /// The server and its version, such as `redis 7.4.1`.
    pub server: String,
    /// The schema of the data.
    pub schema: u32,
    /// The epoch of the data, before the copy was taken.
    pub epoch: String,
    /// Length of the RDB file.
    pub bytes: u64,
    /// SHA-256 of the RDB file, in hexadecimal digits.
    pub sha256: String,
}

/// What is known of a backup before its data has come.
pub(super) struct CopiedData {
    pub(super) queue: QueueName,
    pub(super) namespace: Option<String>,
    pub(super) server: String,
    pub(super) schema: u32,
    pub(super) epoch: String,
}

impl BackupDescription {
    pub(super) fn new(
        copied: CopiedData,
        taken_at: Timestamp,
        (bytes, sha256): (u64, String),
    ) -> Self {
        let CopiedData { queue, namespace, server, schema, epoch } = copied;
        let release = env!("CARGO_PKG_VERSION").to_owned();
        let format = FORMAT;
        Self { format, queue, namespace, taken_at, release, server, schema, epoch, bytes, sha256 }
    }

    /// The file that describes this RDB file.
    ///
    /// # Errors
    /// [`BackupError::Name`] unless the name ends with `.rdb`.
    pub(super) fn location(rdb: &BackupLocation) -> Result<BackupLocation, BackupError> {
        if !rdb.has_extension(RDB) {
            return Err(BackupError::Name(rdb.to_string()));
        }
        Ok(rdb.with_extension(DESCRIPTION))
    }

    /// Reads the description of an RDB file.
    ///
    /// # Errors
    /// [`BackupError::Name`] or [`BackupError::Description`], or why it cannot be read.
    pub(super) async fn of(rdb: &BackupLocation) -> Result<Self, BackupError> {
        Self::read(&Self::location(rdb)?).await
    }

    /// Reads a description.
    pub(super) async fn read(location: &BackupLocation) -> Result<Self, BackupError> {
        let bytes = location.read().await?;
        let unfit = |why: String| BackupError::description(location, &why);
        let format = serde_json::from_slice(&bytes).map(|FormatOnly { format }| format);
        match format {
            Ok(format) if format > FORMAT => Err(unfit(format!(
                "it has format {format}, and this release knows up to {FORMAT}; use a newer release"
            ))),
            Ok(_) => serde_json::from_slice(&bytes).map_err(|error| unfit(error.to_string())),
            Err(error) => Err(unfit(error.to_string())),
        }
    }
}

#[derive(Deserialize)]
struct FormatOnly {
    format: u32,
}
