//! `kubectl bookingqueue backup`: takes a backup of a queue and waits for it.

use std::time::Duration;

use bookingq_api::backup::status::{COMPLETE, FAILED, LastBackup, READY};
use bookingq_api::plan::RedisSource;
use bookingq_api::redis::BackupVolume;
use bookingq_api::{BookingQueue, BookingQueueBackup, BookingQueueBackupSpec, DurationString};
use jiff::Timestamp;
use kube::ResourceExt as _;
use kube::api::{ListParams, ObjectMeta, PostParams};
use tokio::time::{Instant, sleep};

use crate::cluster::{Cluster, PROGRAM};
use crate::error::PluginError;

/// Between two looks at the backup.
const EACH: Duration = Duration::from_secs(1);
/// At most so many backups are read to find the volume of the newest one.
const MOST: u32 = 500;

/// Which queue is backed up, and where to.
#[derive(Debug, clap::Args)]
pub struct BackupArgs {
    /// Name of the BookingQueue
    #[arg(value_name = "NAME")]
    pub name: String,
    /// PersistentVolumeClaim for the files [default: that of the newest backup of this queue]
    #[arg(long, env = "BOOKINGQ_PLUGIN_CLAIM", value_name = "NAME")]
    pub claim: Option<String>,
    /// Remove older backups of this queue from the volume, so that this many stay
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
    let claim = match &args.claim {
        Some(claim) => claim.clone(),
        None => newest_claim(cluster, &args.name).await?,
    };
    let created = create(cluster, args, &claim).await?;
    progress(&format!("{} is created", created.name_any()));
    let taken = wait(cluster, &created.name_any(), args.timeout.get(), progress).await?;
    Ok(match taken {
        Some(LastBackup { file, bytes, .. }) => format!(
            "{file}, {bytes} bytes, in the volume of {claim}\n\
             A new queue named {name} starts with it by this in its spec:\n\
             \x20 redis:\n    managed:\n      restoreFrom:\n        \
             persistentVolumeClaim: {{ claimName: {claim} }}\n        file: {file}\n",
            name = args.name,
        ),
        None => format!("taken, without a report; `bookingq backup list` shows what {claim} has\n"),
    })
}

/// Whether the operator runs the Redis of the queue. An invalid spec is the operator's to report.
fn has_managed_redis(queue: &BookingQueue) -> bool {
    let Ok(plan) = queue.spec.resolve(&queue.name_any()) else { return true };
    plan.store.redis().is_some_and(|redis| matches!(redis.source, RedisSource::Managed(_)))
}

/// The volume of the newest backup of the queue.
async fn newest_claim(cluster: &Cluster, queue: &str) -> Result<String, PluginError> {
    let all = ListParams::default().limit(MOST);
    let found = cluster.api::<BookingQueueBackup>().list(&all).await;
    let found = found.map_err(PluginError::asked("the BookingQueueBackups"))?.items;
    let own = found.iter().filter(|backup| backup.spec.queue == queue);
    let created = |backup: &&BookingQueueBackup| {
        backup.metadata.creation_timestamp.as_ref().map_or(Timestamp::UNIX_EPOCH, |at| at.0)
    };
    let newest = own.max_by_key(created);
    let claim = newest.and_then(|backup| backup.spec.persistent_volume_claim.as_ref());
    claim
        .map(|claim| claim.claim_name.clone())
        .ok_or_else(|| PluginError::NoClaim { name: queue.to_owned() })
}

async fn create(
    cluster: &Cluster,
    args: &BackupArgs,
    claim: &str,
) -> Result<BookingQueueBackup, PluginError> {
    let spec = BookingQueueBackupSpec {
        queue: args.name.clone(),
        schedule: None,
        time_zone: None,
        suspend: None,
        keep: args.keep,
        persistent_volume_claim: Some(BackupVolume { claim_name: claim.to_owned() }),
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
