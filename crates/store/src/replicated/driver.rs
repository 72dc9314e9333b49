//! The two tasks of a replicated store: one sends envelopes, one reads the log.

use std::sync::Arc;
use std::time::Duration;

use bookingq_queue::{QueueAnswer, QueueLimits};
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::timeout;

use super::envelope::{Envelope, MAX_ENVELOPE_BYTES};
use super::log::{CommandLog, LogCursor, LogError};
use super::replica::{AppliedEnvelope, Replica};

/// Calls in one envelope.
const MAX_CALLS: usize = 1024;
/// Records read at once.
const MAX_RECORDS: usize = 1024;
/// How long a read waits for a record, and a pause after an error.
const READ_WAIT: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(50);
/// Longest that an append may take before the record counts as not sent.
const APPEND_WITHIN: Duration = Duration::from_secs(5);

/// What a caller wants.
#[derive(Debug)]
pub(super) enum Want {
    /// That an encoded command takes effect.
    Command(Vec<u8>),
    /// Only to read an envelope back.
    Barrier,
    /// That all apply these rules from here on.
    Upgrade(u32),
}

/// A call that waits.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) want: Want,
    /// Gets the answer to a command, [`QueueAnswer::Done`] otherwise.
    pub(super) answer: oneshot::Sender<QueueAnswer>,
}

/// What the tasks and the callers share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) limits: QueueLimits,
    pub(super) incarnation: u128,
    pub(super) known_rules: u32,
    pub(super) digest_every: u64,
    pub(super) resend_after: Duration,
    pub(super) state: Mutex<Progress>,
    /// Wakes followers of the outbox.
    pub(super) grown: Notify,
    /// Wakes the sender when its envelope was read back or the replica has stopped.
    read_back: Notify,
}

/// The replica, and the envelope that is on its way.
#[derive(Debug)]
pub(super) struct Progress {
    pub(super) replica: Replica,
    /// The id of the log; empty before the store was opened.
    pub(super) log_id: String,
    /// How often the replica was built again, since the log had lost records.
    pub(super) reloads: u64,
    /// Why the replica has stopped.
    pub(super) stopped: Option<String>,
    /// The envelope on its way: its number, and its callers in the order of its commands; those
    /// without a command come last.
    in_flight: Option<(u64, Vec<Call>)>,
}

impl Shared {
    pub(super) fn new(
        limits: QueueLimits,
        incarnation: u128,
        (known_rules, digest_every): (u32, u64),
        resend_after: Duration,
    ) -> Self {
        let replica = Replica::new(known_rules, digest_every);
        let state =
            Progress { replica, log_id: String::new(), reloads: 0, stopped: None, in_flight: None };
        Self {
            limits,
            incarnation,
            known_rules,
            digest_every,
            resend_after,
            state: Mutex::new(state),
            grown: Notify::new(),
            read_back: Notify::new(),
        }
    }

    /// Stops the replica for good. Callers get an error, since nothing answers them.
    fn stop(&self, why: String) {
        tracing::error!(why, "the replica of the queue has stopped");
        let mut state = self.state.lock();
        state.stopped = Some(why);
        state.in_flight = None;
        drop(state);
        self.read_back.notify_one();
        self.grown.notify_waiters();
    }
}

/// Reads the log and applies it until the replica stops.
pub(super) async fn read_log<L: CommandLog>(log: Arc<L>, shared: Arc<Shared>) {
    loop {
        let position = shared.state.lock().replica.position();
        let from = position.map_or(LogCursor::From(0), LogCursor::After);
        let found = timeout(2 * READ_WAIT, log.tail(from, MAX_RECORDS, READ_WAIT)).await;
        let records = match found {
            Ok(Ok(records)) => records,
            Ok(Err(LogError::Truncated | LogError::Replaced)) => {
                reload(&shared);
                continue;
            }
            Ok(Err(error @ (LogError::Trimmed { .. } | LogError::Unusable(_)))) => {
                return shared.stop(error.to_string());
            }
            Ok(Err(LogError::Unavailable(_))) | Err(_) => {
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        for record in &records {
            let mut state = shared.state.lock();
            let before = state.replica.queue().latest_event();
            let applied = match state.replica.apply(record) {
                Ok(applied) => applied,
                Err(stopped) => {
                    drop(state);
                    return shared.stop(stopped.to_string());
                }
            };
            let grown = state.replica.queue().latest_event() > before;
            let own = applied.filter(|applied| applied.incarnation == shared.incarnation);
            let is_read_back = own.is_some_and(|own| state.answer(own));
            drop(state);
            if is_read_back {
                shared.read_back.notify_one();
            }
            if grown {
                shared.grown.notify_waiters();
            }
        }
    }
}

/// Begins again with an empty state, since the log has lost what the state was made of.
fn reload(shared: &Shared) {
    let mut state = shared.state.lock();
    state.reloads += 1;
    state.replica = Replica::new(shared.known_rules, shared.digest_every);
    tracing::error!(reloads = state.reloads, "the log has lost records; its state is read again");
}

impl Progress {
    /// Answers the callers of an envelope that was read back. Returns whether it was on its way.
    fn answer(&mut self, own: AppliedEnvelope) -> bool {
        let Some((_, calls)) = self.in_flight.take_if(|(seq, _)| *seq == own.seq) else {
            return false;
        };
        let mut answers = own.answers.into_iter();
        for call in calls {
            // A send fails if the caller was cancelled, which is no error.
            call.answer.send(answers.next().unwrap_or(QueueAnswer::Done)).ok();
        }
        true
    }
}

/// Sends envelope after envelope until the last caller is dropped or the replica stops.
pub(super) async fn send_envelopes<L: CommandLog>(
    log: Arc<L>,
    shared: Arc<Shared>,
    mut waiting: mpsc::Receiver<Call>,
) {
    let (mut seq, mut next) = (0, None);
    loop {
        let Some(first) = (match next.take() {
            Some(call) => Some(call),
            None => waiting.recv().await,
        }) else {
            return;
        };
        // Lets callers that are ready to run submit first: a larger envelope at no delay.
        tokio::task::yield_now().await;
        let calls = collect(first, &mut waiting, &mut next);
        seq += 1;
        let Some(bytes) = pack(&shared, seq, calls) else { return };
        if send_until_read_back(&*log, &shared, seq, &bytes).await.is_none() {
            return;
        }
    }
}

/// The calls of the next envelope; `next` gets the first one that does not fit.
fn collect(first: Call, waiting: &mut mpsc::Receiver<Call>, next: &mut Option<Call>) -> Vec<Call> {
    let size = |call: &Call| match &call.want {
        Want::Command(bytes) => bytes.len(),
        Want::Barrier | Want::Upgrade(_) => 0,
    };
    let (mut bytes, mut calls) = (size(&first), vec![first]);
    while calls.len() < MAX_CALLS {
        let Ok(call) = waiting.try_recv() else { break };
        bytes += size(&call);
        if bytes > MAX_ENVELOPE_BYTES {
            *next = Some(call);
            break;
        }
        calls.push(call);
    }
    calls
}

/// Makes an envelope of calls and remembers them. `None` once the replica has stopped.
fn pack(shared: &Shared, seq: u64, calls: Vec<Call>) -> Option<Vec<u8>> {
    let (mut with_command, mut others) = (Vec::new(), Vec::new());
    let (mut commands, mut upgrade) = (Vec::new(), None);
    for Call { want, answer } in calls {
        match want {
            Want::Command(bytes) => {
                commands.push(bytes);
                with_command.push(Call { want: Want::Barrier, answer });
            }
            Want::Barrier => others.push(Call { want: Want::Barrier, answer }),
            Want::Upgrade(rules) => {
                upgrade = upgrade.max(Some(rules));
                others.push(Call { want: Want::Barrier, answer });
            }
        }
    }
    with_command.append(&mut others);
    let mut state = shared.state.lock();
    if state.stopped.is_some() {
        return None;
    }
    let envelope = Envelope {
        rules: state.replica.rules(),
        incarnation: shared.incarnation,
        seq,
        limits: shared.limits,
        commands: Vec::new(),
        digest: state.replica.unclaimed(),
        upgrade,
    };
    state.in_flight = Some((seq, with_command));
    Some(envelope.encode(commands))
}

/// Sends an envelope again and again, unchanged, until it is read back. `None` once the replica
/// has stopped.
async fn send_until_read_back<L: CommandLog>(
    log: &L,
    shared: &Shared,
    seq: u64,
    bytes: &[u8],
) -> Option<()> {
    loop {
        let sent = timeout(APPEND_WITHIN, log.append(bytes)).await;
        if !matches!(sent, Ok(Ok(()))) {
            tracing::debug!(seq, "an append was not acknowledged");
        }
        let resend_at = tokio::time::Instant::now() + shared.resend_after;
        loop {
            {
                let state = shared.state.lock();
                if state.stopped.is_some() {
                    return None;
                }
                if state.in_flight.is_none() {
                    return Some(());
                }
            }
            let read_back = tokio::time::timeout_at(resend_at, shared.read_back.notified()).await;
            if read_back.is_err() {
                break;
            }
        }
    }
}
