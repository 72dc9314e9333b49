//! The comparison of log, acknowledgements, store and ledger.

use std::collections::HashMap;

use bookingq_core::{Booking, BookingId, BookingState, ClientId, RequestId};

use super::verdict::{Evidence, Moment, Tallies, Timings, Verdict};
use super::violation::{Violation, Violations};
use super::{History, Life};
use crate::crowd::Acknowledged;
use crate::ledger::{Entry, LedgerCopy, Standing};

impl History {
    /// Judges. May be called again with later evidence; what the log itself showed stays counted.
    pub fn judge(&self, evidence: &Evidence, moment: Moment) -> Verdict {
        let mut case = Case {
            log: &self.lives,
            gaps: self.gaps,
            store: evidence.bookings.iter().map(|booking| (booking.id, booking)).collect(),
            moment,
            found: self.violations.clone(),
        };
        case.find_lost(&evidence.acknowledged, &evidence.bookings);
        case.find_duplicated(evidence);
        case.find_disagreements();
        if let Some(ledger) = &evidence.ledger {
            case.find_in_ledger(ledger);
            case.find_without_tickets(ledger);
        }
        let tallies = case.tallies();
        Verdict {
            moment,
            tallies,
            ledger: evidence.ledger.as_ref().map(|ledger| ledger.totals),
            violations: case.found,
            timings: self.timings(),
            gaps: self.gaps,
        }
    }

    /// How long things took so far.
    pub fn timings(&self) -> Timings {
        Timings {
            queued: self.times.queued.summary(),
            reserve: self.times.reserve.summary(),
            confirm: self.times.confirm.summary(),
            release_lag: self.times.release_lag.summary(),
        }
    }
}

struct Case<'a> {
    log: &'a HashMap<BookingId, Life>,
    gaps: u64,
    store: HashMap<BookingId, &'a Booking>,
    moment: Moment,
    found: Violations,
}

impl Case<'_> {
    /// The booking's state: what the store says, or what the log says of a booking that is no
    /// longer its client's newest.
    fn state(&self, booking: BookingId) -> Option<BookingState> {
        let stored = self.store.get(&booking).map(|booking| booking.state);
        stored.or_else(|| self.log.get(&booking).map(|life| life.state))
    }

    fn tallies(&self) -> Tallies {
        let mut tallies = Tallies::default();
        for booking in self.log.keys() {
            if let Some(state) = self.state(*booking) {
                tallies.add(state);
            }
        }
        for (booking, stored) in &self.store {
            if !self.log.contains_key(booking) {
                tallies.add(stored.state);
            }
        }
        tallies
    }

    fn find_lost(&mut self, acknowledged: &[Acknowledged], bookings: &[Booking]) {
        let newest: HashMap<&ClientId, &Booking> =
            bookings.iter().map(|booking| (&booking.client, booking)).collect();
        for Acknowledged { client, request, booking, place } in acknowledged {
            if self.store.contains_key(booking) {
                continue;
            }
            // After a gap, a booking that is neither in the log nor its client's newest may well
            // have ended unseen.
            let unseen =
                self.gaps > 0 && newest.get(client).is_some_and(|newer| newer.place > *place);
            let lost = match self.log.get(booking) {
                None => !unseen,
                Some(life) => life.gaps == self.gaps && !life.state.is_final(),
            };
            if lost {
                self.found.note(Violation::Lost, || {
                    format!(
                        "{booking} of {client} (request {request}, place {place}) was acknowledged"
                    )
                });
            }
        }
    }

    fn find_duplicated(&mut self, evidence: &Evidence) {
        let mut by_request: HashMap<(&ClientId, &RequestId), BookingId> = HashMap::new();
        let promised = evidence.acknowledged.iter().map(|a| (&a.client, &a.request, a.booking));
        let stored = evidence.bookings.iter().map(|b| (&b.client, &b.request, b.id));
        for (client, request, booking) in promised.chain(stored) {
            let first = *by_request.entry((client, request)).or_insert(booking);
            if first != booking {
                self.found.note(Violation::Duplicated, || {
                    format!("request {request} of {client} became {first} and {booking}")
                });
            }
        }
    }

    /// Only a final state can be compared while things move; at rest all can.
    fn find_disagreements(&mut self) {
        for (booking, stored) in &self.store {
            let life = self.log.get(booking);
            if life.map_or(0, |life| life.gaps) != self.gaps {
                continue;
            }
            let logged = life.map(|life| life.state);
            let comparable = self.moment == Moment::AtRest || stored.state.is_final();
            if comparable && logged != Some(stored.state) {
                let logged = logged.map_or("nothing", BookingState::as_str);
                self.found.note(Violation::Disagreement, || {
                    format!("{booking} is {} in the store; the log says {logged}", stored.state)
                });
            }
        }
    }

    fn find_in_ledger(&mut self, ledger: &LedgerCopy) {
        let totals = &ledger.totals;
        let sold =
            self.store.values().filter(|booking| booking.state == BookingState::Confirmed).count();
        if totals.held + totals.confirmed > totals.stock || sold as u64 > totals.stock {
            self.found.note(Violation::Oversold, || {
                let (stock, held, confirmed) = (totals.stock, totals.held, totals.confirmed);
                format!(
                    "{confirmed} sold and {held} held of {stock}; {sold} bookings are confirmed"
                )
            });
        }
        for overlap in &ledger.overlaps {
            self.found.note(Violation::DoubleReservation, || {
                format!(
                    "{} was reserved while {} held another",
                    overlap.booking_id, overlap.client_id
                )
            });
        }
        for entry in &ledger.entries {
            if entry.reservations > 1 {
                self.found.note(Violation::DoubleReservation, || {
                    format!("{} was reserved {} times", entry.booking_id, entry.reservations)
                });
            }
            if self.is_orphan(entry) {
                let state =
                    BookingId::new(&entry.booking_id).ok().and_then(|booking| self.state(booking));
                let state = state.map_or("unknown", BookingState::as_str);
                self.found.note(Violation::Orphan, || {
                    format!(
                        "{} is {:?} at the shop, but {state} here",
                        entry.booking_id, entry.standing
                    )
                });
            }
        }
    }

    /// Whether the shop keeps tickets for a booking that will not have them.
    fn is_orphan(&self, entry: &Entry) -> bool {
        use BookingState as S;
        if !entry.standing.holds() && entry.standing != Standing::Confirmed {
            return false;
        }
        let state = BookingId::new(&entry.booking_id).ok().and_then(|booking| self.state(booking));
        match (self.moment, state) {
            // It joined in a gap of the log, and its client has a newer one.
            (_, None) if self.gaps > 0 => false,
            // It may have joined after the store was read.
            (Moment::InMotion, None) => false,
            (Moment::InMotion, Some(state)) => {
                state.is_final()
                    && !(state == S::Confirmed && entry.standing == Standing::Confirmed)
            }
            (Moment::AtRest, Some(S::Reserved)) => entry.standing != Standing::Held,
            (Moment::AtRest, Some(S::Confirmed)) => entry.standing != Standing::Confirmed,
            (Moment::AtRest, _) => true,
        }
    }

    /// Bookings that say they have tickets, while the shop says they have none.
    fn find_without_tickets(&mut self, ledger: &LedgerCopy) {
        let standings: HashMap<BookingId, Standing> = ledger
            .entries
            .iter()
            .filter_map(|entry| Some((BookingId::new(&entry.booking_id).ok()?, entry.standing)))
            .collect();
        let known = |life: &Life| life.gaps == self.gaps;
        let older = self
            .log
            .iter()
            .filter(|(booking, life)| known(life) && !self.store.contains_key(booking));
        let stored = self.store.iter().map(|(booking, stored)| (*booking, stored.state));
        for (booking, state) in stored.chain(older.map(|(booking, life)| (*booking, life.state))) {
            let standing = standings.get(&booking).copied();
            let kept = match (state, self.moment) {
                (BookingState::Confirmed, _) => standing == Some(Standing::Confirmed),
                (BookingState::Reserved, Moment::AtRest) => standing == Some(Standing::Held),
                // It may have been paid or given back since the store was read, but it must have
                // been reserved.
                (BookingState::Reserved, Moment::InMotion) => {
                    !matches!(standing, None | Some(Standing::SoldOut | Standing::Rejected))
                }
                _ => true,
            };
            if !kept {
                let standing =
                    standing.map_or("nothing".to_owned(), |standing| format!("{standing:?}"));
                self.found.note(Violation::Orphan, || {
                    format!("{booking} is {state} here; the shop says {standing}")
                });
            }
        }
    }
}
