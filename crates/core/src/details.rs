//! What is booked, in the terms of the Booking Service.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::ids::Invalid;
use crate::limits::{MAX_ID_BYTES, MAX_PAYLOAD_BYTES, MAX_QUANTITY};

/// The number of tickets in a booking: 1 to 100.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Quantity(u32);

impl Quantity {
    /// A single one.
    pub const ONE: Self = Self(1);

    /// Parses it; 0 means "not set" and gives 1.
    ///
    /// # Errors
    /// [`Invalid`] if negative or above 100.
    pub fn new(value: i32) -> Result<Self, Invalid> {
        match value {
            0 => Ok(Self::ONE),
            1..=MAX_QUANTITY => Ok(Self(value.unsigned_abs())),
            _ => Err(Invalid::new("quantity", &value.to_string(), "1 to 100")),
        }
    }

    /// This quantity, or a smaller one (at least 1).
    #[must_use]
    pub fn at_most(self, most: Option<u64>) -> Self {
        let most = most.and_then(|most| u32::try_from(most).ok()).unwrap_or(self.0);
        Self(self.0.min(most.max(1)))
    }

    /// The number.
    pub fn get(self) -> u32 {
        self.0
    }
}

/// What is booked. The queue passes it on and never reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Details {
    /// The Booking Service's name for it; may be empty.
    pub item: Arc<str>,
    /// How many.
    pub quantity: Quantity,
    /// Anything else the Booking Service needs; at most 4,096 bytes.
    pub payload: Arc<[u8]>,
}

impl Default for Details {
    fn default() -> Self {
        Self { item: Arc::from(""), quantity: Quantity::ONE, payload: Arc::from([]) }
    }
}

impl Details {
    /// Parses them.
    ///
    /// # Errors
    /// [`Invalid`], naming the field, if `item` is over 128 bytes or has control characters,
    /// `quantity` is not 0 to 100, or `payload` is over 4,096 bytes.
    pub fn new(item: &str, quantity: i32, payload: &[u8]) -> Result<Self, Invalid> {
        if item.len() > MAX_ID_BYTES || item.chars().any(char::is_control) {
            return Err(Invalid::new(
                "item",
                item,
                "at most 128 bytes of UTF-8 without control characters",
            ));
        }
        if payload.len() > MAX_PAYLOAD_BYTES {
            let size = format!("{} bytes", payload.len());
            return Err(Invalid::new("payload", &size, "at most 4096 bytes"));
        }
        Ok(Self {
            item: Arc::from(item),
            quantity: Quantity::new(quantity)?,
            payload: Arc::from(payload),
        })
    }
}
