//! A `BookingQueueBackup` as the operator watches it, and the key that identifies it.

use bookingq_api::BookingQueueBackup;
use kube::core::{DeserializeGuard, DynamicObject};
use kube::runtime::reflector::ObjectRef;
use kube::{Resource as _, ResourceExt as _};

use crate::build::names;

/// A backup, or why it cannot be decoded. One that cannot be decoded does not block the others.
pub type WatchedBackup = DeserializeGuard<BookingQueueBackup>;
/// Namespace and name of a backup.
pub type BackupKey = ObjectRef<WatchedBackup>;

/// The key of the backup.
pub fn key(backup: &WatchedBackup) -> BackupKey {
    ObjectRef::new(&backup.name_any()).within(&backup.namespace().unwrap_or_default())
}

/// The backup for which an object was created, by its label.
pub fn backup_of(object: &DynamicObject) -> Option<BackupKey> {
    let name = object.metadata.labels.as_ref()?.get(names::BACKUP_OF)?;
    Some(ObjectRef::new(name).within(&object.namespace().unwrap_or_default()))
}

/// Whether a backup without a schedule has ended: it is never taken again.
pub fn is_over(backup: &WatchedBackup) -> bool {
    let status = backup.0.as_ref().ok().and_then(|backup| backup.status.as_ref());
    status.is_some_and(super::status::is_over)
}

/// Whether it is being deleted.
pub fn is_leaving(backup: &WatchedBackup) -> bool {
    backup.meta().deletion_timestamp.is_some()
}
