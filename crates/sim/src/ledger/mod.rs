//! The rules of the simulated Booking Service, without a network: the stock of each item and its
//! bookings.
//!
//! It implements the contract of `BookingService` strictly: each call is idempotent by booking id,
//! Release is final, and a repeated call gets its first answer again, unless that was "sold out".

mod view;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bookingq_core::Timestamp;

pub use self::view::{
    Availability, ItemStock, LedgerCalls, LedgerCopy, LedgerEntry, LedgerState, LedgerTotals,
    Overlap,
};

/// Whether the service refuses a booking if it has to decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ruling {
    /// It accepts.
    Allow,
    /// It refuses.
    Refuse,
    /// It says "sold out", whatever is left. Of a Confirm: it accepts.
    Lie,
}

/// The answer to Reserve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReserveAnswer {
    /// Reserved.
    Reserved {
        /// The id of the reservation.
        reservation: Arc<str>,
        /// Tickets left of the item.
        left: u64,
    },
    /// Too few tickets are left at the moment.
    SoldOut {
        /// Tickets left of the item, as the service says.
        left: u64,
        /// Tickets that another channel holds and may give back.
        held_elsewhere: u64,
    },
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

/// The stock of each item, and the bookings.
#[derive(Debug, Default)]
pub struct Ledger {
    /// Of each item that was not given a stock.
    stock: u64,
    items: BTreeMap<Arc<str>, ItemStock>,
    totals: LedgerTotals,
    entries: Vec<LedgerEntry>,
    by_booking: HashMap<Arc<str>, usize>,
    /// Bookings held now, by queue and client.
    holding: HashMap<(Arc<str>, Arc<str>), u64>,
    overlaps: Vec<Overlap>,
}

impl Ledger {
    /// With `stock` tickets of each item, all of them available.
    pub fn new(stock: u64) -> Self {
        Self::with_items(stock, &BTreeMap::from([(Arc::from(""), stock)]))
    }

    /// With these tickets of `items`, and `stock` of each other one.
    pub fn with_items(stock: u64, items: &BTreeMap<Arc<str>, u64>) -> Self {
        let mut ledger = Self { stock, ..Self::default() };
        for (item, &stock) in items {
            ledger.item_mut(item, stock);
        }
        ledger
    }

    /// Reserves `quantity` tickets of `item`. [`Ruling::Refuse`] matters only for the first Reserve
    /// of a booking; item and quantity count as the first call named them.
    pub fn reserve(
        &mut self,
        booking: &str,
        queue: &str,
        client: &str,
        item: &str,
        quantity: u64,
        ruling: Ruling,
    ) -> ReserveAnswer {
        self.totals.calls.reserve += 1;
        let index = self.by_booking.get(booking).copied().unwrap_or_else(|| {
            let state = match ruling {
                Ruling::Refuse => LedgerState::Rejected,
                Ruling::Allow | Ruling::Lie => LedgerState::SoldOut,
            };
            self.write([booking, queue, client, item], quantity, state)
        });
        self.entries[index].calls.reserve += 1;
        if self.entries[index].state == LedgerState::SoldOut {
            self.try_to_hold(index, ruling);
        }
        let entry = &self.entries[index];
        let left = self.available(&entry.item);
        match (entry.state, &entry.reservation_id) {
            (LedgerState::SoldOut, _) => ReserveAnswer::SoldOut {
                left: left.min(entry.quantity.saturating_sub(1)),
                held_elsewhere: self.items.get(&entry.item).map_or(0, |stock| stock.held_elsewhere),
            },
            (LedgerState::Released, _) => ReserveAnswer::Rejected(ALREADY_RELEASED),
            (LedgerState::Held | LedgerState::Refused | LedgerState::Confirmed, Some(name)) => {
                ReserveAnswer::Reserved { reservation: name.clone(), left }
            }
            _ => ReserveAnswer::Rejected(NOT_ALLOWED),
        }
    }

    fn try_to_hold(&mut self, index: usize, ruling: Ruling) {
        let entry = &mut self.entries[index];
        let Some(stock) = self.items.get_mut(&entry.item) else { return };
        if stock.available < entry.quantity {
            return;
        }
        if ruling == Ruling::Lie {
            stock.lies += 1;
            return;
        }
        entry.reservation_id = Some(Arc::from(format!("R{:08}", index + 1)));
        entry.reservations += 1;
        self.set_state(index, LedgerState::Held);
        self.record_overlap(index);
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
            (LedgerState::Held, Ruling::Allow | Ruling::Lie) => {
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
            None => self.write([booking, queue, client, ""], 0, LedgerState::Released),
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

    /// Says that another channel holds `quantity` tickets of an item and may give them back.
    pub fn announce(&mut self, item: &str, quantity: u64) {
        self.item_mut(item, self.stock).held_elsewhere += quantity;
    }

    /// Adds tickets of an item, which another channel gives back: those that were announced first.
    pub fn restock(&mut self, item: &str, quantity: u64) {
        let stock = self.item_mut(item, self.stock);
        let announced = quantity.min(stock.held_elsewhere);
        stock.held_elsewhere -= announced;
        stock.restocked += quantity - announced;
        stock.stock += quantity;
        stock.available += quantity;
        if announced > 0 {
            stock.record_return(now());
        }
        self.totals.stock += quantity;
        self.totals.available += quantity;
    }

    /// Removes up to `quantity` available tickets of an item, which another channel sells. Returns
    /// how many there were.
    pub fn withdraw(&mut self, item: &str, quantity: u64) -> u64 {
        let stock = self.item_mut(item, self.stock);
        let sold = quantity.min(stock.available);
        stock.stock -= sold;
        stock.available -= sold;
        stock.withdrawn += sold;
        self.totals.stock -= sold;
        self.totals.available -= sold;
        sold
    }

    /// Tickets of an item that are neither held nor sold.
    pub fn available(&self, item: &str) -> u64 {
        self.items.get(item).map_or(self.stock, |stock| stock.available)
    }

    /// The tickets of each item that was named so far.
    pub fn items(&self) -> &BTreeMap<Arc<str>, ItemStock> {
        &self.items
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
        let Self { totals, items, entries, overlaps, .. } = self;
        LedgerCopy {
            totals: *totals,
            items: items.clone(),
            entries: entries.clone(),
            overlaps: overlaps.clone(),
        }
    }

    /// One booking.
    pub fn entry(&self, booking: &str) -> Option<&LedgerEntry> {
        self.by_booking.get(booking).map(|&index| &self.entries[index])
    }

    /// The first clients that held two reservations at once.
    pub fn overlaps(&self) -> &[Overlap] {
        &self.overlaps
    }

    /// The tickets of an item, which has `stock` if it is new.
    fn item_mut(&mut self, item: &str, stock: u64) -> &mut ItemStock {
        let totals = &mut self.totals;
        self.items.entry(Arc::from(item)).or_insert_with(|| {
            totals.stock += stock;
            totals.available += stock;
            ItemStock { stock, available: stock, ..ItemStock::default() }
        })
    }

    fn write(
        &mut self,
        [booking, queue, client, item]: [&str; 4],
        quantity: u64,
        state: LedgerState,
    ) -> usize {
        let index = self.entries.len();
        let booking_id: Arc<str> = Arc::from(booking);
        // Nearly all bookings are of one queue and of few items: they share the names.
        let queue = match self.entries.last() {
            Some(last) if &*last.queue == queue => last.queue.clone(),
            _ => Arc::from(queue),
        };
        if state != LedgerState::Released {
            self.item_mut(item, self.stock);
        }
        let item = self.items.get_key_value(item).map(|(item, _)| item.clone());
        self.by_booking.insert(booking_id.clone(), index);
        self.entries.push(LedgerEntry {
            booking_id,
            queue,
            client_id: Arc::from(client),
            item: item.unwrap_or_default(),
            quantity,
            state,
            reservation_id: None,
            reservations: 0,
            calls: LedgerCalls::default(),
        });
        self.count(index, 1);
        index
    }

    fn set_state(&mut self, index: usize, state: LedgerState) {
        self.count(index, -1);
        let before = std::mem::replace(&mut self.entries[index].state, state);
        self.count(index, 1);
        let entry = &self.entries[index];
        if state == LedgerState::Released
            && before.holds()
            && let Some(stock) = self.items.get_mut(&entry.item)
        {
            stock.released += entry.quantity;
            stock.record_return(now());
            self.totals.released += entry.quantity;
        }
    }

    /// Adds an entry to the totals (`by` = 1), or removes it (`by` = -1).
    fn count(&mut self, index: usize, by: i64) {
        let entry = &self.entries[index];
        let (totals, tickets) = (&mut self.totals, by * entry.quantity as i64);
        let mut unnamed = ItemStock::default();
        let stock = self.items.get_mut(&entry.item).unwrap_or(&mut unnamed);
        let add = |total: &mut u64, by| *total = total.saturating_add_signed(by);
        match entry.state {
            LedgerState::Held | LedgerState::Refused => {
                add(&mut totals.held_bookings, by);
                add(&mut totals.held, tickets);
                add(&mut stock.held, tickets);
                let client = (entry.queue.clone(), entry.client_id.clone());
                add(self.holding.entry(client).or_default(), by);
            }
            LedgerState::Confirmed => {
                add(&mut totals.confirmed_bookings, by);
                add(&mut totals.confirmed, tickets);
                add(&mut stock.confirmed, tickets);
            }
            LedgerState::Released => add(&mut totals.released_bookings, by),
            LedgerState::SoldOut => add(&mut totals.sold_out_bookings, by),
            LedgerState::Rejected => add(&mut totals.rejected_bookings, by),
        }
        totals.available = totals.stock - totals.held - totals.confirmed;
        stock.available = stock.stock - stock.held - stock.confirmed;
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

/// The clock of this computer, by which a crowd on it can order what it saw.
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    Timestamp(since.as_millis() as u64)
}
