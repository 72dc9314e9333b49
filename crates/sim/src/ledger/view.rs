//! What can be read from the ledger: its entries, and its numbers.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Where a booking stands in the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Tickets are put aside.
    Held,
    /// Tickets are put aside, but will never be confirmed: the confirmation was refused.
    Refused,
    /// Sold.
    Confirmed,
    /// Given back, or forbidden for ever by a Release that came first.
    Released,
    /// There was not enough left.
    SoldOut,
    /// The shop said no.
    Rejected,
}

impl Standing {
    /// Whether tickets are put aside, and not sold.
    pub fn holds(self) -> bool {
        matches!(self, Self::Held | Self::Refused)
    }
}

/// How often each call came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Calls {
    /// Reserve.
    pub reserve: u64,
    /// Confirm.
    pub confirm: u64,
    /// Release.
    pub release: u64,
}

/// One booking in the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// What calls are deduplicated by.
    pub booking_id: Arc<str>,
    /// The queue's name.
    pub queue: Arc<str>,
    /// Who books.
    pub client_id: Arc<str>,
    /// Tickets asked for; 0 when only a Release came.
    pub quantity: u64,
    /// Where it stands.
    pub standing: Standing,
    /// The name of its newest reservation; absent when there was none.
    pub reservation_id: Option<Arc<str>>,
    /// How many reservations were ever made for it. More than 1 would break the contract.
    pub reservations: u32,
    /// How often each call came.
    pub calls: Calls,
}

/// A client that held two reservations of one queue at once: something bookingq must never ask for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overlap {
    /// The queue's name.
    pub queue: Arc<str>,
    /// Who.
    pub client_id: Arc<str>,
    /// The booking that was reserved while another one was held.
    pub booking_id: Arc<str>,
}

/// The ledger in numbers. Plain names count tickets; names that end in `_bookings` count bookings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Totals {
    /// Tickets there were at the start.
    pub stock: u64,
    /// Tickets nobody holds or has bought.
    pub available: u64,
    /// Tickets put aside.
    pub held: u64,
    /// Tickets sold.
    pub confirmed: u64,
    /// Tickets given back, each time it happened.
    pub released: u64,
    /// Bookings whose tickets are put aside.
    pub held_bookings: u64,
    /// Bookings sold.
    pub confirmed_bookings: u64,
    /// Bookings given back or forbidden by a Release.
    pub released_bookings: u64,
    /// Bookings that found not enough left.
    pub sold_out_bookings: u64,
    /// Bookings the shop said no to.
    pub rejected_bookings: u64,
    /// Bookings for which Release came after they were sold: bookingq must never do this, unless
    /// its Redis was set back.
    pub released_after_confirm_bookings: u64,
    /// Times a client came to hold two reservations at once: bookingq must never do this.
    pub overlaps: u64,
    /// How often each call came.
    pub calls: Calls,
}

/// The whole ledger at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LedgerCopy {
    /// In numbers.
    pub totals: Totals,
    /// All entries, in the order of their first call.
    pub entries: Vec<Entry>,
    /// The first clients that held two reservations at once.
    pub overlaps: Vec<Overlap>,
}
