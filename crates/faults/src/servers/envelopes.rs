//! Envelopes that come into a queue's log once more, as those do that a client library sends again
//! because it got no answer: at once, or seconds later.

use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use bookingq_core::QueueName;
use bookingq_store::replicated::{CommandLog, KafkaAddress, LogCursor, LogError, open_commands};
use parking_lot::Mutex;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

/// How long envelopes are remembered, to be sent again.
const REMEMBERED: Duration = Duration::from_secs(40);
/// Envelopes that are remembered at most.
const MOST: usize = 20_000;
/// Records of one read, and how long it waits.
const PIECE: usize = 256;
const WAIT: Duration = Duration::from_millis(500);
/// Longest time of one append.
const APPEND: Duration = Duration::from_secs(5);
/// A pause after an error.
const PAUSE: Duration = Duration::from_millis(200);

/// Follows the log of a queue, and appends to it what it holds already.
pub(super) struct EnvelopeFaults {
    state: Arc<EnvelopeState>,
    /// Ends with it.
    task: JoinHandle<()>,
}

struct EnvelopeState {
    /// Another client than the one that reads: it reads nothing back.
    log: Arc<dyn CommandLog>,
    seen: Mutex<SeenEnvelopes>,
}

#[derive(Default)]
struct SeenEnvelopes {
    newest: VecDeque<(Instant, Vec<u8>)>,
    /// Of all that were ever seen: what is seen again is not doubled again.
    digests: HashSet<u64>,
    double_until: Option<Instant>,
    again: u64,
}

impl EnvelopeFaults {
    pub(super) fn start(address: &KafkaAddress, queue: &QueueName) -> Result<Self> {
        let log = open_commands(address, queue)?;
        let state = Arc::new(EnvelopeState { log, seen: Mutex::default() });
        let follows = follow(open_commands(address, queue)?, Arc::clone(&state));
        Ok(Self { task: tokio::spawn(follows), state })
    }

    /// Doubles every envelope for this long.
    pub(super) fn double_for(&self, time: Duration) {
        let until = Instant::now() + time;
        let mut seen = self.state.seen.lock();
        seen.double_until = seen.double_until.max(Some(until));
    }

    /// Appends some of the remembered envelopes again.
    pub(super) async fn resend(&self, pick: usize) {
        let again: Vec<_> = {
            let mut seen = self.state.seen.lock();
            seen.forget_old();
            let every = 1 + seen.newest.len() / (1 + pick);
            seen.newest.iter().step_by(every).map(|(_, bytes)| bytes.clone()).collect()
        };
        for bytes in again {
            self.state.append(&bytes).await;
        }
    }

    /// Doubles no more.
    pub(super) fn clear(&self) {
        self.state.seen.lock().double_until = None;
    }

    /// How many envelopes were sent again.
    pub(super) fn again(&self) -> u64 {
        self.state.seen.lock().again
    }
}

impl EnvelopeState {
    async fn append(&self, bytes: &[u8]) {
        // A failure is one double less.
        if let Ok(Ok(())) = timeout(APPEND, self.log.append(bytes)).await {
            self.seen.lock().again += 1;
        }
    }
}

impl SeenEnvelopes {
    fn forget_old(&mut self) {
        while self.newest.front().is_some_and(|(at, _)| at.elapsed() > REMEMBERED)
            || self.newest.len() > MOST
        {
            self.newest.pop_front();
        }
    }

    /// Remembers an envelope. Returns whether it has to be doubled.
    fn remember(&mut self, bytes: &[u8]) -> bool {
        let mut hasher = DefaultHasher::new();
        bytes.hash(&mut hasher);
        if !self.digests.insert(hasher.finish()) {
            return false;
        }
        self.forget_old();
        self.newest.push_back((Instant::now(), bytes.to_vec()));
        self.double_until.is_some_and(|until| Instant::now() < until)
    }
}

async fn follow(log: Arc<dyn CommandLog>, state: Arc<EnvelopeState>) {
    let mut cursor = LogCursor::From(0);
    loop {
        match log.tail(cursor, PIECE, WAIT).await {
            Ok(records) => {
                for record in records {
                    cursor = LogCursor::After(record.position);
                    let doubles = state.seen.lock().remember(&record.bytes);
                    if doubles {
                        state.append(&record.bytes).await;
                    }
                }
            }
            Err(LogError::Trimmed { start }) => cursor = LogCursor::From(start),
            Err(LogError::Unavailable(_)) => sleep(PAUSE).await,
            Err(error) => {
                println!("the log of the queue: {error}");
                return;
            }
        }
    }
}

impl fmt::Debug for EnvelopeFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnvelopeFaults").finish_non_exhaustive()
    }
}

impl Drop for EnvelopeFaults {
    fn drop(&mut self) {
        self.task.abort();
    }
}
