//! Log lines as JSON.

#![allow(clippy::unwrap_used)]

use std::io;
use std::sync::{Arc, Mutex};

use bookingq_serve::telemetry::json::JsonLines;
use serde_json::Value;
use tracing_subscriber::layer::SubscriberExt as _;

#[derive(Clone, Default)]
struct Memory(Arc<Mutex<Vec<u8>>>);

impl io::Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_line_carries_the_fields_of_all_spans_around_it() {
    let memory = Memory::default();
    let writer = memory.clone();
    let subscriber = tracing_subscriber::registry().with(JsonLines::new(move || writer.clone()));
    tracing::subscriber::with_default(subscriber, || {
        let queue =
            tracing::info_span!("queue", queue = "concert", booking_id = tracing::field::Empty);
        let _queue = queue.enter();
        queue.record("booking_id", "b1");
        let _task = tracing::info_span!("task", client_id = %"ann").entered();
        tracing::info!(attempts = 3, "reserved");
    });
    let written = memory.0.lock().unwrap().clone();
    let line: Value = serde_json::from_slice(&written).unwrap();
    for (field, value) in [
        ("queue", "concert"),
        ("booking_id", "b1"),
        ("client_id", "ann"),
        ("message", "reserved"),
        ("level", "INFO"),
    ] {
        assert_eq!(line[field], value, "{line}");
    }
    assert_eq!(line["attempts"], 3);
    assert!(line["timestamp"].as_str().unwrap().ends_with('Z'));
}
