//! A kept history.

use bookingq_check::saved;

/// A kept history is read, or its first wrong line is named.
///
/// # Panics
/// When the error names nothing.
pub fn history(data: &[u8]) -> bool {
    match saved::read(data) {
        Ok((answers, _)) => {
            assert_eq!(answers.violations().invariants().len(), 8);
            true
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            false
        }
    }
}
