//! Writes snapshots, and trims what they make superfluous.
//!
//! ```text
//!   state of the log up to P --> parts, manifest --> read back, digests equal
//!     --> "the snapshot of P is kept" in the log of commands, read back
//!     --> trim snapshots below its first part, and commands below P
//! ```
//!
//! B5: a log is trimmed only below a snapshot that was written and read back whole. Killed at any
//! step, this loses nothing: before the mark is in the log nothing is trimmed, and afterwards the
//! snapshot that the mark names is whole. Two at once do no harm either: marks only move forward,
//! in both logs, so that the trimming for one of them leaves the newer snapshot as it is, and the
//! one whose mark has no effect trims nothing of its own.
//!
//! What is in neither log any more is lost: a log of snapshots that loses records that were read
//! back from it, as when all of its servers lose their power, may take the state with it.

use std::time::Duration;

use bookingq_core::BookingId;
use bookingq_core::backoff::Backoff;
use bookingq_core::retry::Retry;
use tokio::time::{Instant, timeout};

use super::config::ReplicatedConfig;
use super::dispute::Disputes;
use super::envelope::{Envelope, KeptSnapshot, MAX_ENVELOPE_BYTES};
use super::load::{LoadError, Loaded, bounds, load, read_snapshot, scan, tail};
use super::log::{CommandLog, LogCursor, LogError, LogPair, LogPosition};
use super::part::{PartContent, SnapshotManifest, SnapshotPart};
use super::replica::{Replica, ReplicaStopped};

/// Records of commands that are read at once.
const MAX_RECORDS: usize = 1024;
/// Longest that a log may take to append or to trim.
const DONE_WITHIN: Duration = Duration::from_secs(10);
/// Tries of an append.
const TRIES: u32 = 5;
/// Longest until the mark must be read back.
const MARKED_WITHIN: Duration = Duration::from_secs(30);
/// How long a log that does not trim is asked again, and after which pauses.
const TRIMMED_WITHIN: Duration = Duration::from_secs(30);
const TRIM_AGAIN: Backoff =
    Backoff { initial: Duration::from_millis(500), max: Duration::from_secs(2) };

/// A snapshot that was written and read back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SnapshotReport {
    /// The newest record that it holds.
    pub position: LogPosition,
    /// Records that it takes.
    pub parts: u64,
    /// Bytes that it takes.
    pub bytes: u64,
    /// Whether the logs were trimmed below it. Otherwise a newer snapshot was kept meanwhile.
    pub is_kept: bool,
}

/// A snapshot was not made, or what it makes superfluous is not trimmed. Nothing is lost.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotFailed {
    /// A log did not do what it was asked to.
    #[error(transparent)]
    Log(#[from] LogError),
    /// There is no state to make a snapshot of.
    #[error("the log cannot be read: {0}")]
    Unreadable(String),
    /// The log holds what this release does not understand.
    #[error(transparent)]
    Stopped(#[from] ReplicaStopped),
    /// Processes claim different states, and no more of them the one that the snapshot would hold
    /// than another one.
    #[error("the processes of the queue have different states, and it is not known which is right")]
    Undecided,
    /// The snapshot is not in its log as it was written.
    #[error("the snapshot was not read back: {0}")]
    NotReadBack(String),
}

impl From<LoadError> for SnapshotFailed {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::Log(error) => Self::Log(error),
            other => Self::Unreadable(other.to_string()),
        }
    }
}

/// Writes a snapshot of a log, reads it back, and trims both logs below it. Does nothing but the
/// trimming that an earlier call did not come to if fewer than
/// [`snapshot_every`](ReplicatedConfig::snapshot_every) records came since the newest snapshot.
///
/// It reads the log with a replica of its own, so that it holds up no calls; that and the state
/// that it reads back are in memory together.
///
/// # Errors
/// [`SnapshotFailed`]: call it again later.
pub async fn take_snapshot<L: CommandLog>(
    logs: &LogPair<L>,
    config: &ReplicatedConfig,
) -> Result<Option<SnapshotReport>, SnapshotFailed> {
    let (mut replica, log_id) = read_whole(logs, config).await?;
    // What an earlier call could not trim holds up no newer snapshot.
    if let Err(error) = trim(logs, &replica).await {
        tracing::warn!(%error, "the logs are not trimmed below the newest snapshot");
    }
    let Some(position) = replica.position() else { return Ok(None) };
    if replica.since_kept() < config.snapshot_every {
        return Ok(None);
    }
    if replica.is_undecided() {
        return Err(SnapshotFailed::Undecided);
    }
    let manifest = SnapshotManifest { log_id, position, digest: replica.digest() };
    let snapshot = BookingId::generate().to_u128();
    // No part of it stands before the end, which may be older than the log knows.
    let from = bounds(&*logs.snapshots).await?.end;
    let (parts, bytes) = write(logs, &replica, snapshot, manifest.clone()).await?;
    let kept = read_back(logs, config, (snapshot, from), &manifest).await?;
    // Others may have claimed meanwhile that the state is another one.
    let end = bounds(&*logs.commands).await?.end;
    read_to(logs, &mut replica, end).await?;
    if replica.is_undecided() {
        return Err(SnapshotFailed::Undecided);
    }
    let is_kept = mark(logs, config, &mut replica, kept).await?;
    trim(logs, &replica).await?;
    let report = SnapshotReport { position, parts, bytes, is_kept };
    tracing::info!(?report, "a snapshot was written and read back");
    Ok(Some(report))
}

/// The state after all records, and the id of their log. Where a claim is not true of the state, it
/// is loaded again, as every process of the queue does.
async fn read_whole<L: CommandLog>(
    logs: &LogPair<L>,
    config: &ReplicatedConfig,
) -> Result<(Replica, String), SnapshotFailed> {
    let mut disputes = Disputes::default();
    loop {
        let loaded = load(logs, config.replica_settings()).await?;
        let Loaded { mut replica, log_id, end } = loaded;
        replica.remember(disputes.clone());
        match read_to(logs, &mut replica, end).await {
            Ok(()) => return Ok((replica, log_id)),
            Err(SnapshotFailed::Stopped(ReplicaStopped { differs: Some(own), .. })) => {
                disputes = replica.disputes().clone();
                disputes.reload(own);
            }
            Err(error) => return Err(error),
        }
    }
}

/// Applies the records up to an offset, as far as they come.
async fn read_to<L: CommandLog>(
    logs: &LogPair<L>,
    replica: &mut Replica,
    end: u64,
) -> Result<(), SnapshotFailed> {
    while replica.position().map_or(0, |at| at.offset + 1) < end {
        if read_on(logs, replica, Duration::from_secs(1)).await? == 0 {
            break;
        }
    }
    Ok(())
}

/// Applies the next records. Returns how many.
async fn read_on<L: CommandLog>(
    logs: &LogPair<L>,
    replica: &mut Replica,
    wait: Duration,
) -> Result<usize, SnapshotFailed> {
    let from = replica.position().map_or(LogCursor::From(0), LogCursor::After);
    let records = tail(&*logs.commands, from, MAX_RECORDS, wait).await?;
    for record in &records {
        replica.replay(record)?;
    }
    Ok(records.len())
}

/// Writes the parts of a snapshot. Returns how many records and bytes.
async fn write<L: CommandLog>(
    logs: &LogPair<L>,
    replica: &Replica,
    snapshot: u128,
    manifest: SnapshotManifest,
) -> Result<(u64, u64), SnapshotFailed> {
    let beside = std::iter::once(PartContent::Beside(replica.encode_beside()));
    let chunks = replica.queue().encode(MAX_ENVELOPE_BYTES).map(PartContent::Chunk);
    let contents = beside.chain(chunks).chain([PartContent::Manifest(manifest)]);
    let (mut index, mut size) = (0, 0);
    for content in contents {
        let bytes = SnapshotPart { snapshot, index, content }.encode();
        append(&*logs.snapshots, &bytes).await?;
        index += 1;
        size += bytes.len() as u64;
    }
    Ok((index, size))
}

/// Appends a record, which may then be there twice.
async fn append<L: CommandLog>(log: &L, bytes: &[u8]) -> Result<(), LogError> {
    let mut tries = 1;
    loop {
        let error = match timeout(DONE_WITHIN, log.append(bytes)).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => error,
            Err(_) => LogError::Unavailable(format!("no answer within {DONE_WITHIN:?}")),
        };
        if tries == TRIES {
            return Err(error);
        }
        tracing::debug!(%error, tries, "a part of a snapshot was not acknowledged");
        tokio::time::sleep(Duration::from_millis(50) * tries).await;
        tries += 1;
    }
}

/// Reads a snapshot back that was written at an offset or after it.
async fn read_back<L: CommandLog>(
    logs: &LogPair<L>,
    config: &ReplicatedConfig,
    (snapshot, from): (u128, u64),
    manifest: &SnapshotManifest,
) -> Result<KeptSnapshot, SnapshotFailed> {
    let not_read_back = |why: &dyn ToString| SnapshotFailed::NotReadBack(why.to_string());
    let log_id = bounds(&*logs.snapshots).await?.id;
    let found = scan(&*logs.snapshots, from).await?;
    let own = found.into_iter().find(|found| found.snapshot == snapshot);
    let own = own.ok_or_else(|| not_read_back(&"parts of it are not in the log"))?;
    if own.manifest != *manifest {
        return Err(not_read_back(&"its manifest is another one"));
    }
    let read = read_snapshot(&*logs.snapshots, &own, config.replica_settings()).await;
    match read {
        Ok(_) => Ok(KeptSnapshot { position: manifest.position, log_id, first: own.first }),
        Err(LoadError::Log(error)) => Err(error.into()),
        Err(other) => Err(not_read_back(&other)),
    }
}

/// Writes into the log of commands that a snapshot is kept, until that is read back. Returns
/// whether it is the newest one that is.
async fn mark<L: CommandLog>(
    logs: &LogPair<L>,
    config: &ReplicatedConfig,
    replica: &mut Replica,
    kept: KeptSnapshot,
) -> Result<bool, SnapshotFailed> {
    let incarnation = BookingId::generate().to_u128();
    let bytes = Envelope {
        rules: replica.rules(),
        incarnation,
        seq: 1,
        limits: config.limits(),
        commands: Vec::new(),
        digest: None,
        upgrade: None,
        loss: None,
        kept: Some(kept.clone()),
    }
    .encode();
    let deadline = Instant::now() + MARKED_WITHIN;
    while Instant::now() < deadline {
        if let Ok(Err(error)) = timeout(DONE_WITHIN, logs.commands.append(&bytes)).await {
            tracing::debug!(%error, "the mark of a snapshot was not acknowledged");
        }
        let resend_at = Instant::now() + config.resend_after;
        while Instant::now() < resend_at {
            read_on(logs, replica, config.resend_after).await?;
            if replica.newest_of(incarnation).is_some() {
                return Ok(replica.kept() == Some(&kept));
            }
        }
    }
    Err(SnapshotFailed::NotReadBack("its mark does not come back".to_owned()))
}

/// Trims both logs below the newest snapshot that is kept.
async fn trim<L: CommandLog>(logs: &LogPair<L>, replica: &Replica) -> Result<(), LogError> {
    let Some(KeptSnapshot { position, log_id, first }) = replica.kept() else { return Ok(()) };
    // Another log of snapshots has other offsets.
    if bounds(&*logs.snapshots).await?.id == *log_id {
        drop_below(&*logs.snapshots, *first).await?;
    }
    // The record itself stays, so that a process that loads the snapshot sees whose log it is.
    drop_below(&*logs.commands, position.offset).await
}

/// Trims a log. Brokers may take long to drop records and harm nothing by it, so that it is asked
/// again: another snapshot, which would trim next, may be far away. Not where they refuse to.
async fn drop_below<L: CommandLog>(log: &L, below: u64) -> Result<(), LogError> {
    let is_passing = |error: &LogError| {
        tracing::debug!(%error, "a log was not trimmed");
        matches!(error, LogError::Unavailable(_))
    };
    let retry = Retry::within(TRIM_AGAIN, TRIMMED_WITHIN);
    retry.run(is_passing, || try_to_drop(log, below)).await
}

/// Trims a log, unless it begins there already.
async fn try_to_drop<L: CommandLog>(log: &L, below: u64) -> Result<(), LogError> {
    if bounds(log).await?.start >= below {
        return Ok(());
    }
    let late = |_| LogError::Unavailable(format!("no answer within {DONE_WITHIN:?}"));
    timeout(DONE_WITHIN, log.trim(below)).await.map_err(late)?
}
