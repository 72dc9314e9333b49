//! Base64url, hexadecimal digits, and values from outside in errors.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Base64url without padding.
pub(crate) fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Only the canonical text is accepted, so a token has one spelling.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// Lower-case hexadecimal digits.
pub(crate) fn encode_hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// A value from outside for an error: escaped and cut.
pub(crate) fn shown(value: &str) -> String {
    const SHOWN: usize = 32;
    let mut text = String::from("\"");
    text.extend(value.chars().take(SHOWN).flat_map(char::escape_debug));
    text.push_str(if value.chars().nth(SHOWN).is_some() { "…\"" } else { "\"" });
    text
}
