//! A log in memory that does what logs do on bad days.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
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

use crate::crash::Crash;

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
    /// One of its bytes is another one.
    pub damaged: u32,
    /// Others append before it.
    pub overtaken: u32,
    /// The clock of the server that stamps it is up to 100 ms before or after.
    pub clock_jumps: u32,
}

const FIRST_TERM: u64 = 100;

/// One client's view of a log.
pub struct FakeLog {
    inner: Arc<Mutex<Inner>>,
    grown: Arc<Notify>,
    /// Readers of this view get nothing.
    is_frozen: AtomicBool,
    /// What this view says of the log, at a leader that was cut off then.
    cut_off: Mutex<Option<LogBounds>>,
    /// Readers of this view panic.
    panics: AtomicBool,
}

struct Inner {
    faults: Faults,
    rng: StdRng,
    now: Timestamp,
    /// Goes down: nothing may depend on the order of terms.
    term: u64,
    /// How many logs had the name before this one.
    replaced: u64,
    /// The offset of the first record that is kept.
    start: u64,
    records: VecDeque<LogRecord>,
    /// Those that were trimmed.
    trimmed: Vec<LogRecord>,
    delayed: Vec<Vec<u8>>,
    crash: Option<Arc<Crash>>,
}

impl Inner {
    fn end(&self) -> u64 {
        self.start + self.records.len() as u64
    }

    fn bounds(&self) -> LogBounds {
        let id = format!("log {}", self.replaced);
        LogBounds { id, start: self.start, end: self.end() }
    }

    fn fails(&mut self, percent: u32) -> bool {
        self.rng.random_range(0..100) < percent
    }

    fn push(&mut self, bytes: &[u8]) {
        let mut stamp = self.now;
        if self.fails(self.faults.clock_jumps) {
            stamp = Timestamp(stamp.0 + self.rng.random_range(0..200) - 100);
        }
        let mut bytes = bytes.to_vec();
        if self.fails(self.faults.damaged) {
            let at = self.rng.random_range(0..bytes.len());
            bytes[at] ^= 1;
        }
        let position = LogPosition { offset: self.end(), term: self.term };
        self.records.push_back(LogRecord { position, stamp, bytes });
    }

    /// An append with all that goes wrong.
    fn append(&mut self, bytes: &[u8]) -> Result<(), LogError> {
        let lost = || Err(LogError::Unavailable("no answer".to_owned()));
        let faults = self.faults;
        if self.fails(faults.refused) {
            return lost();
        }
        if self.fails(faults.swallowed) {
            return Ok(());
        }
        if self.fails(faults.delayed) {
            self.delayed.push(bytes.to_vec());
            return lost();
        }
        self.push(bytes);
        if self.fails(faults.doubles) {
            self.push(bytes);
        }
        if !self.delayed.is_empty() && self.fails(30) {
            let late = self.delayed.remove(0);
            self.push(&late);
        }
        if self.fails(faults.unacknowledged) { lost() } else { Ok(()) }
    }
}

impl FakeLog {
    pub fn new(faults: Faults, seed: u64) -> Arc<Self> {
        let inner = Arc::new(Mutex::new(Inner {
            faults,
            rng: StdRng::seed_from_u64(seed),
            now: Timestamp(1_800_000_000_000),
            term: FIRST_TERM,
            replaced: 0,
            start: 0,
            records: VecDeque::new(),
            trimmed: Vec::new(),
            delayed: Vec::new(),
            crash: None,
        }));
        let (is_frozen, panics) = (AtomicBool::new(false), AtomicBool::new(false));
        let (grown, cut_off) = (Arc::default(), Mutex::default());
        Arc::new(Self { inner, grown, is_frozen, cut_off, panics })
    }

    /// The same log, for another process.
    pub fn view(&self) -> Arc<Self> {
        let (is_frozen, panics) = (AtomicBool::new(false), AtomicBool::new(false));
        let (inner, grown) = (Arc::clone(&self.inner), Arc::clone(&self.grown));
        Arc::new(Self { inner, grown, is_frozen, cut_off: Mutex::default(), panics })
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

    /// Lets readers of this view get nothing, or all of it again.
    pub fn set_frozen(&self, is_frozen: bool) {
        self.is_frozen.store(is_frozen, Ordering::SeqCst);
        self.grown.notify_waiters();
    }

    /// Leaves this view at a leader that was cut off and does not know it: it gets no record and
    /// takes none, and says of the log what was true before.
    pub fn cut_off(&self) {
        *self.cut_off.lock() = Some(self.inner.lock().bounds());
        self.set_frozen(true);
    }

    /// Makes the next read of this view panic.
    pub fn set_panics(&self) {
        self.panics.store(true, Ordering::SeqCst);
        self.grown.notify_waiters();
    }

    /// Ends who appends and trims as the crash says.
    pub fn set_crash(&self, crash: Option<Arc<Crash>>) {
        self.inner.lock().crash = crash;
    }

    /// Loses the newest records, as a server does that takes over without them.
    pub fn truncate(&self, lost: usize) {
        let mut inner = self.inner.lock();
        let kept = inner.records.len() - lost;
        inner.records.truncate(kept);
        inner.term -= 1;
        drop(inner);
        self.grown.notify_waiters();
    }

    /// Makes another, empty log of the same name.
    pub fn replace(&self) {
        let mut inner = self.inner.lock();
        inner.replaced += 1;
        (inner.start, inner.term) = (0, FIRST_TERM);
        inner.records.clear();
        inner.trimmed.clear();
        drop(inner);
        self.grown.notify_waiters();
    }

    /// The records that are kept.
    pub fn records(&self) -> Vec<LogRecord> {
        self.inner.lock().records.iter().cloned().collect()
    }

    /// All records that were ever in this log, also those that were trimmed.
    pub fn history(&self) -> Vec<LogRecord> {
        let inner = self.inner.lock();
        inner.trimmed.iter().chain(&inner.records).cloned().collect()
    }

    /// Appends a record as it was stamped in another log.
    pub fn copy(&self, record: &LogRecord) {
        let mut inner = self.inner.lock();
        let position = LogPosition { offset: inner.end(), term: inner.term };
        let LogRecord { stamp, bytes, .. } = record.clone();
        inner.records.push_back(LogRecord { position, stamp, bytes });
        inner.now = inner.now.max(stamp);
        drop(inner);
        self.grown.notify_waiters();
    }

    pub fn start(&self) -> u64 {
        self.inner.lock().start
    }

    /// Does a step, unless the caller crashes before, or after it.
    async fn step<T>(&self, step: impl FnOnce(&mut Inner) -> T) -> T {
        let crash = self.inner.lock().crash.clone();
        if let Some(crash) = &crash
            && crash.comes_before()
        {
            crash.happens().await;
        }
        let done = step(&mut self.inner.lock());
        self.grown.notify_waiters();
        if let Some(crash) = &crash
            && crash.comes_after()
        {
            crash.happens().await;
        }
        done
    }

    fn read(&self, from: LogCursor, max: usize) -> Result<Vec<LogRecord>, LogError> {
        assert!(!self.panics.load(Ordering::SeqCst), "this is a test");
        let inner = self.inner.lock();
        if self.is_frozen.load(Ordering::SeqCst) {
            return Ok(Vec::new());
        }
        let next = from.next();
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

#[async_trait]
impl CommandLog for FakeLog {
    async fn bounds(&self) -> Result<LogBounds, LogError> {
        Ok(self.cut_off.lock().clone().unwrap_or_else(|| self.inner.lock().bounds()))
    }

    async fn append(&self, bytes: &[u8]) -> Result<(), LogError> {
        if self.cut_off.lock().is_some() {
            return Err(LogError::Unavailable("too few replicas are in sync".to_owned()));
        }
        loop {
            let is_overtaken = {
                let mut inner = self.inner.lock();
                let percent = inner.faults.overtaken;
                inner.fails(percent)
            };
            if !is_overtaken {
                break;
            }
            tokio::task::yield_now().await;
        }
        self.step(|inner| inner.append(bytes)).await
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
        self.step(|inner| {
            while inner.start < below
                && let Some(oldest) = inner.records.pop_front()
            {
                inner.start += 1;
                inner.trimmed.push(oldest);
            }
        })
        .await;
        Ok(())
    }
}

/// The logs of a queue: this one for its commands, and one that does not fail for its snapshots.
pub fn with_snapshots(commands: &Arc<FakeLog>) -> LogPair<FakeLog> {
    let snapshots = FakeLog::new(Faults::default(), 0);
    LogPair { commands: Arc::clone(commands), snapshots }
}

/// The same logs, for another process.
pub fn views(logs: &LogPair<FakeLog>) -> LogPair<FakeLog> {
    LogPair { commands: logs.commands.view(), snapshots: logs.snapshots.view() }
}
