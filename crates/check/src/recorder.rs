//! Records every call of a crowd: in the checker, in counts, and in a history file.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bookingq_core::ClientId;
use bookingq_crowd::Recorder;
use bookingq_crowd::call::{CallAnswer, CallKind, RecordedCall};
use parking_lot::Mutex;
use serde::Serialize;
use serde_json::json;
use tokio::time::Instant;

use crate::answers::Answers;
use crate::watched::WatchedView;

/// What a status, or an update of a WebSocket, promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadPromise {
    /// It is what the store has, and stays true.
    Kept,
    /// Until every fault has ended, it may be what a failover takes back: reads do not wait for
    /// replicas. It is recorded as a call of unknown outcome.
    NoneUntilHealed,
}

/// Records the calls of one run.
#[derive(Debug)]
pub struct CallRecorder {
    start: Instant,
    reads: ReadPromise,
    recording: Mutex<Recording>,
}

#[derive(Debug)]
struct Recording {
    file: Option<BufWriter<File>>,
    /// The first failed write: the history after it is missing.
    broken: Option<io::Error>,
    answers: Answers,
    counts: CallCounts,
    /// When a call began whose outcome is unknown, until it was repeated and answered.
    unknown: HashMap<(ClientId, CallKind), u64>,
}

/// Counts of calls.
#[derive(Debug, Clone, Default, Serialize)]
pub struct CallCounts {
    /// Answered.
    pub ok: u64,
    /// Refused, by reason.
    pub refused: BTreeMap<String, u64>,
    /// With an unknown outcome.
    pub unknown: u64,
    /// Longest time until an answer, in milliseconds.
    pub slowest_ms: u64,
    /// Longest time until a call of unknown outcome was repeated and answered, in milliseconds. A
    /// call that its client does not repeat does not count.
    pub longest_unknown_ms: u64,
}

impl CallRecorder {
    /// Starts the clock of a run. `clock_margin_ms` is the largest difference between the clients'
    /// clock and the store's.
    pub fn start(clock_margin_ms: u64) -> Arc<Self> {
        Arc::new(Self::with(None, epoch_ms(), clock_margin_ms))
    }

    /// The same, with a history file. Its first line has the time at which the run's clock was 0,
    /// and the margin.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn start_with_history(
        file: &Path,
        seed: u64,
        clock_margin_ms: u64,
        reads: ReadPromise,
    ) -> io::Result<Arc<Self>> {
        let mut file = BufWriter::new(File::create(file)?);
        let epoch_ms = epoch_ms();
        let head = json!({
            "seed": seed, "epoch_ms": epoch_ms, "clock_margin_ms": clock_margin_ms,
        });
        writeln!(file, "{head}")?;
        Ok(Arc::new(Self { reads, ..Self::with(Some(file), epoch_ms, clock_margin_ms) }))
    }

    fn with(file: Option<BufWriter<File>>, epoch_ms: u64, clock_margin_ms: u64) -> Self {
        let answers = Answers::new(epoch_ms, clock_margin_ms);
        let (counts, unknown) = (CallCounts::default(), HashMap::new());
        let recording = Mutex::new(Recording { file, broken: None, answers, counts, unknown });
        Self { start: Instant::now(), reads: ReadPromise::Kept, recording }
    }

    /// Calls so far.
    pub fn counts(&self) -> CallCounts {
        self.recording.lock().counts.clone()
    }

    /// Every fault has ended, and clients watch on until the queue is at rest: what they were shown
    /// last is compared with the store.
    pub fn healed(&self) {
        let now = self.start.elapsed().as_micros() as u64;
        self.recording.lock().answers.healed(now);
    }

    /// Completes the history file, and hands over the answers; later calls are not recorded.
    ///
    /// # Errors
    /// When a line of the history could not be written.
    pub fn finish(&self) -> io::Result<Answers> {
        let mut recording = self.recording.lock();
        if let Some(error) = recording.broken.take() {
            return Err(error);
        }
        if let Some(mut file) = recording.file.take() {
            file.flush()?;
        }
        Ok(std::mem::replace(&mut recording.answers, Answers::new(0, 0)))
    }
}

impl Recorder for CallRecorder {
    fn record(&self, client: &ClientId, kind: &CallKind, start: Instant, answer: CallAnswer) {
        let start = start.saturating_duration_since(self.start).as_micros() as u64;
        let mut recording = self.recording.lock();
        // Read under the lock, so that calls are recorded in the order of their ends.
        let end = self.start.elapsed().as_micros() as u64;
        let (client, kind) = (client.clone(), kind.clone());
        let mut call = RecordedCall { client, kind, start, end, answer };
        recording.counts.add(&call);
        recording.time_unknown(&call);
        let promises = match self.reads {
            ReadPromise::Kept => true,
            ReadPromise::NoneUntilHealed => recording.answers.healed.is_some_and(|at| at <= start),
        };
        if !promises && matches!(call.kind, CallKind::Status | CallKind::Watch) {
            recording.answers.observe_hint(&call);
            call.answer = unpromised(&call.answer);
        }
        recording.answers.observe(&call);
        let Some(file) = &mut recording.file else { return };
        let written = serde_json::to_string(&call)
            .map_err(io::Error::other)
            .and_then(|line| writeln!(file, "{line}"));
        if let Err(error) = written {
            recording.broken.get_or_insert(error);
        }
    }
}

impl Recording {
    /// Measures how long the outcome of a call stays unknown.
    fn time_unknown(&mut self, call: &RecordedCall) {
        // An update of a watch is no answer to a call.
        if call.kind == CallKind::Watch {
            return;
        }
        let key = (call.client.clone(), call.kind.clone());
        if let CallAnswer::Unknown { .. } = call.answer {
            self.unknown.entry(key).or_insert(call.start);
        } else if let Some(since) = self.unknown.remove(&key) {
            let longest = &mut self.counts.longest_unknown_ms;
            *longest = (*longest).max((call.end - since) / 1000);
        }
    }
}

impl CallCounts {
    fn add(&mut self, call: &RecordedCall) {
        // An update of a watch is no answer to a call.
        if call.kind == CallKind::Watch {
            return;
        }
        self.slowest_ms = self.slowest_ms.max((call.end - call.start) / 1000);
        match &call.answer {
            CallAnswer::Ok(_) => self.ok += 1,
            CallAnswer::Refused { reason } => {
                *self.refused.entry(reason.clone()).or_default() += 1;
            }
            CallAnswer::Unknown { .. } => self.unknown += 1,
        }
    }
}

impl Answers {
    /// Takes a read that a failover may take back: only what a watch showed last counts.
    fn observe_hint(&mut self, call: &RecordedCall) {
        if let (CallKind::Watch, CallAnswer::Ok(shown)) = (&call.kind, &call.answer)
            && let Some(known) = self.bookings.get_mut(&shown.booking)
        {
            WatchedView::hint(&mut known.watched, call, shown);
        }
    }
}

/// A read whose answer a failover may take back.
fn unpromised(answer: &CallAnswer) -> CallAnswer {
    let shown = match answer {
        CallAnswer::Ok(shown) => format!("{} as {}", shown.booking, shown.state),
        CallAnswer::Refused { reason } => reason.clone(),
        CallAnswer::Unknown { error } => error.clone(),
    };
    CallAnswer::Unknown { error: format!("not replicated: {shown}") }
}

fn epoch_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_millis() as u64
}
