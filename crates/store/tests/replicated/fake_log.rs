//! A log in memory that does what logs do on bad days.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bookingq_core::Timestamp;
use bookingq_store::replicated::{
    CommandLog, LogBounds, LogCursor, LogError, LogPair, LogPosition, LogRecord,
};
use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use tokio::sync::Notify;

/// How often an append goes wrong, in percent.
#[derive(Debug, Clone, Copy, Default)]
pub struct Faults {
    /// It is in the log twice.
    pub doubles: u32,
    /// It is in the log, and the appender gets an error.
    pub unacknowledged: u32,
    /// It is not in the log, and the appender gets an error.
    pub refused: u32,
    /// It is not in the log, although the appender gets a success.
    pub swallowed: u32,
    /// It comes into the log after one of the later ones.
    pub delayed: u32,
    /// The clock of the server that stamps it is up to 100 ms before or after.
    pub clock_jumps: u32,
}

pub struct FakeLog {
    inner: Mutex<Inner>,
    grown: Notify,
}

struct Inner {
    faults: Faults,
    rng: StdRng,
    now: Timestamp,
    term: u64,
    /// The offset of the first record that is kept.
    start: u64,
    records: VecDeque<LogRecord>,
    delayed: Vec<Vec<u8>>,
    /// Readers get nothing.
    is_frozen: bool,
}

impl Inner {
    fn end(&self) -> u64 {
        self.start + self.records.len() as u64
    }

    fn fails(&mut self, percent: u32) -> bool {
        self.rng.random_range(0..100) < percent
    }

    fn push(&mut self, bytes: &[u8]) {
        let mut stamp = self.now;
        if self.fails(self.faults.clock_jumps) {
            stamp = Timestamp(stamp.0 + self.rng.random_range(0..200) - 100);
        }
        let position = LogPosition { offset: self.end(), term: self.term };
        self.records.push_back(LogRecord { position, stamp, bytes: bytes.to_vec() });
    }
}

impl FakeLog {
    pub fn new(faults: Faults, seed: u64) -> Arc<Self> {
        let inner = Inner {
            faults,
            rng: StdRng::seed_from_u64(seed),
            now: Timestamp(1_800_000_000_000),
            term: 1,
            start: 0,
            records: VecDeque::new(),
            delayed: Vec::new(),
            is_frozen: false,
        };
        Arc::new(Self { inner: Mutex::new(inner), grown: Notify::new() })
    }

    pub fn advance(&self, by: Duration) {
        let mut inner = self.inner.lock();
        inner.now = inner.now + by;
    }

    pub fn set_back(&self, by: Duration) {
        let mut inner = self.inner.lock();
        inner.now = Timestamp(inner.now.0 - by.as_millis() as u64);
    }

    pub fn set_faults(&self, faults: Faults) {
        self.inner.lock().faults = faults;
    }

    /// Lets readers get nothing, or all of it again.
    pub fn set_frozen(&self, is_frozen: bool) {
        self.inner.lock().is_frozen = is_frozen;
        self.grown.notify_waiters();
    }

    /// Loses the newest records, as a server does that takes over without them.
    pub fn truncate(&self, lost: usize) {
        let mut inner = self.inner.lock();
        let kept = inner.records.len() - lost;
        inner.records.truncate(kept);
        inner.term += 1;
        drop(inner);
        self.grown.notify_waiters();
    }

    pub fn records(&self) -> Vec<LogRecord> {
        self.inner.lock().records.iter().cloned().collect()
    }
}

#[async_trait]
impl CommandLog for FakeLog {
    async fn bounds(&self) -> Result<LogBounds, LogError> {
        let inner = self.inner.lock();
        Ok(LogBounds { id: "a log".to_owned(), start: inner.start, end: inner.end() })
    }

    async fn append(&self, bytes: &[u8]) -> Result<(), LogError> {
        let lost = || Err(LogError::Unavailable("no answer".to_owned()));
        let mut inner = self.inner.lock();
        let faults = inner.faults;
        if inner.fails(faults.refused) {
            return lost();
        }
        if inner.fails(faults.swallowed) {
            return Ok(());
        }
        if inner.fails(faults.delayed) {
            inner.delayed.push(bytes.to_vec());
            return lost();
        }
        inner.push(bytes);
        if inner.fails(faults.doubles) {
            inner.push(bytes);
        }
        if !inner.delayed.is_empty() && inner.fails(30) {
            let late = inner.delayed.remove(0);
            inner.push(&late);
        }
        let unacknowledged = inner.fails(faults.unacknowledged);
        drop(inner);
        self.grown.notify_waiters();
        if unacknowledged { lost() } else { Ok(()) }
    }

    async fn tail(
        &self,
        from: LogCursor,
        max: usize,
        wait: Duration,
    ) -> Result<Vec<LogRecord>, LogError> {
        let read = async {
            loop {
                let grown = self.grown.notified();
                let found = self.read(from, max)?;
                if !found.is_empty() {
                    return Ok(found);
                }
                grown.await;
            }
        };
        tokio::time::timeout(wait, read).await.unwrap_or(Ok(Vec::new()))
    }

    async fn trim(&self, below: u64) -> Result<(), LogError> {
        let mut inner = self.inner.lock();
        while inner.start < below && inner.records.pop_front().is_some() {
            inner.start += 1;
        }
        Ok(())
    }
}

impl FakeLog {
    fn read(&self, from: LogCursor, max: usize) -> Result<Vec<LogRecord>, LogError> {
        let inner = self.inner.lock();
        if inner.is_frozen {
            return Ok(Vec::new());
        }
        let next = match from {
            LogCursor::From(offset) => offset,
            LogCursor::After(read) => read.offset + 1,
        };
        if next < inner.start {
            return Err(LogError::Trimmed { start: inner.start });
        }
        let index = (next - inner.start) as usize;
        if let LogCursor::After(read) = from
            && read.offset >= inner.start
            && inner.records.get(index - 1).map(|record| record.position) != Some(read)
        {
            return Err(LogError::Truncated);
        }
        Ok(inner.records.iter().skip(index).take(max).cloned().collect())
    }
}

/// The logs of a queue: this one for its commands, and one that does not fail for its snapshots.
pub fn with_snapshots(commands: &Arc<FakeLog>) -> LogPair<FakeLog> {
    let snapshots = FakeLog::new(Faults::default(), 0);
    LogPair { commands: Arc::clone(commands), snapshots }
}
