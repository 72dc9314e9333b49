//! The readable parts of the ledger: its entries and its totals.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The state of a booking in the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LedgerState {
    /// Its tickets are reserved.
    Held,
    /// Its tickets are reserved until a Release: the confirmation was refused.
    Refused,
    /// Sold.
    Confirmed,
    /// Released, possibly before any Reserve, which is rejected from then on.
    Released,
    /// Too few tickets were left.
    SoldOut,
    /// The service rejected it.
    Rejected,
}

impl LedgerState {
    /// Whether tickets are reserved and not sold.
    pub fn holds(self) -> bool {
        matches!(self, Self::Held | Self::Refused)
    }
}

/// Counts of calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LedgerCalls {
    /// Reserve.
    pub reserve: u64,
    /// Confirm.
    pub confirm: u64,
    /// Release.
    pub release: u64,
}

/// One booking in the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerEntry {
    /// The idempotency key of its calls.
    pub booking_id: Arc<str>,
    /// The queue's name.
    pub queue: Arc<str>,
    /// The client.
    pub client_id: Arc<str>,
    /// Requested tickets; 0 if only a Release came.
    pub quantity: u64,
    /// Its state.
    pub state: LedgerState,
    /// Its newest reservation; absent if there was none.
    pub reservation_id: Option<Arc<str>>,
    /// The number of its reservations. More than 1 would break the contract.
    pub reservations: u32,
    /// Counts of calls.
    pub calls: LedgerCalls,
}

/// A client that held two reservations of one queue at once, which bookingq must never request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overlap {
    /// The queue's name.
    pub queue: Arc<str>,
    /// The client.
    pub client_id: Arc<str>,
    /// The booking that was reserved while another one was held.
    pub booking_id: Arc<str>,
}

/// Totals of the ledger. Plain names count tickets; names that end in `_bookings` count bookings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LedgerTotals {
    /// Tickets at the start.
    pub stock: u64,
    /// Tickets that are neither held nor sold.
    pub available: u64,
    /// Reserved tickets.
    pub held: u64,
    /// Sold tickets.
    pub confirmed: u64,
    /// Released tickets, each release counted.
    pub released: u64,
    /// Bookings with reserved tickets.
    pub held_bookings: u64,
    /// Sold bookings.
    pub confirmed_bookings: u64,
    /// Released bookings.
    pub released_bookings: u64,
    /// Bookings that found too few tickets.
    pub sold_out_bookings: u64,
    /// Rejected bookings.
    pub rejected_bookings: u64,
    /// Bookings with a Release after their Confirm: a defect, unless Redis was set back.
    pub released_after_confirm_bookings: u64,
    /// Second reservations of a client that held one already: a defect.
    pub overlaps: u64,
    /// Counts of calls.
    pub calls: LedgerCalls,
}

/// The whole ledger at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LedgerCopy {
    /// Its totals.
    pub totals: LedgerTotals,
    /// All entries, in the order of their first call.
    pub entries: Vec<LedgerEntry>,
    /// The first clients that held two reservations at once.
    pub overlaps: Vec<Overlap>,
}
