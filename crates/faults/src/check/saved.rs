//! A history that was kept, read line by line.

use std::io::BufRead;

use serde::Deserialize;

use super::Promises;
use crate::record::Call;

/// Why a history cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SavedError {
    /// The file itself.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// A line is not what it must be.
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

/// Reads a whole history: what its calls promised, and how many there are.
///
/// # Errors
/// [`SavedError`], with the line. A history without any line is one whose first line is missing.
pub fn read(history: impl BufRead) -> Result<(Promises, usize), SavedError> {
    let mut lines = history.lines();
    let head = lines.next().transpose()?.unwrap_or_default();
    let head: Head = serde_json::from_str(&head).map_err(|cause| {
        let wanted = "a first line with \"seed\" and \"epoch_ms\"";
        SavedError::Line { line: 1, wanted, cause }
    })?;
    let mut promises = Promises::new(head.epoch_ms);
    let mut calls = 0;
    for line in lines {
        calls += 1;
        let call: Call = serde_json::from_str(&line?).map_err(|cause| SavedError::Line {
            line: calls + 1,
            wanted: "a call",
            cause,
        })?;
        promises.observe(&call);
    }
    Ok((promises, calls))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

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
        let (promises, calls) = read(text.as_bytes()).unwrap();
        assert_eq!((calls, promises.findings().is_clean()), (2, true));
        let text = [HEAD.to_owned(), call(1, 0, false), call(2, 10, false)].join("\n");
        assert_eq!(read(text.as_bytes()).unwrap().0.findings().numbers(), [1]);
    }

    #[test]
    fn a_line_that_cannot_be_read_is_named() {
        for (text, told) in [
            (String::new(), "line 1 is not a first line"),
            (format!("{HEAD}\n{{"), "line 2 is not a call"),
        ] {
            let error = read(text.as_bytes()).unwrap_err().to_string();
            assert!(error.starts_with(told), "{error}");
        }
    }
}
