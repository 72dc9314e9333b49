//! Histories that are read from a file.

use bookingq_check::Violation;
use bookingq_check::saved::read;
use serde_json::json;

const HEAD: &str = r#"{"seed":1,"epoch_ms":0}"#;

fn call(booking: u8, start: u64, existing: bool) -> String {
    json!({
        "client": "c", "op": "enqueue", "request": "r", "start": start, "end": start + 5,
        "outcome": "ok", "booking": format!("00000000-0000-4000-8000-0000000000{booking:02}"),
        "made_by": "r", "queue_number": booking, "state": "queued", "existing": existing,
    })
    .to_string()
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
