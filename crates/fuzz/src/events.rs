//! The events of an outbox entry in Redis.

use bookingq_store::{StoreError, read_events};

/// Parses a text of any origin as events.
///
/// # Panics
/// When the error is another one than `Unexpected`, or too long for a log.
pub fn events(data: &[u8]) -> bool {
    match read_events(data) {
        Ok(events) => {
            assert!(!events.is_empty());
            true
        }
        Err(StoreError::Unexpected(message)) => {
            assert!(message.len() < 1000, "{} bytes of error", message.len());
            false
        }
        Err(other) => panic!("not an outage: {other}"),
    }
}
