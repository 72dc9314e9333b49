//! The rules of the simulated Booking Service, without a network: a stock and its bookings.
//!
//! It implements the contract of `BookingService` strictly: each call is idempotent by booking id,
//! Release is final, and a repeated call gets its first answer again.

mod view;

use std::collections::HashMap;
use std::sync::Arc;

pub use self::view::{LedgerCalls, LedgerCopy, LedgerEntry, LedgerState, LedgerTotals, Overlap};

/// Whether the service refuses a booking if it has to decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ruling {
    /// It accepts.
    Allow,
    /// It refuses.
    Refuse,
}

/// The answer to Reserve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReserveAnswer {
    /// Reserved under this id.
    Reserved(Arc<str>),
    /// Too few tickets are left.
    SoldOut,
    /// Rejected, with the reason.
    Rejected(&'static str),
}

/// The answer to Confirm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConfirmAnswer {
    /// Sold.
    Confirmed,
    /// Rejected, with the reason.
    Rejected(&'static str),
}

/// The answer to Release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReleaseAnswer {
    /// Released, now or before.
    Released,
    /// It is sold and stays so.
    Confirmed,
}

/// Limit of overlaps that are kept as examples.
const OVERLAPS_KEPT: usize = 20;
const ALREADY_RELEASED: &str = "this booking was released before";
const NOT_ALLOWED: &str = "simulated: not allowed for this booking";
const NOT_CONFIRMED: &str = "simulated: the confirmation is refused";

/// A stock and its bookings.
#[derive(Debug, Default)]
pub struct Ledger {
    totals: LedgerTotals,
    entries: Vec<LedgerEntry>,
    by_booking: HashMap<Arc<str>, usize>,
    /// Bookings held now, by queue and client.
    holding: HashMap<(Arc<str>, Arc<str>), u64>,
    overlaps: Vec<Overlap>,
}

impl Ledger {
    /// With `stock` tickets, all of them available.
    pub fn new(stock: u64) -> Self {
        let totals = LedgerTotals { stock, available: stock, ..LedgerTotals::default() };
        Self { totals, ..Self::default() }
    }

    /// Reserves `quantity` tickets. `ruling` matters only for the first Reserve of a booking.
    pub fn reserve(
        &mut self,
        booking: &str,
        queue: &str,
        client: &str,
        quantity: u64,
        ruling: Ruling,
    ) -> ReserveAnswer {
        self.totals.calls.reserve += 1;
        let index = self.by_booking.get(booking).copied().unwrap_or_else(|| {
            let state = match ruling {
                Ruling::Refuse => LedgerState::Rejected,
                Ruling::Allow if self.totals.available < quantity => LedgerState::SoldOut,
                Ruling::Allow => LedgerState::Held,
            };
            self.write(booking, queue, client, quantity, state)
        });
        let entry = &mut self.entries[index];
        entry.calls.reserve += 1;
        match (entry.state, &entry.reservation_id) {
            (LedgerState::SoldOut, _) => ReserveAnswer::SoldOut,
            (LedgerState::Released, _) => ReserveAnswer::Rejected(ALREADY_RELEASED),
            (LedgerState::Held | LedgerState::Refused | LedgerState::Confirmed, Some(name)) => {
                ReserveAnswer::Reserved(name.clone())
            }
            _ => ReserveAnswer::Rejected(NOT_ALLOWED),
        }
    }

    /// Sells a reservation. `ruling` matters only while the tickets are held.
    pub fn confirm(&mut self, booking: &str, ruling: Ruling) -> ConfirmAnswer {
        self.totals.calls.confirm += 1;
        let Some(&index) = self.by_booking.get(booking) else {
            return ConfirmAnswer::Rejected("this booking was never reserved");
        };
        let entry = &mut self.entries[index];
        entry.calls.confirm += 1;
        match (entry.state, ruling) {
            (LedgerState::Held, Ruling::Allow) => {
                self.set_state(index, LedgerState::Confirmed);
                ConfirmAnswer::Confirmed
            }
            (LedgerState::Held, Ruling::Refuse) => {
                self.set_state(index, LedgerState::Refused);
                ConfirmAnswer::Rejected(NOT_CONFIRMED)
            }
            (LedgerState::Confirmed, _) => ConfirmAnswer::Confirmed,
            (LedgerState::Refused, _) => ConfirmAnswer::Rejected(NOT_CONFIRMED),
            (LedgerState::Released, _) => ConfirmAnswer::Rejected(ALREADY_RELEASED),
            (LedgerState::SoldOut | LedgerState::Rejected, _) => {
                ConfirmAnswer::Rejected("this booking was never reserved")
            }
        }
    }

    /// Releases the tickets of a booking, and rejects every later Reserve of it.
    pub fn release(&mut self, booking: &str, queue: &str, client: &str) -> ReleaseAnswer {
        self.totals.calls.release += 1;
        let index = match self.by_booking.get(booking) {
            Some(&index) => index,
            None => self.write(booking, queue, client, 0, LedgerState::Released),
        };
        self.entries[index].calls.release += 1;
        match self.entries[index].state {
            LedgerState::Released => {}
            LedgerState::Confirmed => {
                let first = self.entries[index].calls.release == 1;
                self.totals.released_after_confirm_bookings += u64::from(first);
                return ReleaseAnswer::Confirmed;
            }
            _ => self.set_state(index, LedgerState::Released),
        }
        ReleaseAnswer::Released
    }

    /// Releases the tickets of a booking that is still held.
    pub fn time_out(&mut self, booking: &str) {
        if let Some(&index) = self.by_booking.get(booking)
            && self.entries[index].state.holds()
        {
            self.set_state(index, LedgerState::Released);
        }
    }

    /// Its totals.
    pub fn totals(&self) -> LedgerTotals {
        self.totals
    }

    /// All entries, in the order of their first call.
    pub fn entries(&self) -> &[LedgerEntry] {
        &self.entries
    }

    /// A copy of its current state.
    pub fn copy(&self) -> LedgerCopy {
        let Self { totals, entries, overlaps, .. } = self;
        LedgerCopy { totals: *totals, entries: entries.clone(), overlaps: overlaps.clone() }
    }

    /// One booking.
    pub fn entry(&self, booking: &str) -> Option<&LedgerEntry> {
        self.by_booking.get(booking).map(|&index| &self.entries[index])
    }

    /// The first clients that held two reservations at once.
    pub fn overlaps(&self) -> &[Overlap] {
        &self.overlaps
    }

    fn write(
        &mut self,
        booking: &str,
        queue: &str,
        client: &str,
        quantity: u64,
        state: LedgerState,
    ) -> usize {
        let index = self.entries.len();
        let booking_id: Arc<str> = Arc::from(booking);
        // Nearly all bookings are of one queue: they share its name.
        let queue = match self.entries.last() {
            Some(last) if &*last.queue == queue => last.queue.clone(),
            _ => Arc::from(queue),
        };
        self.by_booking.insert(booking_id.clone(), index);
        let is_held = state == LedgerState::Held;
        self.entries.push(LedgerEntry {
            booking_id,
            queue,
            client_id: Arc::from(client),
            quantity,
            state,
            reservation_id: is_held.then(|| Arc::from(format!("R{:08}", index + 1))),
            reservations: u32::from(is_held),
            calls: LedgerCalls::default(),
        });
        self.count(index, 1);
        if is_held {
            self.record_overlap(index);
        }
        index
    }

    fn set_state(&mut self, index: usize, state: LedgerState) {
        self.count(index, -1);
        let before = self.entries[index].state;
        if state == LedgerState::Released && before.holds() {
            self.totals.released += self.entries[index].quantity;
        }
        self.entries[index].state = state;
        self.count(index, 1);
    }

    /// Adds an entry to the totals (`by` = 1), or removes it (`by` = -1).
    fn count(&mut self, index: usize, by: i64) {
        let entry = &self.entries[index];
        let (totals, tickets) = (&mut self.totals, by * entry.quantity as i64);
        let add = |total: &mut u64, by| *total = total.saturating_add_signed(by);
        match entry.state {
            LedgerState::Held | LedgerState::Refused => {
                add(&mut totals.held_bookings, by);
                add(&mut totals.held, tickets);
                let client = (entry.queue.clone(), entry.client_id.clone());
                add(self.holding.entry(client).or_default(), by);
            }
            LedgerState::Confirmed => {
                add(&mut totals.confirmed_bookings, by);
                add(&mut totals.confirmed, tickets);
            }
            LedgerState::Released => add(&mut totals.released_bookings, by),
            LedgerState::SoldOut => add(&mut totals.sold_out_bookings, by),
            LedgerState::Rejected => add(&mut totals.rejected_bookings, by),
        }
        totals.available = totals.stock - totals.held - totals.confirmed;
    }

    fn record_overlap(&mut self, index: usize) {
        let LedgerEntry { queue, client_id, booking_id, .. } = &self.entries[index];
        if self.holding.get(&(queue.clone(), client_id.clone())).is_none_or(|held| *held < 2) {
            return;
        }
        self.totals.overlaps += 1;
        if self.overlaps.len() < OVERLAPS_KEPT {
            self.overlaps.push(Overlap {
                queue: queue.clone(),
                client_id: client_id.clone(),
                booking_id: booking_id.clone(),
            });
        }
    }
}
