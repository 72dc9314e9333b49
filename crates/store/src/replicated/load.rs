//! The state of a log that was trimmed: the newest whole snapshot that was made of it, and that the
//! log says is kept. One without that mark may be of a process that had another state than all
//! others and noticed it, or ended, before it could write the mark.

use std::collections::HashMap;
use std::time::Duration;

use bookingq_queue::wire::{StateReader, Unreadable};
use tokio::time::timeout;

use super::envelope::{KeptSnapshot, kept_in};
use super::log::{CommandLog, LogCursor, LogError, LogPair, LogRecord};
use super::part::{PartContent, SnapshotManifest, SnapshotPart};
use super::replica::{Replica, ReplicaSettings};

/// Longest that a log may take to say where it begins, or to say that a read has waited enough.
const BOUNDS_WITHIN: Duration = Duration::from_secs(5);
/// Records of snapshots that are read at once: each may have close to a megabyte.
const MAX_PARTS: usize = 8;
/// How long a read of snapshots waits for the next part, although the log says that there is one.
const PART_WAIT: Duration = Duration::from_secs(2);
/// Records of commands that are searched at once for a mark.
const MAX_RECORDS: usize = 1024;
/// How long to look whether the newest record of a snapshot is in the log.
const LOOK_WAIT: Duration = Duration::from_millis(200);

/// A state that was loaded, and the log whose beginning it is a function of.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) replica: Replica,
    pub(super) log_id: String,
    /// The offset after the newest record of the log, as far as was known.
    pub(super) end: u64,
}

/// A snapshot of which each part is in its log.
#[derive(Debug, Clone)]
pub(super) struct WholeSnapshot {
    pub(super) snapshot: u128,
    /// The offset of its first part.
    pub(super) first: u64,
    /// The offset of its manifest, which is its last part.
    pub(super) last: u64,
    pub(super) manifest: SnapshotManifest,
}

/// There is no state to begin with.
#[derive(Debug, thiserror::Error)]
pub(super) enum LoadError {
    #[error(transparent)]
    Log(#[from] LogError),
    #[error(
        "the log begins at offset {start}, and none of its {snapshots} whole snapshots can be used"
    )]
    NoSnapshot { start: u64, snapshots: usize },
    #[error("the snapshot is unreadable: {0}")]
    Unreadable(#[from] Unreadable),
    #[error("the snapshot does not stand in its log part after part")]
    Scattered,
}

/// Where a log begins and ends.
pub(super) async fn bounds<L: CommandLog>(log: &L) -> Result<super::LogBounds, LogError> {
    let late = |_| LogError::Unavailable(format!("no answer within {BOUNDS_WITHIN:?}"));
    timeout(BOUNDS_WITHIN, log.bounds()).await.map_err(late)?
}

/// The next records of a log; none if there are none within `wait`.
pub(super) async fn tail<L: CommandLog>(
    log: &L,
    from: LogCursor,
    max: usize,
    wait: Duration,
) -> Result<Vec<LogRecord>, LogError> {
    let limit = wait + BOUNDS_WITHIN;
    let late = |_| LogError::Unavailable(format!("no answer within {limit:?}"));
    timeout(limit, log.tail(from, max, wait)).await.map_err(late)?
}

/// Loads the newest state that can be loaded: an empty one where no snapshot is needed and none is
/// of use.
pub(super) async fn load<L: CommandLog>(
    logs: &LogPair<L>,
    settings: ReplicaSettings,
) -> Result<Loaded, LoadError> {
    let super::LogBounds { id: log_id, start, end } = bounds(&*logs.commands).await?;
    let found = |replica, log_id| Loaded { replica, log_id, end };
    let snapshots_id = bounds(&*logs.snapshots).await?.id;
    let mut search = Search { logs, snapshots_id, start, end, settings, unmarked: Vec::new() };
    let newest = newest(&*logs.snapshots).await?.filter(|newest| newest.manifest.log_id == log_id);
    if let Some(newest) = newest
        && let Some(replica) = search.load_marked(newest).await?
    {
        return Ok(found(replica, log_id));
    }
    // All of them, the newest one too: its parts may not stand one after the other.
    let mut whole = scan(&*logs.snapshots, 0).await?;
    whole.retain(|found| found.manifest.log_id == log_id);
    whole.sort_by_key(|found| found.manifest.position.offset);
    let snapshots = whole.len();
    // The newest one is not looked for in the log again, unless it begins elsewhere than it seemed.
    let same =
        |a: &WholeSnapshot, b: &WholeSnapshot| (a.snapshot, a.first) == (b.snapshot, b.first);
    whole.retain(|found| search.unmarked.iter().all(|one| !same(one, found)));
    while let Some(newest) = whole.pop() {
        if let Some(replica) = search.load_marked(newest).await? {
            return Ok(found(replica, log_id));
        }
    }
    if start == 0 {
        return Ok(found(Replica::new(settings), log_id));
    }
    // The log may have lost the mark after it was trimmed for it. Nothing else can be loaded.
    search.unmarked.sort_by_key(|found| found.manifest.position.offset);
    while let Some(newest) = search.unmarked.pop() {
        if let Some(replica) = search.load_one(&newest).await? {
            let offset = newest.manifest.position.offset;
            tracing::warn!(offset, start, "the log does not say of any snapshot that it is kept");
            return Ok(found(replica, log_id));
        }
    }
    Err(LoadError::NoSnapshot { start, snapshots })
}

/// A search for a snapshot of a log that begins at `start`, and ends at `end` as far as is known.
struct Search<'l, L> {
    logs: &'l LogPair<L>,
    /// The id of the log of snapshots.
    snapshots_id: String,
    start: u64,
    end: u64,
    settings: ReplicaSettings,
    /// Those from which the log goes on, but that it does not say are kept.
    unmarked: Vec<WholeSnapshot>,
}

/// What a log of commands says of a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SnapshotStanding {
    /// That it is kept.
    Marked,
    /// Nothing.
    Unmarked,
    /// The log does not go on from it.
    NotInLog,
}

impl<L: CommandLog> Search<'_, L> {
    /// Loads a snapshot, if the log goes on from it, says that it is kept, and it can be read.
    async fn load_marked(&mut self, whole: WholeSnapshot) -> Result<Option<Replica>, LoadError> {
        let (start, offset) = (self.start, whole.manifest.position.offset);
        match self.standing(&whole).await? {
            SnapshotStanding::Marked => self.load_one(&whole).await,
            SnapshotStanding::Unmarked => {
                tracing::warn!(offset, start, "the log does not say that a snapshot is kept");
                self.unmarked.push(whole);
                Ok(None)
            }
            SnapshotStanding::NotInLog => {
                let what = "a snapshot is of no use: the log does not go on from it";
                tracing::warn!(offset, start, "{what}");
                Ok(None)
            }
        }
    }

    /// Loads a snapshot, if it can be read.
    async fn load_one(&self, whole: &WholeSnapshot) -> Result<Option<Replica>, LoadError> {
        let offset = whole.manifest.position.offset;
        match read_snapshot(&*self.logs.snapshots, whole, self.settings).await {
            Ok(replica) => Ok(Some(replica)),
            Err(LoadError::Unreadable(why)) => {
                tracing::error!(%why, offset, "a snapshot is of no use");
                Ok(None)
            }
            Err(LoadError::Scattered) => Ok(None),
            Err(other) => Err(other),
        }
    }

    /// Searches the log for the mark of a snapshot, which usually stands close after its newest
    /// record.
    async fn standing(&self, whole: &WholeSnapshot) -> Result<SnapshotStanding, LogError> {
        let position = whole.manifest.position;
        if position.offset + 1 < self.start {
            return Ok(SnapshotStanding::NotInLog);
        }
        let log_id = self.snapshots_id.clone();
        let mark = KeptSnapshot { position, log_id, first: whole.first };
        let mut read = position;
        loop {
            let is_over = read.offset + 1 >= self.end;
            let wait = if is_over { LOOK_WAIT } else { PART_WAIT };
            let from = LogCursor::After(read);
            let records = match tail(&*self.logs.commands, from, MAX_RECORDS, wait).await {
                Err(LogError::Truncated | LogError::Trimmed { .. }) => {
                    return Ok(SnapshotStanding::NotInLog);
                }
                records => records?,
            };
            if records.iter().any(|record| kept_in(&record.bytes).as_ref() == Some(&mark)) {
                return Ok(SnapshotStanding::Marked);
            }
            match records.last() {
                Some(newest) if !is_over => read = newest.position,
                None if !is_over => {
                    let why = "a record of the log does not come".to_owned();
                    return Err(LogError::Unavailable(why));
                }
                _ => return Ok(SnapshotStanding::Unmarked),
            }
        }
    }
}

/// The snapshot that ends with the newest record of its log, if its parts stand one after the
/// other. So it is usually, and a process that starts need not read all snapshots to find the
/// newest one.
async fn newest<L: CommandLog>(log: &L) -> Result<Option<WholeSnapshot>, LogError> {
    let super::LogBounds { start, end, .. } = bounds(log).await?;
    if end <= start {
        return Ok(None);
    }
    let records = tail(log, LogCursor::From(end - 1), 1, PART_WAIT).await?;
    let Some(LogRecord { position, bytes, .. }) = records.first() else { return Ok(None) };
    let Ok(part) = SnapshotPart::decode(bytes) else { return Ok(None) };
    let (PartContent::Manifest(manifest), Some(first)) =
        (part.content, position.offset.checked_sub(part.index))
    else {
        return Ok(None);
    };
    let (snapshot, last) = (part.snapshot, position.offset);
    Ok((first >= start).then_some(WholeSnapshot { snapshot, first, last, manifest }))
}

/// The snapshots of which each part is there at `from` or after it, in the order of their
/// manifests.
pub(super) async fn scan<L: CommandLog>(
    log: &L,
    from: u64,
) -> Result<Vec<WholeSnapshot>, LogError> {
    let super::LogBounds { start, end, .. } = bounds(log).await?;
    let start = start.max(from);
    let (mut begun, mut whole) = (HashMap::<u128, BegunSnapshot>::new(), Vec::new());
    let mut cursor = LogCursor::From(start);
    let mut next = start;
    while next < end {
        let records = tail(log, cursor, MAX_PARTS, PART_WAIT).await?;
        let Some(newest) = records.last() else { break };
        (cursor, next) = (LogCursor::After(newest.position), newest.position.offset + 1);
        for LogRecord { position, bytes, .. } in records {
            let SnapshotPart { snapshot, index, content } = match SnapshotPart::decode(&bytes) {
                Ok(part) => part,
                Err(why) => {
                    tracing::warn!(%why, offset = position.offset, "no part of a snapshot");
                    continue;
                }
            };
            let first = position.offset;
            let begun = begun.entry(snapshot).or_insert(BegunSnapshot { first, parts: 0 });
            if begun.is_next(index)
                && let PartContent::Manifest(manifest) = content
            {
                let (first, last) = (begun.first, position.offset);
                whole.push(WholeSnapshot { snapshot, first, last, manifest });
            }
        }
    }
    Ok(whole)
}

/// The parts of a snapshot that stand in its log in their order.
struct BegunSnapshot {
    first: u64,
    parts: u64,
}

impl BegunSnapshot {
    /// Whether a part is the one that follows. A double is not, and nothing follows a gap.
    fn is_next(&mut self, index: u64) -> bool {
        let is_next = index == self.parts;
        if is_next {
            self.parts += 1;
        }
        is_next
    }
}

/// Reads a snapshot, and compares its digest.
pub(super) async fn read_snapshot<L: CommandLog>(
    log: &L,
    whole: &WholeSnapshot,
    settings: ReplicaSettings,
) -> Result<Replica, LoadError> {
    let mut begun = BegunSnapshot { first: whole.first, parts: 0 };
    let (mut beside, mut queue) = (Vec::new(), StateReader::new());
    let mut cursor = LogCursor::From(whole.first);
    loop {
        let records = tail(log, cursor, MAX_PARTS, PART_WAIT).await?;
        let Some(newest) = records.last() else {
            return Err(LogError::Unavailable("a part of a snapshot does not come".into()).into());
        };
        cursor = LogCursor::After(newest.position);
        let is_over = newest.position.offset >= whole.last;
        for record in records {
            let Ok(part) = SnapshotPart::decode(&record.bytes) else { continue };
            if part.snapshot != whole.snapshot || !begun.is_next(part.index) {
                continue;
            }
            match part.content {
                PartContent::Beside(bytes) => beside = bytes,
                PartContent::Chunk(bytes) => queue.read(&bytes)?,
                PartContent::Manifest(SnapshotManifest { position, digest, .. }) => {
                    let queue = queue.finish()?;
                    let replica = Replica::restore(settings, position, &beside, queue)?;
                    let found = replica.digest();
                    if found != digest {
                        let what = format!("its digest is {found} instead of {digest}");
                        return Err(Unreadable::new(what).into());
                    }
                    return Ok(replica);
                }
            }
        }
        if is_over {
            return Err(LoadError::Scattered);
        }
    }
}
