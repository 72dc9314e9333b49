//! Reads a kept history, line by line.

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
        /// What it should be.
        wanted: &'static str,
        /// Where and why.
        cause: serde_json::Error,
    },
}

#[derive(Deserialize)]
struct Head {
    epoch_ms: u64,
}

/// The history of a fault run is written by the computer of its Redis.
const CLOCK_MARGIN_MS: u64 = 1;

/// Reads a whole history: the answers of its calls, and how many calls there are.
///
/// # Errors
/// [`SavedError`], with the line. A history without any line is one whose first line is missing.
pub fn read(history: impl BufRead) -> Result<(Answers, usize), SavedError> {
    let mut lines = history.lines();
    let head = lines.next().transpose()?.unwrap_or_default();
    let head: Head = serde_json::from_str(&head).map_err(|cause| {
        let wanted = "a first line with \"seed\" and \"epoch_ms\"";
        SavedError::Line { line: 1, wanted, cause }
    })?;
    let mut answers = Answers::new(head.epoch_ms, CLOCK_MARGIN_MS);
    let mut calls = 0;
    for line in lines {
        calls += 1;
        let call: RecordedCall = serde_json::from_str(&line?)
            .map_err(|cause| SavedError::Line { line: calls + 1, wanted: "a call", cause })?;
        answers.observe(&call);
    }
    Ok((answers, calls))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::Violation;

    const HEAD: &str = r#"{"seed":1,"epoch_ms":0}"#;

    fn call(booking: u8, start: u64, existing: bool) -> String {
        format!(
            r#"{{"client":"c","op":"enqueue","request":"r","start":{start},"end":{},"outcome":"ok","booking":"00000000-0000-4000-8000-0000000000{booking:02}","made_by":"r","queue_number":{booking},"state":"queued","existing":{existing}}}"#,
            start + 5
        )
    }

    #[test]
    fn one_request_that_became_two_bookings_is_found_in_a_saved_history() {
        let text = [HEAD.to_owned(), call(1, 0, false), call(1, 10, true)].join("\n");
        let (answers, calls) = read(text.as_bytes()).unwrap();
        assert_eq!((calls, answers.violations().is_clean()), (2, true));
        let text = [HEAD.to_owned(), call(1, 0, false), call(2, 10, false)].join("\n");
        let violations = read(text.as_bytes()).unwrap().0.violations();
        assert_eq!((violations.count(Violation::Duplicated), violations.total()), (1, 1));
    }

    #[test]
    fn a_line_that_cannot_be_read_is_named() {
        for (text, problem) in [
            (String::new(), "line 1 is not a first line"),
            (format!("{HEAD}\n{{"), "line 2 is not a call"),
        ] {
            let error = read(text.as_bytes()).unwrap_err().to_string();
            assert!(error.starts_with(problem), "{error}");
        }
    }
}
