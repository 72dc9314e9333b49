//! The bookings that ended as sold out, against the reservations and the stock that came back.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use bookingq_core::limits::MAX_QUANTITY;
use bookingq_core::{BookingId, BookingState as S, EventSeq, SoldOutRule};
use bookingq_sim::ledger::LedgerCopy;

use super::Comparison;
use crate::closings::Closing;
use crate::violation::Violation;

/// Between two pairs of probes of a closed item.
const PROBE_SECONDS: u64 = 5;

/// What each booking wants, as far as it is known: its item, and how many.
type Wants = HashMap<BookingId, (Arc<str>, u64)>;

impl Comparison<'_> {
    /// Nothing came back after a client was sent away that might have been that client's.
    pub(super) fn check_sent_away(&mut self) {
        if self.log.gaps() > 0 {
            return;
        }
        let wants = self.wants();
        self.find_later_releases(&wants);
        self.find_late_refusals(&wants);
        if self.log.clock_jumps().is_zero() {
            // Probes are paced by the clock.
            self.find_useless_claims(&wants);
        }
        if let Some(ledger) = &self.evidence.ledger {
            self.find_later_returns(&wants, ledger);
        }
    }

    fn wants(&self) -> Wants {
        let entries = self.evidence.ledger.iter().flat_map(|ledger| &ledger.entries);
        // Of a booking that was only released the ledger knows no item.
        let entries = entries.filter(|entry| entry.quantity > 0).filter_map(|entry| {
            let booking = BookingId::new(&entry.booking_id).ok()?;
            Some((booking, (entry.item.clone(), entry.quantity)))
        });
        let parked = self.log.bookings().filter_map(|(booking, logged)| {
            let wanted = logged.wanted.as_ref()?;
            Some((booking, (wanted.item.clone(), wanted.quantity.get().into())))
        });
        entries.chain(parked).collect()
    }

    /// No reservation that was under way when a client was sent away came back afterwards.
    fn find_later_releases(&mut self, wants: &Wants) {
        let mut sent_away: HashMap<&str, BTreeMap<EventSeq, BookingId>> = HashMap::new();
        let mut came_back = Vec::new();
        for (booking, logged) in self.log.bookings() {
            let Some((item, _)) = wants.get(&booking) else { continue };
            if let Some(decided) = logged.sent_away.filter(|_| logged.replaces.is_none()) {
                sent_away.entry(item).or_default().insert(decided, booking);
            }
            match logged.state {
                S::Expired | S::Cancelled | S::Failed if logged.deadline.is_some() => {
                    came_back.push((item, logged.claimed..logged.newest, booking));
                }
                _ => {}
            }
        }
        for (item, under_way, booking) in came_back {
            let early = sent_away.get(&**item).and_then(|ends| ends.range(under_way).next());
            if let Some((_, client)) = early
                && self.log.rule_of(item) == Some(SoldOutRule::Wait)
            {
                let case =
                    format!("{client} ended while {booking} held {item:?}, and gave it back");
                self.violations.record(Violation::SentAway, case);
            }
        }
    }

    /// A refusal from before a return ends nothing, and closes no item further: each that did came
    /// from a claim after all of them.
    fn find_late_refusals(&mut self, wants: &Wants) {
        let mut returns: HashMap<&str, BTreeSet<EventSeq>> = HashMap::new();
        for (booking, logged) in self.log.bookings() {
            let is_return = logged.outcome.is_some() && logged.state != S::Confirmed;
            if let Some((item, _)) = wants.get(&booking)
                && is_return
                && logged.state.is_final()
            {
                returns.entry(item).or_default().insert(logged.newest);
            }
        }
        for Closing { item, seq, asked } in self.log.closings() {
            let later = returns.get(&**item).and_then(|all| all.range(*asked..*seq).next());
            if let Some(later) = later {
                let case = format!(
                    "{item:?} closed further at {seq} by a refusal of a claim at {asked}, from \
                     before it came back at {later}"
                );
                self.violations.record(Violation::SentAway, case);
            }
        }
        for (booking, logged) in self.log.bookings() {
            let (Some(asked), Some(decided)) = (logged.asked, logged.sent_away) else { continue };
            let Some((item, _)) = wants.get(&booking) else { continue };
            let later = returns.get(&**item).and_then(|all| all.range(asked..decided).next());
            if later.is_some() && logged.replaces.is_none() {
                let case = format!("{booking} ended by a refusal from before {item:?} came back");
                self.violations.record(Violation::SentAway, case);
            }
        }
    }

    /// While an item is closed, a parked booking is claimed only for what came back, or as a probe:
    /// two in five seconds, of the first place and of the smallest quantity, and two when the last
    /// reservation under way has ended.
    fn find_useless_claims(&mut self, wants: &Wants) {
        let (mut allowed, mut unknown): (HashMap<&str, u64>, u64) = (HashMap::new(), 0);
        for (booking, logged) in self.log.bookings().filter(|(_, logged)| logged.state.is_final()) {
            let gives_back = logged.outcome.is_some() || logged.state == S::Rejected;
            match wants.get(&booking) {
                Some((item, quantity)) => {
                    let returned = if gives_back { *quantity } else { 0 };
                    *allowed.entry(item).or_default() += 2 + returned;
                }
                None if gives_back => unknown += u64::from(MAX_QUANTITY.unsigned_abs()),
                None => {}
            }
        }
        for (item, tries) in self.log.tries() {
            let probes = 2 * (tries.last.since(tries.first).as_secs() / PROBE_SECONDS + 2);
            let allowed = allowed.get(&**item).copied().unwrap_or(0) + unknown + probes;
            if tries.count > allowed {
                let count = tries.count;
                let case = format!(
                    "{item:?} was claimed {count} times while it was closed; {allowed} had a cause"
                );
                self.violations.record(Violation::UnpacedClaim, case);
            }
        }
    }

    /// After a client was sent away, the Booking Service never had enough for that client. Not
    /// checked for an item about which it lied, or that was restocked without an announcement, nor
    /// for a booking whose late Reserve was released with it.
    fn find_later_returns(&mut self, wants: &Wants, ledger: &LedgerCopy) {
        let reserved = ledger.entries.iter().filter(|entry| entry.reservations > 0);
        let reserved: HashSet<BookingId> =
            reserved.filter_map(|entry| BookingId::new(&entry.booking_id).ok()).collect();
        for (booking, logged) in self.log.bookings().filter(|(id, _)| !reserved.contains(id)) {
            let Some((item, quantity)) = wants.get(&booking) else { continue };
            let Some(stock) = ledger.items.get(item) else { continue };
            let honest = (stock.lies, stock.restocked) == (0, 0);
            let may_wait = self.log.rule_of(item) == Some(SoldOutRule::Wait);
            let was_sent_away = logged.state == S::SoldOut && logged.replaces.is_none();
            let surely_later = logged.since + self.log.clock_jumps();
            let left = stock.available.max(stock.returned_after(surely_later));
            if honest && may_wait && was_sent_away && left >= *quantity {
                let case =
                    format!("{booking} ended without {quantity} of {item:?}; {left} were left");
                self.violations.record(Violation::SentAway, case);
            }
        }
    }
}
