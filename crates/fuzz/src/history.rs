//! A recorded history.

use bookingq_check::saved;

/// Reads and verifies a history.
///
/// # Panics
/// When an error has no message.
pub fn history(data: &[u8]) -> bool {
    match saved::read(data) {
        Ok((answers, _)) => {
            assert_eq!(answers.violations().invariants().len(), 10);
            true
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            false
        }
    }
}
