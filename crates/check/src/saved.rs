//! Reads a saved history, line by line.

use std::io::BufRead;

use bookingq_crowd::call::RecordedCall;
use serde::Deserialize;

use crate::Answers;

/// Why a history cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SavedError {
    /// The file itself.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// A malformed line.
    #[error("line {line} is not {wanted}: {cause}")]
    Line {
        /// From 1.
        line: usize,
        /// The expected content.
        wanted: &'static str,
        /// The cause.
        cause: serde_json::Error,
    },
}

#[derive(Deserialize)]
struct Head {
    epoch_ms: u64,
    /// How far the store's clock may be from that of the clients.
    #[serde(default = "one_millisecond")]
    clock_margin_ms: u64,
}

/// What histories say that name none: a fault run writes its history on the computer of its Redis.
fn one_millisecond() -> u64 {
    1
}

/// Reads a whole history; returns its answers and the number of calls.
///
/// # Errors
/// [`SavedError`] with the line.
pub fn read(history: impl BufRead) -> Result<(Answers, usize), SavedError> {
    let mut lines = history.lines();
    let head = lines.next().transpose()?.unwrap_or_default();
    let head: Head = serde_json::from_str(&head).map_err(|cause| {
        let wanted = "a first line with \"seed\" and \"epoch_ms\"";
        SavedError::Line { line: 1, wanted, cause }
    })?;
    let mut answers = Answers::new(head.epoch_ms, head.clock_margin_ms);
    let mut calls = 0;
    for line in lines {
        calls += 1;
        let call: RecordedCall = serde_json::from_str(&line?)
            .map_err(|cause| SavedError::Line { line: calls + 1, wanted: "a call", cause })?;
        answers.observe(&call);
    }
    Ok((answers, calls))
}
