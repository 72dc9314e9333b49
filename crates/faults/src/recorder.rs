//! Where every call ends up: in the history file, in the checker, and counted.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;

use anyhow::{Context as _, Result};
use bookingq_core::{ClientId, Timestamp};
use parking_lot::Mutex;
use serde::Serialize;
use serde_json::json;
use tokio::time::Instant;

use bookingq_faults::check::Promises;
use bookingq_faults::record::{Call, Operation, Outcome};

/// Records calls.
pub struct Recorder {
    start: Instant,
    inner: Mutex<Inner>,
}

struct Inner {
    file: BufWriter<File>,
    /// The first write that failed; the rest of the history would be missing too.
    broken: Option<std::io::Error>,
    promises: Promises,
    counts: Counts,
}

/// Calls in numbers.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Counts {
    /// Answered.
    pub ok: u64,
    /// Refused, by reason.
    pub refused: BTreeMap<String, u64>,
    /// Whose outcome nobody knows.
    pub unknown: u64,
    /// Longest time until an answer, in milliseconds.
    pub slowest_ms: u64,
}

impl Recorder {
    /// Starts the clock of the run, and its history at `file`. Its first line says when 0 was.
    pub fn start(file: &Path, seed: u64) -> Result<Self> {
        let told = || format!("cannot write {}", file.display());
        let mut file = BufWriter::new(File::create(file).with_context(told)?);
        let epoch_ms = now().0;
        writeln!(file, "{}", json!({ "seed": seed, "epoch_ms": epoch_ms })).with_context(told)?;
        let (promises, counts) = (Promises::new(epoch_ms), Counts::default());
        Ok(Self {
            start: Instant::now(),
            inner: Mutex::new(Inner { file, broken: None, promises, counts }),
        })
    }

    /// µs since the start.
    pub fn now(&self) -> u64 {
        self.start.elapsed().as_micros() as u64
    }

    /// The time of day by the clock of the run.
    pub fn today(&self) -> u64 {
        self.inner.lock().promises.epoch_ms() + self.now() / 1000
    }

    /// A call that was sent at `start` has just ended.
    pub fn record(&self, client: &ClientId, operation: &Operation, start: u64, outcome: Outcome) {
        let mut inner = self.inner.lock();
        // Read under the lock, so that calls are recorded in the order of their ends.
        let call = Call {
            client: client.clone(),
            operation: operation.clone(),
            start,
            end: self.now(),
            outcome,
        };
        inner.counts.slowest_ms = inner.counts.slowest_ms.max((call.end - start) / 1000);
        match &call.outcome {
            Outcome::Ok(_) => inner.counts.ok += 1,
            Outcome::Refused { reason } => {
                *inner.counts.refused.entry(reason.clone()).or_default() += 1
            }
            Outcome::Unknown { .. } => inner.counts.unknown += 1,
        }
        inner.promises.observe(&call);
        let written = serde_json::to_string(&call)
            .map_err(std::io::Error::other)
            .and_then(|line| writeln!(inner.file, "{line}"));
        if let Err(error) = written {
            inner.broken.get_or_insert(error);
        }
    }

    /// Calls so far.
    pub fn counts(&self) -> Counts {
        self.inner.lock().counts.clone()
    }

    /// The end of the history.
    pub fn finish(self) -> Result<Promises> {
        let Inner { mut file, broken, promises, .. } = self.inner.into_inner();
        broken
            .map_or(Ok(()), Err)
            .and_then(|()| file.flush())
            .context("the history cannot be written")?;
        Ok(promises)
    }
}

fn now() -> Timestamp {
    let since =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Timestamp(since.as_millis() as u64)
}
