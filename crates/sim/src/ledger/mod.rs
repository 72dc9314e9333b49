//! The simulated shop itself, without a network: a stock, and a ledger of who holds what.
//!
//! It keeps the contract of `BookingService` to the letter: each call is idempotent by booking id,
//! and Release is the last word. Every answer is kept, so that a repeat hears the same one.

mod view;

use std::collections::HashMap;
use std::sync::Arc;

pub use self::view::{Calls, Entry, LedgerCopy, Overlap, Standing, Totals};

/// Whether the shop would refuse, if it came to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ruling {
    /// It would not.
    Allow,
    /// It would.
    Refuse,
}

/// The answer to Reserve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReserveAnswer {
    /// Put aside under this name.
    Reserved(Arc<str>),
    /// Not enough is left.
    SoldOut,
    /// No, and why.
    Rejected(&'static str),
}

/// The answer to Confirm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConfirmAnswer {
    /// Sold.
    Confirmed,
    /// No, and why.
    Rejected(&'static str),
}

/// The answer to Release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReleaseAnswer {
    /// Given back, now or before.
    Released,
    /// It is sold, and stays so.
    Confirmed,
}

/// Overlaps kept as examples.
const OVERLAPS_KEPT: usize = 20;
const ALREADY_RELEASED: &str = "this booking was released before";
const NOT_ALLOWED: &str = "simulated: not allowed for this booking";
const NOT_CONFIRMED: &str = "simulated: the confirmation is refused";

/// A stock and who holds what of it.
#[derive(Debug, Default)]
pub struct Ledger {
    totals: Totals,
    entries: Vec<Entry>,
    by_booking: HashMap<Arc<str>, usize>,
    /// Bookings held now, by queue and client.
    holding: HashMap<(Arc<str>, Arc<str>), u32>,
    overlaps: Vec<Overlap>,
}

impl Ledger {
    /// This many tickets, nobody holds any.
    pub fn new(stock: u64) -> Self {
        let totals = Totals { stock, available: stock, ..Totals::default() };
        Self { totals, ..Self::default() }
    }

    /// Puts `quantity` tickets aside, or says why not. `ruling` matters only for a booking seen for
    /// the first time.
    pub fn reserve(
        &mut self,
        booking: &str,
        queue: &str,
        client: &str,
        quantity: u64,
        ruling: Ruling,
    ) -> ReserveAnswer {
        self.totals.calls.reserve += 1;
        let index = match self.by_booking.get(booking) {
            Some(&index) => index,
            None => self.decide(booking, queue, client, quantity, ruling),
        };
        let entry = &mut self.entries[index];
        entry.calls.reserve += 1;
        match (entry.standing, &entry.reservation_id) {
            (Standing::SoldOut, _) => ReserveAnswer::SoldOut,
            (Standing::Released, _) => ReserveAnswer::Rejected(ALREADY_RELEASED),
            (Standing::Held | Standing::Refused | Standing::Confirmed, Some(name)) => {
                ReserveAnswer::Reserved(name.clone())
            }
            _ => ReserveAnswer::Rejected(NOT_ALLOWED),
        }
    }

    /// Makes a reservation final, or says why not. `ruling` matters only while the tickets are
    /// held.
    pub fn confirm(&mut self, booking: &str, ruling: Ruling) -> ConfirmAnswer {
        self.totals.calls.confirm += 1;
        let Some(&index) = self.by_booking.get(booking) else {
            return ConfirmAnswer::Rejected("this booking was never reserved");
        };
        let entry = &mut self.entries[index];
        entry.calls.confirm += 1;
        match (entry.standing, ruling) {
            (Standing::Held, Ruling::Allow) => {
                self.stands(index, Standing::Confirmed);
                ConfirmAnswer::Confirmed
            }
            (Standing::Held, Ruling::Refuse) => {
                self.stands(index, Standing::Refused);
                ConfirmAnswer::Rejected(NOT_CONFIRMED)
            }
            (Standing::Confirmed, _) => ConfirmAnswer::Confirmed,
            (Standing::Refused, _) => ConfirmAnswer::Rejected(NOT_CONFIRMED),
            (Standing::Released, _) => ConfirmAnswer::Rejected(ALREADY_RELEASED),
            (Standing::SoldOut | Standing::Rejected, _) => {
                ConfirmAnswer::Rejected("this booking was never reserved")
            }
        }
    }

    /// Gives back what the booking has, and forbids reserving it later.
    pub fn release(&mut self, booking: &str, queue: &str, client: &str) -> ReleaseAnswer {
        self.totals.calls.release += 1;
        let index = match self.by_booking.get(booking) {
            Some(&index) => index,
            None => self.write(booking, queue, client, 0, Standing::Released),
        };
        self.entries[index].calls.release += 1;
        match self.entries[index].standing {
            Standing::Released => {}
            Standing::Confirmed => {
                let first = self.entries[index].calls.release == 1;
                self.totals.released_after_confirm_bookings += u64::from(first);
                return ReleaseAnswer::Confirmed;
            }
            _ => self.stands(index, Standing::Released),
        }
        ReleaseAnswer::Released
    }

    /// Gives back what the booking still holds, because nobody has confirmed or released it for too
    /// long.
    pub fn time_out(&mut self, booking: &str) {
        if let Some(&index) = self.by_booking.get(booking)
            && self.entries[index].standing.holds()
        {
            self.stands(index, Standing::Released);
        }
    }

    /// The ledger in numbers.
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// All entries, in the order of their first call.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// All of it, as it is now.
    pub fn copy(&self) -> LedgerCopy {
        let Self { totals, entries, overlaps, .. } = self;
        LedgerCopy { totals: *totals, entries: entries.clone(), overlaps: overlaps.clone() }
    }

    /// One booking.
    pub fn entry(&self, booking: &str) -> Option<&Entry> {
        self.by_booking.get(booking).map(|&index| &self.entries[index])
    }

    /// The first clients that held two reservations at once.
    pub fn overlaps(&self) -> &[Overlap] {
        &self.overlaps
    }

    /// The first Reserve of a booking: the one moment at which tickets are put aside.
    fn decide(
        &mut self,
        booking: &str,
        queue: &str,
        client: &str,
        quantity: u64,
        ruling: Ruling,
    ) -> usize {
        let standing = match ruling {
            Ruling::Refuse => Standing::Rejected,
            Ruling::Allow if self.totals.available < quantity => Standing::SoldOut,
            Ruling::Allow => Standing::Held,
        };
        let index = self.write(booking, queue, client, quantity, standing);
        if standing == Standing::Held {
            let name = format!("R{:08}", self.entries.len());
            self.entries[index].reservation_id = Some(Arc::from(name));
            self.entries[index].reservations += 1;
            self.note_overlap(index);
        }
        index
    }

    fn write(
        &mut self,
        booking: &str,
        queue: &str,
        client: &str,
        quantity: u64,
        standing: Standing,
    ) -> usize {
        let index = self.entries.len();
        let booking_id: Arc<str> = Arc::from(booking);
        // Nearly all bookings are of the queue before: its name is shared.
        let queue = match self.entries.last() {
            Some(last) if &*last.queue == queue => last.queue.clone(),
            _ => Arc::from(queue),
        };
        self.by_booking.insert(booking_id.clone(), index);
        self.entries.push(Entry {
            booking_id,
            queue,
            client_id: Arc::from(client),
            quantity,
            standing,
            reservation_id: None,
            reservations: 0,
            calls: Calls::default(),
        });
        self.count(index, Change::Enters);
        index
    }

    fn stands(&mut self, index: usize, standing: Standing) {
        self.count(index, Change::Leaves);
        let before = self.entries[index].standing;
        if standing == Standing::Released && before.holds() {
            self.totals.released += self.entries[index].quantity;
        }
        self.entries[index].standing = standing;
        self.count(index, Change::Enters);
    }

    /// Adds an entry to the totals, or takes it out, as it stands now.
    fn count(&mut self, index: usize, change: Change) {
        let entry = &self.entries[index];
        let (totals, quantity) = (&mut self.totals, entry.quantity);
        match entry.standing {
            Standing::Held | Standing::Refused => {
                change.apply(&mut totals.held_bookings, 1);
                change.apply(&mut totals.held, quantity);
                let who = (entry.queue.clone(), entry.client_id.clone());
                let held = self.holding.entry(who).or_default();
                *held = if change == Change::Enters { *held + 1 } else { held.saturating_sub(1) };
            }
            Standing::Confirmed => {
                change.apply(&mut totals.confirmed_bookings, 1);
                change.apply(&mut totals.confirmed, quantity);
            }
            Standing::Released => change.apply(&mut totals.released_bookings, 1),
            Standing::SoldOut => change.apply(&mut totals.sold_out_bookings, 1),
            Standing::Rejected => change.apply(&mut totals.rejected_bookings, 1),
        }
        totals.available = totals.stock - totals.held - totals.confirmed;
    }

    fn note_overlap(&mut self, index: usize) {
        let Entry { queue, client_id, booking_id, .. } = &self.entries[index];
        let held = self.holding.get(&(queue.clone(), client_id.clone())).copied().unwrap_or(0);
        if held < 2 {
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

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    Enters,
    Leaves,
}

impl Change {
    fn apply(self, total: &mut u64, by: u64) {
        match self {
            Self::Enters => *total += by,
            Self::Leaves => *total -= by,
        }
    }
}

#[cfg(test)]
mod tests;
