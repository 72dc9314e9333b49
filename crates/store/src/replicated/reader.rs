//! The task that reads the log: it loads a state, follows the log, and loads another one when the
//! log does not go on from where it is.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::dispute::Disputes;
use super::driver::Shared;
use super::load::{LoadError, bounds, load, tail};
use super::log::{CommandLog, LogCursor, LogError, LogPair};
use super::replica::ReplicaStopped;

/// Records read at once.
const MAX_RECORDS: usize = 1024;
/// How long a read waits for a record.
const READ_WAIT: Duration = Duration::from_secs(1);
/// A pause after an error, and after a state that could not be loaded.
const PAUSE: Duration = Duration::from_millis(50);
const LOAD_PAUSE: Duration = Duration::from_millis(500);
/// How often a state may be missing before the replica gives up. A snapshot may be missed because
/// the log was trimmed in the same moment.
const MAX_MISSING: u32 = 3;
/// How often to look whether it is still the same log.
const SAME_LOG_EVERY: Duration = Duration::from_secs(10);

/// Stops the replica if a task ends by a panic: callers would wait for ever.
pub(super) struct PanicWatch(pub(super) Arc<Shared>, pub(super) &'static str);

impl Drop for PanicWatch {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.stop(format!("the task that {} has panicked", self.1));
        }
    }
}

/// Reads the log and applies it until the replica stops.
pub(super) async fn read_log<L: CommandLog>(logs: LogPair<L>, shared: Arc<Shared>) {
    let _watch = PanicWatch(Arc::clone(&shared), "reads the log");
    let (mut broken, mut disputes) = (None, Disputes::of(shared.incarnation));
    loop {
        if let Err(why) = reload(&logs, &shared, broken.as_ref(), &disputes).await {
            return shared.stop(why);
        }
        broken = Some(match follow(&*logs.commands, &shared).await {
            FollowEnd::Stopped(ReplicaStopped { differs: Some(own), offset, why }) => {
                disputes = shared.state.lock().replica.disputes().clone();
                disputes.reload(own);
                ReloadCause::Differs { offset, why }
            }
            // Not understood, or this process cannot be trusted.
            FollowEnd::Stopped(stopped) => return shared.stop(stopped.to_string()),
            FollowEnd::Broken(error) => {
                if matches!(error, LogError::Replaced | LogError::Truncated) {
                    // Other records stand where it differed.
                    disputes.forget_all();
                }
                ReloadCause::Broken(error)
            }
        });
    }
}

/// Why a replica does not read on.
enum FollowEnd {
    /// The log does not go on from what was read.
    Broken(LogError),
    /// A record cannot be applied.
    Stopped(ReplicaStopped),
}

/// Why a state is loaded again.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum ReloadCause {
    #[error("the log does not go on from what was read: {0}")]
    Broken(LogError),
    #[error("the state is not that of others, as the record at offset {offset} says: {why}")]
    Differs { offset: u64, why: String },
}

/// Loads a state, because the log was never read or is `broken`. Fails if there is none.
async fn reload<L: CommandLog>(
    logs: &LogPair<L>,
    shared: &Shared,
    broken: Option<&ReloadCause>,
    disputes: &Disputes,
) -> Result<(), String> {
    let read = shared.state.lock().replica.position();
    if let Some(why) = broken {
        tracing::error!(%why, ?read, "the state of the queue is loaded again");
    }
    let has_lost = broken == Some(&ReloadCause::Broken(LogError::Truncated));
    let mut missing = 0;
    loop {
        match load(logs, shared.settings).await {
            Ok(mut loaded) => {
                loaded.replica.remember(disputes.clone());
                let position = loaded.replica.position();
                tracing::info!(?position, log = loaded.log_id, "the state of the queue is loaded");
                shared.refuse(None);
                shared.install(loaded, read.is_some() && has_lost);
                return Ok(());
            }
            Err(LoadError::Log(unusable @ LogError::Unusable(_))) => {
                shared.refuse(Some(unusable.to_string()));
            }
            Err(LoadError::Log(error)) => {
                tracing::warn!(%error, "cannot load the state of the queue; trying again");
            }
            Err(error) => {
                missing += 1;
                if missing == MAX_MISSING {
                    return Err(error.to_string());
                }
            }
        }
        tokio::time::sleep(LOAD_PAUSE).await;
    }
}

/// Applies the log until it does not go on from what was read, or a record cannot be applied.
async fn follow<L: CommandLog>(log: &L, shared: &Shared) -> FollowEnd {
    let mut look_at = Instant::now() + SAME_LOG_EVERY;
    loop {
        let position = shared.state.lock().replica.position();
        let from = position.map_or(LogCursor::From(0), LogCursor::After);
        let records = match tail(log, from, MAX_RECORDS, READ_WAIT).await {
            Ok(records) => {
                shared.refuse(None);
                records
            }
            Err(LogError::Unavailable(error)) => {
                tracing::debug!(error, "the log cannot be read; trying again");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
            // Loading the state again would lead to the same record.
            Err(unusable @ LogError::Unusable(_)) => {
                shared.refuse(Some(unusable.to_string()));
                tokio::time::sleep(LOAD_PAUSE).await;
                continue;
            }
            Err(broken) => return FollowEnd::Broken(broken),
        };
        for record in &records {
            if let Err(stopped) = shared.apply(record) {
                return FollowEnd::Stopped(stopped);
            }
        }
        if Instant::now() >= look_at {
            look_at = Instant::now() + SAME_LOG_EVERY;
            if is_replaced(log, shared).await {
                return FollowEnd::Broken(LogError::Replaced);
            }
        }
    }
}

/// Whether the log is known to be another one now.
async fn is_replaced<L: CommandLog>(log: &L, shared: &Shared) -> bool {
    let found = bounds(log).await;
    found.is_ok_and(|found| found.id != shared.state.lock().log_id)
}
