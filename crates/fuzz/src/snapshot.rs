//! A chunk of a snapshot of a queue.

use bookingq_queue::Queue;

/// Reads a text of any origin as a whole state in one chunk.
///
/// # Panics
/// When a state that was read is not written as it was read, or the error is too long for a log.
pub fn snapshot(data: &[u8]) -> bool {
    match Queue::decode([data]) {
        Ok(queue) => {
            let chunks: Vec<Vec<u8>> = queue.encode(1000).collect();
            let again = Queue::decode(&chunks).expect("a state that was written can be read");
            assert_eq!(again.digest(), queue.digest());
            assert_eq!(again.snapshot(again.last()), queue.snapshot(queue.last()));
            true
        }
        Err(error) => {
            let error = error.to_string();
            assert!(error.len() < 1000, "{} bytes of error", error.len());
            false
        }
    }
}
