//! The store in front of a log.

use std::fmt;
use std::sync::Arc;

use bookingq_core::{BookingId, QueueName, Timestamp};
use bookingq_queue::{Queue, QueueAnswer, QueueCommand, StateDigest};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout_at;

use super::config::ReplicatedConfig;
use super::driver::{Call, Shared, Want};
use super::load::bounds;
use super::log::{CommandLog, LogError, LogPair, LogPosition, ReadingSink};
use super::reader::read_log;
use super::sender::send_envelopes;
use super::snapshot::{SnapshotFailed, take_snapshot};
use super::split::{join, split};
use crate::engine::EngineHolder;
use crate::{Opened, Result, Snapshot, StoreError};

/// Calls that may wait for an envelope; more are refused.
const MAX_WAITING: usize = 16_384;

/// Opens the logs once more.
type OpenLogs<L> = Box<dyn Fn() -> Result<LogPair<L>> + Send + Sync>;

/// One queue's bookings, as this process has read them from a log.
pub struct ReplicatedStore<L> {
    config: ReplicatedConfig,
    logs: LogPair<L>,
    /// For snapshots, which read the logs elsewhere than this store does.
    open_logs: OpenLogs<L>,
    /// Where readings for the operator go.
    readings: Option<Box<dyn ReadingSink>>,
    shared: Arc<Shared>,
    calls: mpsc::Sender<Call>,
    /// End with the store.
    tasks: [JoinHandle<()>; 2],
}

impl<L: CommandLog> ReplicatedStore<L> {
    /// Starts to read a log: from the newest snapshot on, or from its beginning.
    ///
    /// # Panics
    /// Outside a Tokio runtime, since it starts tasks.
    pub fn start(config: ReplicatedConfig, logs: LogPair<L>) -> Self {
        let incarnation = BookingId::generate().to_u128();
        let settings = config.replica_settings();
        let shared =
            Arc::new(Shared::new(config.limits(), incarnation, settings, config.resend_after));
        let (calls, waiting) = mpsc::channel(MAX_WAITING);
        let reads = read_log(logs.clone(), Arc::clone(&shared));
        let sends = send_envelopes(Arc::clone(&logs.commands), Arc::clone(&shared), waiting);
        let tasks = [tokio::spawn(reads), tokio::spawn(sends)];
        let opened = logs.clone();
        let open_logs: OpenLogs<L> = Box::new(move || Ok(opened.clone()));
        Self { config, logs, open_logs, readings: None, shared, calls, tasks }
    }

    /// Takes snapshots through logs that are opened for each of them: where one client of a log
    /// reads at one place only.
    #[must_use]
    pub fn with_logs_for_snapshots(
        mut self,
        open: impl Fn() -> Result<LogPair<L>> + Send + Sync + 'static,
    ) -> Self {
        self.open_logs = Box::new(open);
        self
    }

    /// Publishes readings of the queue there.
    #[must_use]
    pub fn with_readings(mut self, readings: impl ReadingSink) -> Self {
        self.readings = Some(Box::new(readings));
        self
    }

    /// Makes all that read the log apply these rules from here on. Only for rules that all of them
    /// know: the others stop.
    ///
    /// # Errors
    /// As those of every call; and [`StoreError::Settings`] if this process does not know them.
    pub async fn upgrade(&self, rules: u32) -> Result<()> {
        if rules > self.config.known_rules {
            let known = self.config.known_rules;
            let what = format!("rules are {rules}; allowed: at most {known}");
            return Err(StoreError::Settings(what));
        }
        self.call(vec![Want::Upgrade(rules)]).await.map(drop)
    }

    /// The newest record that was applied, and the digest of the state after it.
    pub fn digest(&self) -> (Option<LogPosition>, StateDigest) {
        let state = self.shared.state.lock();
        (state.replica.position(), state.replica.digest())
    }

    /// Makes calls that take effect in their order, and waits for all of them.
    async fn call(&self, wants: Vec<Want>) -> Result<Vec<QueueAnswer>> {
        self.check()?;
        let deadline = tokio::time::Instant::now() + self.config.timeout;
        // All or none of them: after Overloaded nothing has happened.
        let slots = match self.calls.try_reserve_many(wants.len()) {
            Ok(slots) => slots,
            Err(TrySendError::Full(())) => {
                return Err(StoreError::Overloaded { waiting: MAX_WAITING });
            }
            Err(TrySendError::Closed(())) => return Err(self.unanswered()),
        };
        let mut waiting = Vec::with_capacity(wants.len());
        for (slot, want) in slots.zip(wants) {
            let (answer, answered) = oneshot::channel();
            slot.send(Call { want, answer });
            waiting.push(answered);
        }
        let mut answers = Vec::with_capacity(waiting.len());
        for answered in waiting {
            match timeout_at(deadline, answered).await {
                Ok(Ok(answer)) => answers.push(answer),
                Ok(Err(_)) => return Err(self.unanswered()),
                Err(_) => {
                    self.check()?;
                    return Err(StoreError::Timeout(self.config.timeout));
                }
            }
        }
        Ok(answers)
    }

    /// The error of a call that nothing answers.
    fn unanswered(&self) -> StoreError {
        self.check().err().unwrap_or_else(|| {
            let why = "the state was loaded again while it waited, and its outcome is unknown";
            StoreError::Unavailable(why.to_owned())
        })
    }
}

impl<L: CommandLog> EngineHolder for ReplicatedStore<L> {
    fn name(&self) -> &QueueName {
        &self.config.queue
    }

    async fn opened(&self) -> Result<Opened> {
        for log in [&self.logs.commands, &self.logs.snapshots] {
            bounds(&**log).await.map_err(|error| match error {
                LogError::Unusable(why) => StoreError::Settings(why),
                error => StoreError::Unavailable(error.to_string()),
            })?;
        }
        self.catch_up().await?;
        let loss = self.shared.state.lock().loss;
        if let Some(known) = loss {
            self.call(vec![Want::Loss(known)]).await?;
            self.shared.state.lock().loss.take_if(|newest| *newest == known);
        }
        Ok(Opened { epoch: self.epoch(), ..Opened::default() })
    }

    async fn apply(&self, command: QueueCommand) -> Result<QueueAnswer> {
        let pieces = split(command).into_iter().map(Want::Command).collect();
        let mut answers = self.call(pieces).await?.into_iter();
        let mut whole = answers.next().ok_or_else(|| self.unanswered())?;
        for answer in answers {
            join(&mut whole, answer)
                .map_err(|other| StoreError::unexpected("the answer to another command", &other))?;
        }
        Ok(whole)
    }

    async fn catch_up(&self) -> Result<()> {
        self.call(vec![Want::Barrier]).await.map(drop)
    }

    fn look<T>(&self, look: impl FnOnce(&Queue, Timestamp) -> T) -> T {
        let state = self.shared.state.lock();
        let queue = state.replica.queue();
        look(queue, queue.last())
    }

    fn foresee<T>(&self, look: impl FnOnce(&Queue, Timestamp) -> Option<T>) -> Option<T> {
        let state = self.shared.state.lock();
        if !state.is_up() {
            return None;
        }
        let (queue, now) = state.foreseen();
        look(queue, now)
    }

    fn epoch(&self) -> String {
        let state = self.shared.state.lock();
        if state.loads == 0 { String::new() } else { state.replica.epoch(&state.log_id) }
    }

    fn generation(&self) -> u64 {
        self.shared.state.lock().loads
    }

    fn wrong_claims_read(&self) -> u64 {
        self.shared.state.lock().wrong_claims
    }

    fn is_set_back(&self) -> bool {
        self.shared.state.lock().loss.is_some()
    }

    fn check(&self) -> Result<()> {
        let state = self.shared.state.lock();
        let why = state.stopped.clone().or_else(|| state.refused.clone());
        why.map_or(Ok(()), |why| Err(StoreError::Unavailable(why)))
    }

    async fn compacted(&self) -> Result<()> {
        // Taking one begins with loading the state, so this process's own state is asked first.
        if self.shared.state.lock().replica.since_kept() < self.config.snapshot_every {
            return Ok(());
        }
        match take_snapshot(&(self.open_logs)()?, &self.config).await {
            Ok(_) => Ok(()),
            Err(error @ (SnapshotFailed::Log(_) | SnapshotFailed::Undecided)) => {
                Err(StoreError::Unavailable(error.to_string()))
            }
            Err(other) => Err(StoreError::Unexpected(other.to_string())),
        }
    }

    fn publishes_readings(&self) -> bool {
        self.readings.is_some()
    }

    async fn reading_published(&self, snapshot: &Snapshot) -> Result<()> {
        match &self.readings {
            Some(readings) => readings.publish(snapshot).await,
            None => Ok(()),
        }
    }

    fn grown(&self) -> &Notify {
        &self.shared.grown
    }
}

impl<L> fmt::Debug for ReplicatedStore<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplicatedStore").field("queue", &self.config.queue).finish_non_exhaustive()
    }
}

impl<L> Drop for ReplicatedStore<L> {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}
