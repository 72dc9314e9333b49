//! What the two tasks of a replicated store and its callers share.

use std::time::Duration;

use bookingq_core::Timestamp;
use bookingq_queue::{Queue, QueueAnswer, QueueLimits};
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use super::load::Loaded;
use super::log::LogRecord;
use super::replica::{AppliedEnvelope, Replica, ReplicaSettings, ReplicaStopped};

/// What a caller wants.
#[derive(Debug)]
pub(super) enum Want {
    /// That an encoded command takes effect.
    Command(Vec<u8>),
    /// Only to read an envelope back.
    Barrier,
    /// That all apply these rules from here on.
    Upgrade(u32),
    /// That all know that the log has lost records that this process had read; the number of losses
    /// that it knew of before.
    Loss(u64),
}

/// Gets the answer to a command, [`QueueAnswer::Done`] to all else. Dropped if there is none.
pub(super) type AnswerSender = oneshot::Sender<QueueAnswer>;

/// A call that waits.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) want: Want,
    pub(super) answer: AnswerSender,
}

/// What the tasks and the callers share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) limits: QueueLimits,
    pub(super) incarnation: u128,
    pub(super) settings: ReplicaSettings,
    pub(super) resend_after: Duration,
    pub(super) state: Mutex<Progress>,
    /// Wakes followers of the outbox.
    pub(super) grown: Notify,
    /// Wakes the sender when its envelope was read back or the replica has stopped.
    pub(super) read_back: Notify,
}

/// The replica, and the envelope that is on its way.
#[derive(Debug)]
pub(super) struct Progress {
    pub(super) replica: Replica,
    /// The id of the log; empty before a state was loaded.
    pub(super) log_id: String,
    /// How often a state was loaded.
    pub(super) loads: u64,
    /// Claims of others about the state that were wrong, and the offset of the newest one.
    pub(super) wrong_claims: u64,
    wrong_claim_at: Option<u64>,
    /// The losses that this process knew of when it noticed another one, until others know.
    pub(super) loss: Option<u64>,
    /// Why the replica has stopped.
    pub(super) stopped: Option<String>,
    /// What is wrong with the log, of which nothing is read until it is put right.
    pub(super) refused: Option<String>,
    /// When the newest record was applied.
    applied_at: Option<Instant>,
    /// The envelope on its way: its number, and who waits for it, in the order of its commands;
    /// those without a command come last.
    in_flight: Option<(u64, Vec<AnswerSender>)>,
}

impl Shared {
    pub(super) fn new(
        limits: QueueLimits,
        incarnation: u128,
        settings: ReplicaSettings,
        resend_after: Duration,
    ) -> Self {
        let state = Progress {
            replica: Replica::new(settings),
            log_id: String::new(),
            loads: 0,
            wrong_claims: 0,
            wrong_claim_at: None,
            loss: None,
            stopped: None,
            refused: None,
            applied_at: None,
            in_flight: None,
        };
        let (grown, read_back) = (Notify::new(), Notify::new());
        let state = Mutex::new(state);
        Self { limits, incarnation, settings, resend_after, state, grown, read_back }
    }

    /// Stops the replica for good. Callers get an error, since nothing answers them.
    pub(super) fn stop(&self, why: String) {
        tracing::error!(why, "the replica of the queue has stopped");
        let mut state = self.state.lock();
        state.stopped = Some(why);
        state.in_flight = None;
        drop(state);
        self.read_back.notify_one();
        self.grown.notify_waiters();
    }

    /// Remembers what is wrong with the log, and says it once; `None`: nothing is any more.
    pub(super) fn refuse(&self, why: Option<String>) {
        let mut state = self.state.lock();
        if state.refused == why {
            return;
        }
        if let Some(why) = &why {
            tracing::error!(why, "nothing of the log is applied");
        } else {
            tracing::info!("the log is applied again");
        }
        // Callers need not wait for what cannot be read back now; the envelope stays on its way.
        if let (Some(_), Some((_, waiting))) = (&why, &mut state.in_flight) {
            waiting.clear();
        }
        state.refused = why;
        drop(state);
        self.grown.notify_waiters();
    }

    /// Applies a record, and answers those that wait for it.
    pub(super) fn apply(&self, record: &LogRecord) -> Result<(), ReplicaStopped> {
        let mut state = self.state.lock();
        let before = state.replica.queue().latest_event();
        let applied = state.replica.apply(record)?;
        if let Some(why) = &applied.wrong {
            state.count_wrong(record.position.offset, why);
        }
        state.applied_at = Some(Instant::now());
        let has_grown = state.replica.queue().latest_event() > before;
        let is_read_back = applied.incarnation == self.incarnation && state.answer(applied);
        drop(state);
        if is_read_back {
            self.read_back.notify_one();
        }
        if has_grown {
            self.grown.notify_waiters();
        }
        Ok(())
    }

    /// Goes on with a state that was loaded, perhaps because the log has lost what was read.
    pub(super) fn install(&self, loaded: Loaded, has_lost: bool) {
        let mut state = self.state.lock();
        let Loaded { replica, log_id, .. } = loaded;
        // Another log is other data, and says so by its id.
        let is_same_log = state.log_id == log_id;
        let known = has_lost.then(|| state.replica.losses());
        state.loss = known.max(state.loss).filter(|_| is_same_log);
        (state.replica, state.log_id, state.applied_at) = (replica, log_id, None);
        if has_lost || !is_same_log {
            // Other records stand at the offsets.
            state.wrong_claim_at = None;
        }
        state.loads += 1;
        let newest = state.replica.newest_of(self.incarnation);
        // If it took effect in what was loaded, its answers are not to be had.
        state.in_flight.take_if(|(seq, _)| newest.is_some_and(|newest| *seq <= newest));
        drop(state);
        self.read_back.notify_one();
        self.grown.notify_waiters();
    }
}

impl Progress {
    /// Whether the replica shows what this process has last read of the log.
    pub(super) fn is_up(&self) -> bool {
        self.stopped.is_none() && self.refused.is_none() && self.loads > 0
    }

    /// Remembers who waits for an envelope.
    pub(super) fn expect(&mut self, seq: u64, answers: Vec<AnswerSender>) {
        self.in_flight = Some((seq, answers));
    }

    /// Counts a claim that is wrong, unless it was read before.
    fn count_wrong(&mut self, offset: u64, why: &str) {
        if self.wrong_claim_at.is_none_or(|newest| newest < offset) {
            tracing::error!(offset, why, "the state of another process is wrong; going on");
            self.wrong_claim_at = Some(offset);
            self.wrong_claims += 1;
        }
    }

    pub(super) fn is_in_flight(&self) -> bool {
        self.in_flight.is_some()
    }

    /// The queue, and what its time may be by now: that of its newest record, and what has passed
    /// on this machine since.
    pub(super) fn foreseen(&self) -> (&Queue, Timestamp) {
        let queue = self.replica.queue();
        let passed = self.applied_at.map_or(Duration::ZERO, |at| at.elapsed());
        (queue, queue.last() + passed)
    }

    /// Answers those that wait for an envelope that was read back. Returns whether it was on its
    /// way.
    fn answer(&mut self, own: AppliedEnvelope) -> bool {
        let Some((_, waiting)) = self.in_flight.take_if(|(seq, _)| *seq == own.seq) else {
            return false;
        };
        // Without answers it took effect before the state was loaded.
        let Some(answers) = own.answers else { return true };
        let mut answers = answers.into_iter();
        for answer in waiting {
            // A send fails if the caller was cancelled, which is no error.
            answer.send(answers.next().unwrap_or(QueueAnswer::Done)).ok();
        }
        true
    }
}
