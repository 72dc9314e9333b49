//! The readable parts of the ledger: its entries, its items and its totals.

use std::collections::BTreeMap;
use std::sync::Arc;

use bookingq_core::Timestamp;
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
    /// Too few tickets were left at its last Reserve; the next one tries again.
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
    /// What it books.
    #[serde(default)]
    pub item: Arc<str>,
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

/// The tickets of an item.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ItemStock {
    /// Tickets of it, with what other channels gave back and without what they sold.
    pub stock: u64,
    /// Tickets that are neither held nor sold.
    pub available: u64,
    /// Reserved tickets.
    pub held: u64,
    /// Sold tickets.
    pub confirmed: u64,
    /// Released tickets, each release counted.
    pub released: u64,
    /// Tickets that another channel holds and may give back.
    pub held_elsewhere: u64,
    /// Tickets that came back without having been announced as `held_elsewhere`.
    pub restocked: u64,
    /// Tickets that other channels sold.
    pub withdrawn: u64,
    /// Reserve calls that got "sold out" although enough was left.
    pub lies: u64,
    /// What was available after a return that could be expected: of a reservation, or of tickets
    /// held elsewhere. A return is left out if a later one made as much available.
    pub returns: Vec<Availability>,
}

impl ItemStock {
    /// The most that was available at once after a return later than `time`.
    pub fn returned_after(&self, time: Timestamp) -> u64 {
        let later = self.returns.partition_point(|availability| availability.at <= time);
        self.returns.get(later).map_or(0, |availability| availability.available)
    }

    /// Counts what is available after a return at `at`.
    pub(super) fn record_return(&mut self, at: Timestamp) {
        let available = self.available;
        while self.returns.pop_if(|earlier| earlier.available <= available).is_some() {}
        self.returns.push(Availability { at, available });
    }
}

/// How many tickets were available at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Availability {
    /// The moment, by the Booking Service's clock.
    pub at: Timestamp,
    /// Tickets.
    pub available: u64,
}

/// Totals of the ledger. Plain names count tickets; names that end in `_bookings` count bookings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LedgerTotals {
    /// Tickets, as in [`ItemStock`].
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
    /// Bookings that found too few tickets at their last Reserve.
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
    /// The tickets of each item.
    pub items: BTreeMap<Arc<str>, ItemStock>,
    /// All entries, in the order of their first call.
    pub entries: Vec<LedgerEntry>,
    /// The first clients that held two reservations at once.
    pub overlaps: Vec<Overlap>,
}
