//! `kubectl bookingqueue backup`: takes a backup of a queue and waits for it.

use std::time::Duration;

use bookingq_api::backup::place::{BackupPlace, BackupVolume};
use bookingq_api::backup::status::{COMPLETE, FAILED, LastBackup, READY};
use bookingq_api::plan::RedisSource;
use bookingq_api::{BookingQueue, BookingQueueBackup, BookingQueueBackupSpec, DurationString};
use jiff::Timestamp;
use kube::ResourceExt as _;
use kube::api::{ListParams, ObjectMeta, PostParams};
use tokio::time::{Instant, sleep};

use crate::cluster::{Cluster, PROGRAM};
use crate::error::PluginError;

/// Between two looks at the backup.
const EACH: Duration = Duration::from_secs(1);
/// At most so many backups are read to find the place of the newest one.
const MOST: u32 = 500;

/// Which queue is backed up, and where to.
#[derive(Debug, clap::Args)]
pub struct BackupArgs {
    /// Name of the BookingQueue
    #[arg(value_name = "NAME")]
    pub name: String,
    /// PersistentVolumeClaim for the files [default: the volume or the bucket of the newest backup
    /// of this queue]
    #[arg(long, env = "BOOKINGQ_PLUGIN_CLAIM", value_name = "NAME")]
    pub claim: Option<String>,
    /// Remove older backups of this queue from there, so that this many stay
    #[arg(
        long,
        env = "BOOKINGQ_PLUGIN_KEEP",
        value_name = "N",
        value_parser = clap::value_parser!(i32).range(1..=10_000)
    )]
    pub keep: Option<i32>,
    /// Wait no longer than this; the backup goes on
    #[arg(long, env = "BOOKINGQ_PLUGIN_TIMEOUT", value_name = "TIME", default_value = "10m")]
    pub timeout: DurationString,
}

/// Creates a `BookingQueueBackup`, and waits until it has ended. `progress` gets a line each time
/// that it is in another state.
///
/// # Errors
/// [`PluginError::BackupFailed`], [`PluginError::BackupLasts`] after the time-out, and what keeps
/// the backup from being created.
pub async fn take(
    cluster: &Cluster,
    args: &BackupArgs,
    mut progress: impl FnMut(&str),
) -> Result<String, PluginError> {
    let queue = cluster.queue(&args.name).await?;
    if !has_managed_redis(&queue) {
        return Err(PluginError::NotManaged { name: args.name.clone() });
    }
    let place = match &args.claim {
        Some(claim) => BackupPlace::Volume(BackupVolume { claim_name: claim.clone() }),
        None => newest_place(cluster, &args.name).await?,
    };
    let created = create(cluster, args, &place).await?;
    progress(&format!("{} is created", created.name_any()));
    let taken = wait(cluster, &created.name_any(), args.timeout.get(), progress).await?;
    let shown = match &place {
        BackupPlace::Volume(volume) => format!("the volume of {}", volume.claim_name),
        BackupPlace::Bucket(bucket) => bucket.url_of(None),
    };
    let Some(LastBackup { file, bytes, .. }) = taken else {
        return Ok(format!(
            "taken, without a report; `bookingq backup list` shows what is in {shown}\n"
        ));
    };
    Ok(format!(
        "{file}, {bytes} bytes, in {shown}\n\
         A new queue named {name} starts with it by this in its spec:\n\
         \x20 redis:\n    managed:\n      restoreFrom:\n        {place}\n        file: {file}\n",
        name = args.name,
        place = in_yaml(&place)?,
    ))
}

/// The line of `restoreFrom` with the place.
fn in_yaml(place: &BackupPlace) -> Result<String, PluginError> {
    match place {
        BackupPlace::Volume(volume) => {
            Ok(format!("persistentVolumeClaim: {{ claimName: {} }}", volume.claim_name))
        }
        // JSON is YAML.
        BackupPlace::Bucket(bucket) => {
            let json = serde_json::to_string(bucket).map_err(std::io::Error::from)?;
            Ok(format!("s3: {json}"))
        }
    }
}

/// Whether the operator runs the Redis of the queue. An invalid spec is the operator's to report.
fn has_managed_redis(queue: &BookingQueue) -> bool {
    let Ok(plan) = queue.spec.resolve(&queue.name_any()) else { return true };
    plan.store.redis().is_some_and(|redis| matches!(redis.source, RedisSource::Managed(_)))
}

/// The place of the newest backup of the queue.
async fn newest_place(cluster: &Cluster, queue: &str) -> Result<BackupPlace, PluginError> {
    let all = ListParams::default().limit(MOST);
    let found = cluster.api::<BookingQueueBackup>().list(&all).await;
    let found = found.map_err(PluginError::asked("the BookingQueueBackups"))?.items;
    let own = found.iter().filter(|backup| backup.spec.queue == queue);
    let created = |backup: &&BookingQueueBackup| {
        backup.metadata.creation_timestamp.as_ref().map_or(Timestamp::UNIX_EPOCH, |at| at.0)
    };
    let newest = own.max_by_key(created);
    newest
        .and_then(|backup| backup.spec.place())
        .ok_or_else(|| PluginError::NoBackup { name: queue.to_owned() })
}

async fn create(
    cluster: &Cluster,
    args: &BackupArgs,
    place: &BackupPlace,
) -> Result<BookingQueueBackup, PluginError> {
    let (volume, bucket) = match place {
        BackupPlace::Volume(volume) => (Some(volume), None),
        BackupPlace::Bucket(bucket) => (None, Some(bucket)),
    };
    let spec = BookingQueueBackupSpec {
        queue: args.name.clone(),
        schedule: None,
        time_zone: None,
        suspend: None,
        keep: args.keep,
        persistent_volume_claim: volume.cloned(),
        s3: bucket.cloned(),
    };
    let mut backup = BookingQueueBackup::new("", spec);
    backup.metadata =
        ObjectMeta { generate_name: Some(format!("{}-", args.name)), ..ObjectMeta::default() };
    let parameters =
        PostParams { field_manager: Some(PROGRAM.to_owned()), ..PostParams::default() };
    let created = cluster.api::<BookingQueueBackup>().create(&parameters, &backup).await;
    created.map_err(PluginError::asked("the new BookingQueueBackup"))
}

/// Waits until the backup has ended. Returns what its status says of the file.
async fn wait(
    cluster: &Cluster,
    name: &str,
    timeout: Duration,
    mut progress: impl FnMut(&str),
) -> Result<Option<LastBackup>, PluginError> {
    let (backups, end) = (cluster.api::<BookingQueueBackup>(), Instant::now() + timeout);
    let mut shown = "no operator has seen it yet".to_owned();
    loop {
        let found = backups.get(name).await.map_err(PluginError::asked("the backup"))?;
        let status = found.status.unwrap_or_default();
        if status.has(COMPLETE) {
            return Ok(status.last_backup);
        }
        let ready = status.condition(READY);
        let message = ready.map(|ready| ready.message.clone()).unwrap_or_default();
        if status.has(FAILED) {
            return Err(PluginError::BackupFailed { name: name.to_owned(), message });
        }
        let now = ready.map(|ready| format!("{}: {message}", ready.reason));
        if let Some(now) = now.filter(|now| *now != shown) {
            progress(&now);
            shown = now;
        }
        if Instant::now() >= end {
            return Err(PluginError::BackupLasts { name: name.to_owned(), timeout, state: shown });
        }
        sleep(EACH).await;
    }
}
