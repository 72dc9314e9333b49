//! The comparison of answers, audit log, store and ledger.

mod answered;
mod ledger;
mod shown;
mod sold_out;

use std::collections::HashMap;

use bookingq_core::{Admission, Booking, BookingId, BookingState, ClientId};
use bookingq_sim::ledger::{LedgerCopy, LedgerTotals};
use bookingq_store::Snapshot;
use serde::Serialize;

use crate::answers::Answers;
use crate::log::AuditLog;
use crate::tally::{Tallies, Timings};
use crate::violation::{Violation, Violations};

/// Whether the queue changes while the evidence is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Moment {
    /// No worker, sweeper or client acts any more, and no work is due: everything must agree
    /// exactly.
    AtRest,
    /// Work goes on: a booking that is being reserved, confirmed or released may be ahead of what
    /// was read.
    InMotion,
}

/// The records of store and Booking Service. Take them in the order of the fields, and the log at
/// least up to the moment at which the bookings were read; otherwise later changes look like
/// violations.
#[derive(Debug, Clone, Default)]
pub struct Evidence {
    /// The newest booking of every client in the log or the answers, from the store.
    pub bookings: Vec<Booking>,
    /// The ledger of a simulated Booking Service; its rules are not checked without it.
    pub ledger: Option<LedgerCopy>,
    /// The queue at the end of a run that was its whole history: every booking must have ended,
    /// only recorded calls made any, and the counters count them. `None` for any other queue.
    pub whole: Option<Snapshot>,
}

/// The result.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Verification {
    /// Whether the queue changed meanwhile.
    pub moment: Moment,
    /// Bookings by state.
    #[serde(flatten)]
    pub tallies: Tallies,
    /// The totals of the ledger.
    pub ledger: Option<LedgerTotals>,
    /// Broken rules.
    #[serde(flatten)]
    pub violations: Violations,
    /// The gaps of the log. Above 0, the verification is not complete.
    #[serde(rename = "audit_gaps")]
    pub gaps: u64,
    /// Durations by the store's clock.
    #[serde(skip)]
    pub timings: Timings,
}

impl AuditLog {
    /// Checks everything. May be called again with later evidence.
    pub fn verify(&self, answers: &Answers, evidence: &Evidence, moment: Moment) -> Verification {
        let mut violations = self.violations().clone();
        violations.add(&answers.violations());
        let store = evidence.bookings.iter().map(|booking| (booking.id, booking)).collect();
        let mut comparison = Comparison { log: self, answers, evidence, store, moment, violations };
        comparison.find_lost();
        comparison.find_duplicated();
        comparison.find_disagreements();
        comparison.check_answers();
        comparison.check_sent_away();
        comparison.check_shown();
        if let Some(ledger) = &evidence.ledger {
            comparison.check_ledger(ledger);
        }
        let tallies = comparison.tallies();
        if let Some(snapshot) = &evidence.whole {
            comparison.check_whole(snapshot, &tallies);
        }
        Verification {
            moment,
            tallies,
            ledger: evidence.ledger.as_ref().map(|ledger| ledger.totals),
            violations: comparison.violations,
            gaps: self.gaps(),
            timings: self.times.summary(),
        }
    }
}

struct Comparison<'a> {
    log: &'a AuditLog,
    answers: &'a Answers,
    evidence: &'a Evidence,
    store: HashMap<BookingId, &'a Booking>,
    moment: Moment,
    violations: Violations,
}

impl Comparison<'_> {
    /// The booking's state: from the store, or from the log if it is no longer its client's
    /// newest.
    fn state(&self, booking: BookingId) -> Option<BookingState> {
        let stored = self.store.get(&booking).map(|booking| booking.state);
        stored.or_else(|| self.log.booking(booking).map(|logged| logged.state))
    }

    fn tallies(&self) -> Tallies {
        let mut tallies = Tallies::default();
        let logged = self.log.bookings().map(|(booking, _)| booking);
        let unlogged = self.store.keys().copied().filter(|id| self.log.booking(*id).is_none());
        for state in logged.chain(unlogged).filter_map(|booking| self.state(booking)) {
            tallies.add(state);
        }
        tallies
    }

    fn find_lost(&mut self) {
        let newest: HashMap<&ClientId, &Booking> =
            self.evidence.bookings.iter().map(|booking| (&booking.client, booking)).collect();
        for (booking, answered) in &self.answers.bookings {
            if self.store.contains_key(booking) {
                continue;
            }
            // After a gap, a booking that is neither in the log nor its client's newest may have
            // ended unseen.
            let unseen = self.log.gaps() > 0
                && newest.get(&answered.client).is_some_and(|newer| newer.place > answered.place);
            let lost = match self.log.booking(*booking) {
                None => !unseen,
                Some(logged) => {
                    answered.acknowledged
                        && self.log.certain(*booking).is_some()
                        && !logged.state.is_final()
                }
            };
            if lost {
                let (client, request) = (&answered.client, &answered.request);
                let place = answered.place;
                let case =
                    format!("{client} was shown {booking} (request {request}, place {place})");
                self.violations.record(Violation::Lost, case);
            }
        }
    }

    fn find_duplicated(&mut self) {
        for stored in &self.evidence.bookings {
            let (client, request) = (&stored.client, &stored.request);
            let key = (client.clone(), request.clone());
            if let Some((first, _)) = self.answers.requests.get(&key)
                && *first != stored.id
            {
                let case =
                    format!("request {request} of {client} became {first} and {}", stored.id);
                self.violations.record(Violation::Duplicated, case);
            }
        }
    }

    /// While the queue changes, only final states can be compared; at rest all can.
    fn find_disagreements(&mut self) {
        for (booking, stored) in &self.store {
            let logged = self.log.certain(*booking).map(|logged| logged.state);
            let hidden =
                logged.is_none() && (self.log.gaps() > 0 || self.log.booking(*booking).is_some());
            let comparable = self.moment == Moment::AtRest || stored.state.is_final();
            if comparable && !hidden && logged != Some(stored.state) {
                let logged = logged.map_or("nothing", BookingState::as_str);
                let case =
                    format!("{booking} is {} in the store; the log says {logged}", stored.state);
                self.violations.record(Violation::Disagreement, case);
            }
        }
    }

    /// At the end of a whole history the sets are empty, and the counters equal the log: no call
    /// counted twice.
    fn check_whole(&mut self, snapshot: &Snapshot, tallies: &Tallies) {
        let Snapshot { backlog, in_flight, holds, totals, .. } = snapshot;
        let alive = tallies.waiting + tallies.in_progress;
        if alive > 0 || (*backlog, *in_flight, *holds) != (0, 0, 0) {
            let case = format!(
                "{alive} bookings never ended; the store has {backlog} in the line, \
                     {in_flight} in flight and {holds} held, and nothing moves them"
            );
            self.violations.record(Violation::Unfinished, case);
        }
        let finals = &tallies.finals;
        let open = snapshot.admission == Admission::Open;
        let closed = if open { self.answers.refused_as_closed } else { 0 };
        let counters = [
            ("enqueued", totals.enqueued, tallies.enqueued),
            ("confirmed", totals.confirmed, finals.confirmed),
            ("expired", totals.expired, finals.expired),
            ("cancelled", totals.cancelled, finals.cancelled),
            ("sold_out", totals.sold_out, finals.sold_out),
            ("rejected", totals.rejected, finals.rejected),
            ("failed", totals.failed, finals.failed),
            ("damaged", totals.damaged, 0),
            ("refused as closed", closed, 0),
        ];
        for (name, counted, happened) in counters.into_iter().filter(|(_, a, b)| a != b) {
            let case = format!("the counter `{name}` is {counted}; the bookings say {happened}");
            self.violations.record(Violation::Disagreement, case);
        }
    }
}
