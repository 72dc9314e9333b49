//! Commands and the whole state of a queue as bytes, and the digest of a state.
//!
//! ```text
//!   command   QueueCommand  <-> bytes       state   Queue <-> chunks of bytes, digest
//!     |- request, task, rules                 '- record, item, head
//!     '------------- ids (what all of them use) -------------'
//! ```
//!
//! The format is Protocol Buffers, with messages that only this crate knows. A field keeps its
//! number for ever. Bytes that hold anything that this release does not know are refused as a
//! whole, since a replica that skips a part of a command has another state than one that does not.

mod command;
mod head;
mod ids;
mod item;
mod record;
mod request;
mod rules;
mod state;
mod task;

use std::fmt;

use bookingq_core::Invalid;
use prost::Message;

/// Bytes that this release does not understand.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct Unreadable {
    /// Which part, and why.
    what: String,
}

impl Unreadable {
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self { what: what.into() }
    }

    /// A message without a field that it must have.
    pub(crate) fn missing(field: &str) -> Self {
        Self::new(format!("{field} is missing"))
    }

    /// A word or a number that is none of those known.
    pub(crate) fn unknown(field: &str, value: &dyn fmt::Debug) -> Self {
        Self::new(format!("{field} is {value:?}, which this release does not know"))
    }
}

impl From<Invalid> for Unreadable {
    fn from(invalid: Invalid) -> Self {
        Self::new(invalid.to_string())
    }
}

impl From<prost::DecodeError> for Unreadable {
    fn from(error: prost::DecodeError) -> Self {
        Self::new(error.to_string())
    }
}

/// The hash of a whole state. Equal states have equal digests in every process and on every
/// machine; it protects against defects, not against attackers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct StateDigest(pub u128);

impl fmt::Display for StateDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// Decodes a message that holds nothing but fields that this release knows.
///
/// # Errors
/// [`Unreadable`] if the bytes are no such message.
pub fn decode_strictly<M: Message + Default>(bytes: &[u8]) -> Result<M, Unreadable> {
    let message = M::decode(bytes)?;
    // Decoding skips unknown fields, and encoding does not bring them back.
    if message.encoded_len() != bytes.len() {
        return Err(Unreadable::new("it holds fields that this release does not know"));
    }
    Ok(message)
}
