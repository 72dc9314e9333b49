//! The command line.

use bookingq_cli::Cli;
use clap::Parser as _;

/// A command line: words separated by line ends.
///
/// # Panics
/// When an error has no message.
pub fn arguments(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else { return false };
    let words = std::iter::once("bookingq").chain(text.lines());
    let refused = Cli::try_parse_from(words).err();
    if let Some(error) = &refused {
        assert!(!error.to_string().trim().is_empty(), "an error without a message: {text:?}");
    }
    refused.is_none()
}
