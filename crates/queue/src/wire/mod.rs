//! Commands and the whole state of a queue as bytes, and the digest of a state.
//!
//! ```text
//!   command   QueueCommand  <-> bytes       state   Queue <-> chunks of bytes, digest
//!     |- request, task, rules                 '- record, item, head, sum (of their hashes)
//!     '------------- ids (what all of them use) -------------'
//!
//!   reading   Snapshot <-> bytes: what a process sees that applies no commands
//! ```
//!
//! The format is Protocol Buffers, with messages that only this crate knows. A field keeps its
//! number for ever. Bytes that hold anything that this release does not know are refused as a
//! whole, since a replica that skips a part of a command has another state than one that does not.

mod command;
mod head;
mod ids;
mod item;
mod reading;
mod record;
mod request;
mod rules;
mod state;
mod sum;
mod task;

use std::fmt;

use bookingq_core::Invalid;
use prost::Message;
use xxhash_rust::xxh3::xxh3_128;

pub use self::state::StateReader;
pub(crate) use self::sum::{RecordSum, item_hash};

/// Bytes that this release does not understand.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct Unreadable {
    /// Which part, and why.
    what: String,
}

impl Unreadable {
    /// What is wrong, in words.
    pub fn new(what: impl Into<String>) -> Self {
        Self { what: what.into() }
    }

    /// A message without a field that it must have.
    pub fn missing(field: &str) -> Self {
        Self::new(format!("{field} is missing"))
    }

    /// A word or a number that is none of those known.
    pub(crate) fn unknown(field: &str, value: &dyn fmt::Debug) -> Self {
        const SHOWN: usize = 64;
        let mut shown = format!("{value:?}");
        if shown.len() > SHOWN {
            shown.truncate(shown.floor_char_boundary(SHOWN));
            shown.push('…');
        }
        Self::new(format!("{field} is {shown}, which this release does not know"))
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

impl StateDigest {
    /// The digest of this state and of something beside it.
    #[must_use]
    pub fn with(self, beside: &[u8]) -> Self {
        Self(xxh3_128(&[&self.0.to_le_bytes()[..], beside].concat()))
    }
}

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
