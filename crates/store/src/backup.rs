//! Backups of a queue whose bookings are in Redis.
//!
//! ```text
//!   create    as a replica does: PSYNC -> the RDB of one moment -> NAME.rdb, then NAME.json
//!   folder    the backups of a folder, and which of them are kept
//!   verify    NAME.rdb still has the length and the digest that NAME.json says
//!   restore   NAME.rdb -> an empty data folder of Redis, with a new epoch
//!     location   a path of this machine, or s3://BUCKET/KEY
//!     storage    what is done with the files there
//!       files      on this machine
//!       ../s3      in a bucket
//! ```
//!
//! A backup is two files. The data is an RDB file, which other tools of Redis read too; the
//! description beside it is written last, so a backup without one was not finished.
//!
//! A restore sets the data back, and what was booked after the backup is gone. So it gives the data
//! another epoch, by which workers, gateways and followers notice it (`redis/rollback.rs`). The
//! epoch is written by the restore itself, once: a Redis that starts again keeps it.

mod create;
mod description;
mod digest;
mod error;
mod files;
mod folder;
mod location;
mod restore;
mod storage;

pub use self::create::{BackupRequest, CopyProgress, create};
pub use self::description::{BackupDescription, DESCRIPTION, RDB};
pub use self::error::BackupError;
pub use self::folder::{FoundBackup, keep, list};
pub use self::location::BackupLocation;
pub use self::restore::{Restored, restore};

/// Compares a backup with its description.
///
/// # Errors
/// [`BackupError::Damaged`], or why its files cannot be read.
pub async fn verify(rdb: &BackupLocation) -> Result<BackupDescription, BackupError> {
    let description = BackupDescription::of(rdb).await?;
    digest::read_through(rdb, &description, None).await?;
    Ok(description)
}
