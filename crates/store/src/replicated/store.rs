//! The store in front of a log.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bookingq_core::{BookingId, QueueName, Timestamp};
use bookingq_queue::{Queue, QueueAnswer, QueueCommand, QueueLimits, StateDigest};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout_at;

use super::driver::{Call, Shared, Want, read_log, send_envelopes};
use super::envelope::KNOWN_RULES;
use super::log::{CommandLog, LogError, LogPair, LogPosition};
use super::split::{join, split};
use crate::engine::EngineHolder;
use crate::{Opened, Result, StoreError};

/// Calls that may wait for an envelope; more are refused.
const MAX_WAITING: usize = 16_384;

/// Settings of a replicated store.
#[derive(Debug, Clone)]
pub struct ReplicatedConfig {
    /// The queue.
    pub queue: QueueName,
    /// How long a final booking can still be read.
    pub retention: Duration,
    /// Events kept for followers; about 300 bytes each.
    pub outbox_events: usize,
    /// Longest that a call waits for its answer.
    pub timeout: Duration,
    /// How long an envelope may take to be read back before it is sent again.
    pub resend_after: Duration,
    /// Offsets between two digests.
    pub digest_every: u64,
    /// The newest rules that this process can apply: [`KNOWN_RULES`], but in tests of upgrades.
    pub known_rules: u32,
}

impl ReplicatedConfig {
    /// The defaults.
    pub fn new(queue: QueueName) -> Self {
        Self {
            queue,
            retention: Duration::from_secs(24 * 3600),
            outbox_events: 1_000_000,
            timeout: Duration::from_secs(5),
            resend_after: Duration::from_secs(1),
            digest_every: 10_000,
            known_rules: KNOWN_RULES,
        }
    }
}

/// One queue's bookings, as this process has read them from a log.
pub struct ReplicatedStore<L> {
    name: QueueName,
    timeout: Duration,
    logs: LogPair<L>,
    shared: Arc<Shared>,
    calls: mpsc::Sender<Call>,
    /// End with the store.
    tasks: [JoinHandle<()>; 2],
}

impl<L: CommandLog> ReplicatedStore<L> {
    /// Starts to read a log from its beginning.
    ///
    /// # Panics
    /// Outside a Tokio runtime, since it starts tasks.
    pub fn start(config: ReplicatedConfig, logs: LogPair<L>) -> Self {
        let limits =
            QueueLimits { retention: config.retention, outbox_events: config.outbox_events };
        let incarnation = BookingId::generate().to_u128();
        let rules = (config.known_rules, config.digest_every);
        let shared = Arc::new(Shared::new(limits, incarnation, rules, config.resend_after));
        let (calls, waiting) = mpsc::channel(MAX_WAITING);
        let reads = read_log(Arc::clone(&logs.commands), Arc::clone(&shared));
        let sends = send_envelopes(Arc::clone(&logs.commands), Arc::clone(&shared), waiting);
        let tasks = [tokio::spawn(reads), tokio::spawn(sends)];
        Self { name: config.queue, timeout: config.timeout, logs, shared, calls, tasks }
    }

    /// Makes all that read the log apply these rules from here on. Only for rules that all of them
    /// know: the others stop.
    ///
    /// # Errors
    /// As those of every call; and [`StoreError::Settings`] if this process does not know them.
    pub async fn upgrade(&self, rules: u32) -> Result<()> {
        if rules > self.shared.known_rules {
            let known = self.shared.known_rules;
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
        let deadline = tokio::time::Instant::now() + self.timeout;
        let mut waiting = Vec::with_capacity(wants.len());
        for want in wants {
            let (answer, answered) = oneshot::channel();
            match self.calls.try_send(Call { want, answer }) {
                Ok(()) => waiting.push(answered),
                Err(TrySendError::Full(_)) => {
                    return Err(StoreError::Overloaded { waiting: MAX_WAITING });
                }
                Err(TrySendError::Closed(_)) => return Err(self.stopped()),
            }
        }
        let mut answers = Vec::with_capacity(waiting.len());
        for answered in waiting {
            match timeout_at(deadline, answered).await {
                Ok(Ok(answer)) => answers.push(answer),
                Ok(Err(_)) => return Err(self.stopped()),
                Err(_) => return Err(StoreError::Timeout(self.timeout)),
            }
        }
        Ok(answers)
    }

    fn stopped(&self) -> StoreError {
        let why = self.shared.state.lock().stopped.clone();
        StoreError::Unavailable(why.unwrap_or_else(|| "the store has ended".to_owned()))
    }
}

impl<L: CommandLog> EngineHolder for ReplicatedStore<L> {
    fn name(&self) -> &QueueName {
        &self.name
    }

    async fn opened(&self) -> Result<Opened> {
        let bounds = tokio::time::timeout(self.timeout, self.logs.commands.bounds()).await;
        let bounds = bounds.map_err(|_| StoreError::Timeout(self.timeout))?;
        let bounds = bounds.map_err(|error| match error {
            LogError::Unusable(why) => StoreError::Settings(why),
            error => StoreError::Unavailable(error.to_string()),
        });
        let id = bounds?.id;
        self.shared.state.lock().log_id = id;
        self.catch_up().await?;
        Ok(Opened { epoch: self.epoch(), ..Opened::default() })
    }

    async fn apply(&self, command: QueueCommand) -> Result<QueueAnswer> {
        let pieces = split(command).into_iter().map(Want::Command).collect();
        let mut answers = self.call(pieces).await?.into_iter();
        let mut whole = answers.next().ok_or_else(|| self.stopped())?;
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

    fn epoch(&self) -> String {
        let state = self.shared.state.lock();
        match (state.log_id.as_str(), state.reloads) {
            ("", _) => String::new(),
            (id, 0) => id.to_owned(),
            (id, reloads) => format!("{id}.{reloads}"),
        }
    }

    fn grown(&self) -> &Notify {
        &self.shared.grown
    }
}

impl<L> fmt::Debug for ReplicatedStore<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplicatedStore").field("name", &self.name).finish_non_exhaustive()
    }
}

impl<L> Drop for ReplicatedStore<L> {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}
