//! The Booking Service's ledger, against store and log.

use std::collections::HashMap;

use bookingq_core::{BookingId, BookingState};
use bookingq_sim::ledger::{LedgerCopy, LedgerEntry, LedgerState};

use super::{Comparison, Moment};
use crate::violation::Violation;

impl Comparison<'_> {
    pub(super) fn check_ledger(&mut self, ledger: &LedgerCopy) {
        let totals = &ledger.totals;
        let confirmed = |state| state == BookingState::Confirmed;
        let sold = self.store.values().filter(|booking| confirmed(booking.state)).count();
        if totals.held + totals.confirmed > totals.stock || sold as u64 > totals.stock {
            let (stock, held, confirmed) = (totals.stock, totals.held, totals.confirmed);
            let case = format!(
                "{confirmed} sold and {held} held of {stock}; {sold} bookings are confirmed"
            );
            self.violations.record(Violation::Oversold, case);
        }
        let mut taken: HashMap<&str, u64> = HashMap::new();
        for entry in &ledger.entries {
            if entry.state.holds() || entry.state == LedgerState::Confirmed {
                *taken.entry(&entry.item).or_default() += entry.quantity;
            }
        }
        for (item, taken) in taken {
            let stock = ledger.items.get(item).map_or(0, |stock| stock.stock);
            if taken > stock {
                let case = format!("{taken} of {item:?} are sold or held, of {stock}");
                self.violations.record(Violation::Oversold, case);
            }
        }
        for overlap in &ledger.overlaps {
            let (booking, client) = (&overlap.booking_id, &overlap.client_id);
            let case = format!("{booking} was reserved while {client} held another");
            self.violations.record(Violation::DoubleReservation, case);
        }
        for entry in &ledger.entries {
            self.check_entry(entry);
        }
        self.find_without_tickets(ledger);
        if self.evidence.whole.is_some() {
            self.check_whole_ledger(ledger);
        }
    }

    fn check_entry(&mut self, entry: &LedgerEntry) {
        let id = &entry.booking_id;
        if entry.reservations > 1 {
            let case = format!("{id} was reserved {} times", entry.reservations);
            self.violations.record(Violation::DoubleReservation, case);
        }
        let booking = BookingId::new(id).ok();
        let state = booking.and_then(|booking| self.state(booking));
        if self.is_orphan(entry, state) {
            let state = state.map_or("unknown", BookingState::as_str);
            let there = entry.state;
            let case = format!("{id} is {there:?} at the Booking Service, but {state} here");
            self.violations.record(Violation::Orphan, case);
        }
        let Some(logged) = booking.and_then(|booking| self.log.certain(booking)) else { return };
        if *entry.client_id != *logged.client.as_str() {
            let (called, client) = (&entry.client_id, &logged.client);
            let case = format!("the Booking Service was called for {id} of {called}, not {client}");
            self.violations.record(Violation::Orphan, case);
        }
        let known = self.log.gaps() == 0;
        if known && entry.calls.confirm > 0 && logged.paid_at.is_none() {
            let case = format!("the Booking Service was asked to confirm {id}, which was not paid");
            self.violations.record(Violation::BrokenPayment, case);
        }
    }

    /// Whether the Booking Service holds tickets for a booking that does not have them.
    fn is_orphan(&self, entry: &LedgerEntry, state: Option<BookingState>) -> bool {
        use BookingState as S;
        if !entry.state.holds() && entry.state != LedgerState::Confirmed {
            return false;
        }
        match (self.moment, state) {
            // It joined in a gap of the log, and its client has a newer one.
            (_, None) if self.log.gaps() > 0 => false,
            // It may have joined after the store was read.
            (Moment::InMotion, None) => false,
            (Moment::InMotion, Some(state)) => {
                state.is_final()
                    && !(state == S::Confirmed && entry.state == LedgerState::Confirmed)
            }
            (Moment::AtRest, Some(S::Reserved)) => entry.state != LedgerState::Held,
            (Moment::AtRest, Some(S::Confirmed)) => entry.state != LedgerState::Confirmed,
            (Moment::AtRest, _) => true,
        }
    }

    /// Bookings that are reserved or confirmed here and not at the Booking Service.
    fn find_without_tickets(&mut self, ledger: &LedgerCopy) {
        let ledger_states: HashMap<BookingId, LedgerState> = ledger
            .entries
            .iter()
            .filter_map(|entry| Some((BookingId::new(&entry.booking_id).ok()?, entry.state)))
            .collect();
        let older = self.log.bookings().filter(|(booking, _)| {
            self.log.certain(*booking).is_some() && !self.store.contains_key(booking)
        });
        let stored = self.store.iter().map(|(booking, stored)| (*booking, stored.state));
        for (booking, state) in stored.chain(older.map(|(booking, logged)| (booking, logged.state)))
        {
            let reserved = ledger_states.get(&booking).copied();
            let kept = match (state, self.moment) {
                (BookingState::Confirmed, _) => reserved == Some(LedgerState::Confirmed),
                (BookingState::Reserved, Moment::AtRest) => reserved == Some(LedgerState::Held),
                // It may have been paid or released since the store was read, but it must have
                // been reserved.
                (BookingState::Reserved, Moment::InMotion) => {
                    !matches!(reserved, None | Some(LedgerState::SoldOut | LedgerState::Rejected))
                }
                _ => true,
            };
            if !kept {
                let case =
                    format!("{booking} is {state} here; the Booking Service has {reserved:?}");
                self.violations.record(Violation::Orphan, case);
            }
        }
    }

    /// Every call belongs to a booking of the log, and no tickets stay held.
    fn check_whole_ledger(&mut self, ledger: &LedgerCopy) {
        for id in ledger.entries.iter().map(|entry| &entry.booking_id) {
            let booking = BookingId::new(id).ok();
            if booking.and_then(|booking| self.log.booking(booking)).is_none() {
                let case =
                    format!("the Booking Service was called for {id}, which is not in the log");
                self.violations.record(Violation::Orphan, case);
            }
        }
        let (held, undone) = (ledger.totals.held, ledger.totals.released_after_confirm_bookings);
        if held > 0 {
            let case = format!("{held} tickets are held for no booking");
            self.violations.record(Violation::Orphan, case);
        }
        if undone > 0 {
            let case = format!("{undone} bookings were to be released after they were sold");
            self.violations.record(Violation::Orphan, case);
        }
    }
}
