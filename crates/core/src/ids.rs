//! Typed ids: past the edge of the system there are no bare strings and integers.

use std::borrow::{Borrow, Cow};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::limits::{MAX_ID_BYTES, MAX_QUEUE_BYTES};

/// A refused value, with what a person needs to correct it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} is {value}; allowed: {allowed}")]
pub struct Invalid {
    /// The field's name as the caller knows it, with the index of an entry of a list:
    /// `client_ids[17]`.
    pub field: Cow<'static, str>,
    /// The value, escaped and cut.
    pub value: String,
    /// The allowed values.
    pub allowed: &'static str,
}

impl Invalid {
    /// Refuses `value` of `field`. Only the first 32 characters of it are kept, escaped.
    pub fn new(field: impl Into<Cow<'static, str>>, value: &str, allowed: &'static str) -> Self {
        const SHOWN: usize = 32;
        let mut shown: String = value.chars().take(SHOWN).flat_map(char::escape_debug).collect();
        if value.len() > shown.len() && value.chars().nth(SHOWN).is_some() {
            shown = format!("\"{shown}…\" ({} bytes)", value.len());
        } else {
            shown = format!("\"{shown}\"");
        }
        Self { field: field.into(), value: shown, allowed }
    }

    /// The value is the entry `index` of the list `field`.
    #[must_use]
    pub fn in_list(self, field: &str, index: usize) -> Self {
        Self { field: format!("{field}[{index}]").into(), ..self }
    }
}

/// The rule of every free-form id.
pub const ID_RULE: &str = "1 to 128 bytes of UTF-8 without control characters";

const QUEUE_RULE: &str = "1 to 127 lower-case letters, digits, '-' and '.', starting and ending \
                          with a letter or digit";

fn is_id(value: &str) -> bool {
    !value.is_empty() && value.len() <= MAX_ID_BYTES && !value.chars().any(char::is_control)
}

/// Braces are impossible, which keeps the hash tag of the Redis keys whole.
fn is_queue_name(value: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = value.as_bytes();
    bytes.len() <= MAX_QUEUE_BYTES
        && [bytes.first(), bytes.last()].iter().all(|end| end.is_some_and(|&b| inner(b)))
        && bytes.iter().all(|&b| inner(b) || b == b'-' || b == b'.')
}

macro_rules! string_id {
    ($(#[$doc:meta])* $name:ident, $field:literal, $is_valid:ident, $rule:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// Parses it.
            ///
            /// # Errors
            /// [`Invalid`], with the rule that the value breaks.
            pub fn new(value: &str) -> Result<Self, Invalid> {
                if !$is_valid(value) {
                    return Err(Invalid::new($field, value, $rule));
                }
                Ok(Self(Arc::from(value)))
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        /// A map with such keys is read with the text alone.
        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
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
    /// A client of a queue, with at most one active booking.
    ClientId,
    "client_id",
    is_id,
    ID_RULE
);
string_id!(
    /// A request to enqueue; its repeats return the same booking.
    RequestId,
    "request_id",
    is_id,
    ID_RULE
);
string_id!(
    /// A payment; its repeats succeed, and another payment of the booking is refused.
    PaymentId,
    "payment_id",
    is_id,
    ID_RULE
);
string_id!(
    /// The Booking Service's name for a reservation.
    ReservationId,
    "reservation_id",
    is_id,
    ID_RULE
);

string_id!(
    /// A queue's name: `metadata.name` of its `BookingQueue`, or `namespace.name` where queues of
    /// several namespaces share a Redis.
    QueueName,
    "queue",
    is_queue_name,
    QUEUE_RULE
);

/// The id of a booking, a UUID of version 7. The Booking Service deduplicates by it, so it never
/// repeats, even if the store loses all data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BookingId(uuid::Uuid);

impl BookingId {
    /// A new id. The caller of a store makes it, since a store that lost its counters would repeat
    /// ids.
    pub fn generate() -> Self {
        Self(uuid::Uuid::now_v7())
    }

    /// An id for reproducible tests and models.
    pub fn from_u128(value: u128) -> Self {
        Self(uuid::Uuid::from_u128(value))
    }

    /// The number that [`Self::from_u128`] makes the same id from.
    pub fn to_u128(self) -> u128 {
        self.0.as_u128()
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

/// The number of a claim. Each claim gets a higher one, and only the highest can settle: a late
/// worker changes nothing.
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
