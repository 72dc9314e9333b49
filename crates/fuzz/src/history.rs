//! A history that was kept.

use bookingq_faults::check::saved;

/// A history that was kept.
///
/// # Panics
/// When what is wrong is not told with its line.
pub fn history(data: &[u8]) -> bool {
    match saved::read(data) {
        Ok((promises, _)) => {
            assert_eq!(promises.findings().rulings().len(), 8);
            true
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            false
        }
    }
}
