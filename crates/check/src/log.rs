//! The audit log of a queue, checked event by event: transitions, order, fences, deadlines, the
//! store's clock and the rules of the sale.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bookingq_core::time::millis;
use bookingq_core::{
    BookingId, BookingState, ClientId, Event, EventSeq, ItemChange, ItemEvent, OutboxEvent, Parked,
    Place, SaleRules, SoldOutRule, Timestamp,
};
use bookingq_crowd::latency::Latency;

use crate::closings::{Closing, closings};
use crate::logged::{
    LoggedBooking, check_deadline, check_fence, check_stray, check_transition, is_sent_away,
};
use crate::pace::ClaimPace;
use crate::tally::Timings;
use crate::violation::{Violation, Violations};
use crate::waiting::{Tries, WaitingClients, same_entry};

/// Hosts slew their clocks; a wrong clock is off by much more.
const CLOCK_SLACK: Duration = Duration::from_millis(100);

/// The promises of a queue that its log must keep; what is unknown is not checked.
#[derive(Debug, Clone, Default)]
pub struct AuditTerms {
    /// The time to pay.
    pub hold: Option<Duration>,
    /// The rules of the sale, if they do not change.
    pub rules: Option<SaleRules>,
    /// How far the store's clock may be set back between two events; zero if nothing sets it.
    pub clock_jumps: Duration,
}

/// A queue's audit log, as a small record of each booking without its events.
#[derive(Debug, Default)]
pub struct AuditLog {
    terms: AuditTerms,
    last: EventSeq,
    newest: Timestamp,
    gaps: u64,
    bookings: HashMap<BookingId, LoggedBooking>,
    /// The newest booking of each client.
    newest_of: HashMap<ClientId, BookingId>,
    waiting: WaitingClients,
    pace: ClaimPace,
    closings: Vec<Closing>,
    newest_place: Place,
    violations: Violations,
    pub(crate) times: Timings<Latency>,
}

impl AuditLog {
    /// An empty log of a queue with these terms.
    pub fn new(terms: AuditTerms) -> Self {
        Self { terms, ..Self::default() }
    }

    /// Takes the next events, oldest first. Pieces may overlap: known events are skipped.
    pub fn observe(&mut self, events: &[OutboxEvent]) {
        let known = events.partition_point(|event| event.seq() <= self.last);
        // One call of the store writes one entry: its items change first.
        for entry in events[known..].chunk_by(|one, next| same_entry(one.seq(), next.seq())) {
            self.closings.extend(closings(entry, &self.waiting, &self.bookings));
            for event in entry {
                self.last = event.seq();
                self.check_clock(event);
                if let OutboxEvent::Item(event) = event {
                    self.change_item(event);
                }
            }
            for event in entry.iter().filter_map(OutboxEvent::booking) {
                match event.from {
                    None => self.begin(event),
                    Some(from) => self.advance(event, from),
                }
            }
        }
    }

    /// Events are missing before the next piece: the log was trimmed before it was read. The
    /// changes of those events are unknown, and are never reported as violations.
    pub fn record_gap(&mut self) {
        self.gaps += 1;
        self.waiting = WaitingClients::after_gap();
        self.newest_of.clear();
    }

    /// The number of gaps.
    pub fn gaps(&self) -> u64 {
        self.gaps
    }

    /// One booking.
    pub fn booking(&self, booking: BookingId) -> Option<&LoggedBooking> {
        self.bookings.get(&booking)
    }

    /// One booking, unless a later gap may hide some of its events.
    pub(crate) fn certain(&self, booking: BookingId) -> Option<&LoggedBooking> {
        self.booking(booking).filter(|logged| logged.gaps == self.gaps)
    }

    /// All bookings, in no order.
    pub fn bookings(&self) -> impl ExactSizeIterator<Item = (BookingId, &LoggedBooking)> {
        self.bookings.iter().map(|(booking, logged)| (*booking, logged))
    }

    /// Violations within the log.
    pub fn violations(&self) -> &Violations {
        &self.violations
    }

    /// The refusals that made a closed item close further.
    pub(crate) fn closings(&self) -> &[Closing] {
        &self.closings
    }

    /// The claims of each item while it was closed.
    pub(crate) fn tries(&self) -> impl Iterator<Item = (&Arc<str>, Tries)> {
        self.waiting.tries()
    }

    /// What a sold out item means, if that is known.
    pub(crate) fn rule_of(&self, item: &str) -> Option<SoldOutRule> {
        self.terms.rules.as_ref().map(|rules| rules.sold_out.of(item))
    }

    /// How far the store's clock may be set back between two events.
    pub(crate) fn clock_jumps(&self) -> Duration {
        self.terms.clock_jumps
    }

    /// The store's clock goes back only as far as it is set back, and every deadline is one hold
    /// after its event.
    fn check_clock(&mut self, event: &OutboxEvent) {
        let (newest, at, seq) = (self.newest, event.at(), event.seq());
        if at + CLOCK_SLACK + self.terms.clock_jumps < newest {
            let case = format!("event {seq} was at {at}, after an event at {newest}");
            self.violations.record(Violation::WrongClock, case);
        }
        self.newest = newest.max(at);
        let Some(Event { booking, at, deadline, to, .. }) = event.booking() else { return };
        let Some(hold) = self.terms.hold.filter(|_| *to == BookingState::Reserved) else { return };
        let wanted = *at + hold;
        if *deadline != Some(wanted) {
            let hold_ms = millis(hold);
            let case =
                format!("{booking} was reserved at {at} for {hold_ms} ms, until {deadline:?}");
            self.violations.record(Violation::WrongClock, case);
        }
    }

    fn change_item(&mut self, event: &ItemEvent) {
        let ItemChange::Parked { quantity, places } = &event.change else {
            return self.waiting.change(event);
        };
        let wanted = Parked { item: event.item.clone(), quantity: *quantity };
        let wrong = self.waiting.park_from_line(places, &wanted);
        if let Some(place) = wrong.filter(|_| self.gaps == 0) {
            let case =
                format!("place {place} was parked for {:?}, which was available", event.item);
            self.violations.record(Violation::DispatchInversion, case);
        }
    }

    /// A new booking joins the line, or is reserved at once for a client that has paid too late.
    fn begin(&mut self, event: &Event) {
        let Event { booking, client, place, seq, to, .. } = event;
        let older = self.newest_of.insert(client.clone(), *booking);
        let ended = older.and_then(|older| Some(self.bookings.get(&older)?.state));
        let reacquires = *to == BookingState::Reserving
            && (ended == Some(BookingState::Expired) || self.gaps > 0);
        let violations = &mut self.violations;
        if *to != BookingState::Queued && !reacquires {
            let case = format!("{booking} began as {to} at {seq}");
            violations.record(Violation::IllegalTransition, case);
        }
        if self.bookings.contains_key(booking) {
            let case = format!("{booking} began again at {seq}");
            violations.record(Violation::IllegalTransition, case);
        }
        if let Some(other) = older.filter(|_| ended.is_some_and(|end| !end.is_final())) {
            let case = format!("{client} got {booking} while {other} was active");
            violations.record(Violation::Duplicated, case);
        }
        let newest = self.newest_place;
        if *place <= newest {
            let case = format!("{booking} got place {place} after place {newest} was given");
            violations.record(Violation::UnorderedPlace, case);
        }
        self.newest_place = newest.max(*place);
        self.adopt(event);
        if let Some(logged) = self.bookings.get_mut(booking).filter(|_| reacquires) {
            logged.replaces = older;
        }
    }

    /// Inserts a booking with the state of the event.
    fn adopt(&mut self, event: &Event) {
        self.check_pace(event);
        match (&event.parked, event.to) {
            (Some(wanted), _) => self.waiting.park(event.place, wanted),
            (None, BookingState::Queued) => self.waiting.join(event.place),
            (None, _) => {}
        }
        let logged = LoggedBooking {
            client: event.client.clone(),
            place: event.place,
            state: event.to,
            since: event.at,
            newest: event.seq,
            claimed: event.seq,
            asked: (event.to == BookingState::Reserving).then_some(event.seq),
            stray: event.is_reclaim() && event.to == BookingState::Reserving,
            sent_away: is_sent_away(event).then_some(event.seq),
            wanted: event.parked.clone(),
            replaces: None,
            fence: event.fence,
            deadline: event.deadline,
            paid_at: None,
            outcome: event.outcome,
            gaps: self.gaps,
        };
        self.bookings.insert(event.booking, logged);
    }

    fn advance(&mut self, event: &Event, from: BookingState) {
        let logged = match self.bookings.get(&event.booking) {
            Some(logged) if logged.gaps == self.gaps => logged,
            None if self.gaps == 0 => {
                let Event { booking, to, seq, .. } = event;
                let case =
                    format!("{booking}, which never began, went from {from} to {to} at {seq}");
                self.violations.record(Violation::IllegalTransition, case);
                return self.adopt(event);
            }
            Some(_) | None => return self.adopt(event),
        };
        let violations = &mut self.violations;
        check_transition(violations, logged, event, from);
        check_fence(violations, logged, event, from);
        check_deadline(violations, logged, event, from);
        check_stray(violations, logged, event);
        let (stray, is_sent_away) =
            (logged.stray, is_sent_away(event) && logged.replaces.is_none());
        let known = event.parked.as_ref().or(logged.wanted.as_ref()).cloned();
        self.time(event, from);
        self.check_pace(event);
        let parked = if from == BookingState::Queued { self.leave(event, stray) } else { None };
        let wanted = parked.or(known);
        if is_sent_away {
            self.check_over(event, wanted.as_ref());
        }
        if let Some(parked) = &event.parked {
            self.waiting.park(event.place, parked);
        }
        if let Some(logged) = self.bookings.get_mut(&event.booking) {
            logged.apply(event);
            logged.wanted = wanted;
        }
    }

    /// The client waits no longer; returns what it was parked for. One whose late Reserve may have
    /// arrived is asked again before its item ends, out of order: it may have its tickets already.
    fn leave(&mut self, event: &Event, stray: bool) -> Option<Parked> {
        let Event { booking, place, to, at, .. } = event;
        if *to == BookingState::Reserving {
            let is_asked_again = stray && self.waiting.is_closed_for(*place);
            let passed_over = self.waiting.passed_over(*place).filter(|_| !is_asked_again);
            if let Some(first) = passed_over {
                let case =
                    format!("place {place} ({booking}) was claimed while place {first} waited");
                self.violations.record(Violation::DispatchInversion, case);
            }
            self.waiting.try_item(*place, *at);
        }
        self.waiting.leave(*place)
    }

    fn check_pace(&mut self, event: &Event) {
        let broken = self.pace.observe(event, self.terms.rules.as_ref());
        if let Some(case) = broken.filter(|_| self.gaps == 0) {
            self.violations.record(Violation::UnpacedClaim, case);
        }
    }

    /// A client is sent away only when its item has ended, or is refused where that ends it.
    fn check_over(&mut self, event: &Event, wanted: Option<&Parked>) {
        let item = wanted.map(|wanted| &*wanted.item);
        let ends = |rule: &SoldOutRule| *rule == SoldOutRule::End;
        let ends_at_once = self.terms.rules.as_ref().is_none_or(|rules| match item {
            Some(item) => ends(&rules.sold_out.of(item)),
            None => ends(&rules.sold_out.default) || rules.sold_out.items.values().any(ends),
        });
        // The item ends after the releases of its strays.
        let closed_is_enough = ends_at_once || event.to == BookingState::Releasing;
        if self.gaps == 0 && !self.waiting.is_over(item, closed_is_enough, event.seq) {
            let Event { booking, seq, .. } = event;
            let item = item.unwrap_or("an item");
            let case = format!("{booking} ended at {seq}, but {item:?} had not ended");
            self.violations.record(Violation::SentAway, case);
        }
    }

    fn time(&mut self, event: &Event, from: BookingState) {
        use BookingState as S;
        let Some(logged) = self.bookings.get(&event.booking) else { return };
        let spent = event.at.since(logged.since);
        match (from, event.to) {
            (S::Queued, S::Reserving) => self.times.queued.record(spent),
            (S::Reserving, S::Reserved | S::SoldOut | S::Rejected) => {
                self.times.reserve.record(spent);
            }
            (S::Confirming, S::Confirmed) => self.times.confirm.record(spent),
            (S::Releasing, S::Expired) => {
                if let Some(deadline) = logged.deadline {
                    self.times.release_lag.record(event.at.since(deadline));
                }
            }
            _ => {}
        }
    }
}
