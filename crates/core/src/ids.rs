//! Typed ids: past the edge of the system there are no bare strings and integers.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::limits::{MAX_ID_BYTES, MAX_QUEUE_BYTES};

/// A value that was refused, told so that a person can mend it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} is {value}; allowed: {allowed}")]
pub struct Invalid {
    /// The field's name as the caller knows it.
    pub field: &'static str,
    /// What came, shortened and escaped; never the whole of a large input.
    pub value: String,
    /// What would have been right.
    pub allowed: &'static str,
}

impl Invalid {
    /// Refuses `value` of `field`. Only the first 32 characters of it are kept, escaped.
    pub fn new(field: &'static str, value: &str, allowed: &'static str) -> Self {
        const SHOWN: usize = 32;
        let mut shown: String = value.chars().take(SHOWN).flat_map(char::escape_debug).collect();
        if value.len() > shown.len() && value.chars().nth(SHOWN).is_some() {
            shown = format!("\"{shown}…\" ({} bytes)", value.len());
        } else {
            shown = format!("\"{shown}\"");
        }
        Self { field, value: shown, allowed }
    }
}

/// The rule every free-form id obeys.
pub const ID_RULE: &str = "1 to 128 bytes of UTF-8 without control characters";

fn check_id(field: &'static str, value: &str) -> Result<Arc<str>, Invalid> {
    if value.is_empty() || value.len() > MAX_ID_BYTES || value.chars().any(char::is_control) {
        return Err(Invalid::new(field, value, ID_RULE));
    }
    Ok(Arc::from(value))
}

macro_rules! string_id {
    ($(#[$doc:meta])* $name:ident, $field:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// Parses it.
            ///
            /// # Errors
            /// [`Invalid`] unless it is 1 to 128 bytes of UTF-8 without control characters.
            pub fn new(value: &str) -> Result<Self, Invalid> {
                check_id($field, value).map(Self)
            }

            /// As it was given.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), &self.0)
            }
        }

        impl FromStr for $name {
            type Err = Invalid;
            fn from_str(value: &str) -> Result<Self, Invalid> {
                Self::new(value)
            }
        }

        impl TryFrom<String> for $name {
            type Error = Invalid;
            fn try_from(value: String) -> Result<Self, Invalid> {
                Self::new(&value)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0.as_ref().to_owned()
            }
        }
    };
}

string_id!(
    /// Who waits. One active booking for each client and queue.
    ClientId,
    "client_id"
);
string_id!(
    /// Names one request to enqueue, so that it can be repeated safely.
    RequestId,
    "request_id"
);
string_id!(
    /// Names one payment, so that it can be repeated safely and a second one is noticed.
    PaymentId,
    "payment_id"
);
string_id!(
    /// The Booking Service's name for a reservation.
    ReservationId,
    "reservation_id"
);

/// A queue's name, as in `metadata.name` of its `BookingQueue` (optionally `namespace.name`, where
/// queues share a Redis).
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct QueueName(Arc<str>);

impl QueueName {
    /// Parses it.
    ///
    /// # Errors
    /// [`Invalid`] unless it is 1 to 127 lower-case letters, digits, `-` and `.`, starting and
    /// ending with a letter or digit. Braces are thereby impossible, which keeps the hash tag
    /// of the Redis keys whole.
    pub fn new(value: &str) -> Result<Self, Invalid> {
        let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let bytes = value.as_bytes();
        let ends = |b: Option<&u8>| b.is_some_and(|b| inner(*b));
        let ok = bytes.len() <= MAX_QUEUE_BYTES
            && ends(bytes.first())
            && ends(bytes.last())
            && bytes.iter().all(|&b| inner(b) || b == b'-' || b == b'.');
        if !ok {
            return Err(Invalid::new(
                "queue",
                value,
                "1 to 127 lower-case letters, digits, '-' and '.', starting and ending with a letter or digit",
            ));
        }
        Ok(Self(Arc::from(value)))
    }

    /// As it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for QueueName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for QueueName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "QueueName({})", &self.0)
    }
}

impl FromStr for QueueName {
    type Err = Invalid;
    fn from_str(value: &str) -> Result<Self, Invalid> {
        Self::new(value)
    }
}

impl TryFrom<String> for QueueName {
    type Error = Invalid;
    fn try_from(value: String) -> Result<Self, Invalid> {
        Self::new(&value)
    }
}

impl From<QueueName> for String {
    fn from(name: QueueName) -> String {
        name.0.as_ref().to_owned()
    }
}

/// Unique for ever, even if the store loses everything: what the Booking Service deduplicates by. A
/// UUID, version 7.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BookingId(uuid::Uuid);

impl BookingId {
    /// A new one. Made by whoever asks, never by the store: a store that lost its counters must not
    /// repeat an id.
    pub fn generate() -> Self {
        Self(uuid::Uuid::now_v7())
    }

    /// For tests and models that need reproducible ids.
    pub fn from_u128(value: u128) -> Self {
        Self(uuid::Uuid::from_u128(value))
    }

    /// Parses the hyphenated form.
    ///
    /// # Errors
    /// [`Invalid`] if it is not a UUID.
    pub fn new(value: &str) -> Result<Self, Invalid> {
        uuid::Uuid::try_parse(value)
            .map(Self)
            .map_err(|_| Invalid::new("booking_id", value, "a UUID"))
    }
}

impl fmt::Display for BookingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_hyphenated().fmt(f)
    }
}

impl FromStr for BookingId {
    type Err = Invalid;
    fn from_str(value: &str) -> Result<Self, Invalid> {
        Self::new(value)
    }
}

/// The number that makes a late worker harmless: each claim gets a higher one, and only the highest
/// may settle.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, Default,
)]
#[serde(transparent)]
pub struct Fence(pub u64);

impl fmt::Display for Fence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_refused_when_empty_long_or_with_control_characters() {
        for bad in ["", "a\nb", "\u{0}", "\u{7f}", "\u{85}", &"x".repeat(129)] {
            let error = ClientId::new(bad).unwrap_err();
            assert_eq!(error.field, "client_id");
            assert_eq!(error.allowed, ID_RULE);
        }
        for good in ["a", "klient 7", "客户", &"x".repeat(128)] {
            assert_eq!(ClientId::new(good).unwrap().as_str(), good);
        }
    }

    #[test]
    fn a_refusal_never_repeats_a_large_input() {
        let error = ClientId::new(&"x".repeat(1 << 20)).unwrap_err();
        assert!(error.to_string().len() < 200, "{error}");
        assert!(error.to_string().contains("1048576 bytes"), "{error}");
    }

    #[test]
    fn a_queue_name_cannot_break_out_of_the_hash_tag() {
        for bad in ["", "{a}", "a}b", "-a", "a-", "A", "a b", "a:b", &"a".repeat(128)] {
            assert_eq!(QueueName::new(bad).unwrap_err().field, "queue", "{bad}");
        }
        for good in ["a", "concert", "shop.concert-2026"] {
            assert!(QueueName::new(good).is_ok(), "{good}");
        }
    }
}
