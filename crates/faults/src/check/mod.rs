//! The checker: history, audit log, store and ledger against each other, and each invariant's
//! verdict by number.
//!
//! ```text
//!   calls of the clients ──> Promises   (calls against calls, as they end)
//!   audit log ─────────────> sim::History (transitions, fences, order, deadlines)  and  Clock (Redis's time)
//!   all of it, with store and ledger, at the end ──> judge ──> Findings
//! ```

mod clock;
mod findings;
mod promises;
pub mod saved;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use bookingq_core::{Booking, BookingId, BookingState};
use bookingq_sim::ledger::{Entry, LedgerCopy};
use bookingq_sim::{Evidence, History, Moment, Verdict};
use bookingq_store::Snapshot;

pub use self::clock::Clock;
pub use self::findings::{Findings, Ruling};
pub use self::promises::Promises;
use self::promises::{Payment, Told, reaches};

/// Everything there is to judge by, at rest.
#[derive(Debug)]
pub struct Case<'a> {
    /// What clients were told.
    pub promises: &'a Promises,
    /// The audit log.
    pub history: &'a History,
    /// What the log says of Redis's clock.
    pub clock: &'a Clock,
    /// The newest booking of every client, from the store.
    pub bookings: Vec<Booking>,
    /// The queue as a whole.
    pub snapshot: Snapshot,
    /// The shop's ledger.
    pub ledger: LedgerCopy,
}

impl Case<'_> {
    /// The verdict of the log's own checker, and all that was found.
    pub fn judge(self) -> (Verdict, Findings) {
        let mut findings = self.promises.findings().clone();
        findings.add(self.clock.findings());
        let Self { promises, history, bookings, snapshot, ledger, .. } = self;
        let evidence = Evidence {
            acknowledged: promises.acknowledged(),
            bookings,
            ledger: Some(ledger.clone()),
        };
        let verdict = history.judge(&evidence, Moment::AtRest);
        for (kind, count, examples) in verdict.violations.iter() {
            let word = kind.as_str();
            let cases = examples.iter().map(|example| format!("{word}: {example}"));
            findings.note_many(kind.invariant(), count, cases);
        }
        if verdict.gaps > 0 {
            findings.note(8, || {
                format!("the audit log had {} gaps, so this verdict is not complete", verdict.gaps)
            });
        }
        let store: HashMap<BookingId, &Booking> =
            evidence.bookings.iter().map(|b| (b.id, b)).collect();
        for (booking, told) in promises.told() {
            check_told(
                &mut findings,
                promises.epoch_ms(),
                *booking,
                told,
                history,
                store.get(booking).copied(),
            );
        }
        for entry in &ledger.entries {
            check_entry(&mut findings, entry, history);
        }
        check_paid(&mut findings, promises, history);
        check_rest(&mut findings, &snapshot, &verdict, &ledger);
        (verdict, findings)
    }
}

/// What clients were told of a booking, against what became of it.
fn check_told(
    findings: &mut Findings,
    epoch_ms: u64,
    booking: BookingId,
    told: &Told,
    history: &History,
    stored: Option<&Booking>,
) {
    let Some(life) = history.life(booking) else {
        return findings
            .note(1, || format!("{booking} of {} was shown, and is not in the log", told.client));
    };
    if life.client != told.client || life.place != told.place {
        findings.note(2, || {
            format!(
                "{booking} has another client or place in the log than {} was told",
                told.client
            )
        });
    }
    if let Some(state) = told.newest_states().find(|state| !reaches(*state, life.state)) {
        findings.note(8, || format!("{booking} was shown as {state}, and ended as {}", life.state));
    }
    let logged = life.deadline.map(|deadline| deadline.0);
    if told.deadline_ms.is_some() && told.deadline_ms != logged {
        findings.note(7, || {
            format!(
                "{booking}: its client was told {:?}, the log says {logged:?}",
                told.deadline_ms
            )
        });
    }
    let left = matches!(
        life.state,
        BookingState::Cancelled | BookingState::SoldOut | BookingState::Rejected
    );
    if told.cancelled && !left {
        findings.note(5, || {
            format!("{booking} was acknowledged as cancelled, and ended as {}", life.state)
        });
    }
    let mut acknowledged = told.payments.iter().filter(|payment| payment.acknowledged);
    if let Some(payment) = acknowledged.next() {
        check_payment(findings, epoch_ms, booking, payment, history, stored);
    }
    if let Some(second) = acknowledged.next() {
        findings.note(5, || {
            format!("{booking}: two payments were acknowledged, {} the second", second.id)
        });
    }
}

/// An acknowledged payment won in time, and is the one that the store knows.
fn check_payment(
    findings: &mut Findings,
    epoch_ms: u64,
    booking: BookingId,
    payment: &Payment,
    history: &History,
    stored: Option<&Booking>,
) {
    let Some(life) = history.life(booking) else { return };
    let Payment { id, sent, .. } = payment;
    let sent_ms = epoch_ms + sent / 1000;
    match (life.paid_at, life.deadline) {
        (Some(paid), Some(deadline)) if paid < deadline => {}
        (paid, deadline) => findings.note(5, || {
            format!("{booking}: payment {id} was acknowledged; the log says paid at {paid:?}, deadline {deadline:?}")
        }),
    }
    if let Some(deadline) = life.deadline.filter(|deadline| sent_ms > deadline.0) {
        findings.note(5, || {
            format!(
                "{booking}: payment {id} was first sent at {sent_ms}, after {deadline}, and won"
            )
        });
    }
    if !matches!(life.state, BookingState::Confirmed | BookingState::Failed) {
        findings.note(5, || {
            format!("{booking}: payment {id} was acknowledged, and it ended as {}", life.state)
        });
    }
    if let Some(known) =
        stored.map(|stored| &stored.payment).filter(|known| known.as_ref() != Some(id))
    {
        findings.note(5, || {
            format!("{booking}: payment {id} was acknowledged, the store has {known:?}")
        });
    }
}

/// Whatever was called at the shop has a booking of ours, of that client, and only what was paid
/// was confirmed.
fn check_entry(findings: &mut Findings, entry: &Entry, history: &History) {
    let id = &entry.booking_id;
    let Some(life) = BookingId::new(id).ok().and_then(|booking| history.life(booking)) else {
        return findings
            .note(4, || format!("the shop was called for {id}, which the log does not know"));
    };
    if *entry.client_id != *life.client.as_str() {
        findings.note(4, || {
            format!("the shop was called for {id} of {}, not {}", entry.client_id, life.client)
        });
    }
    if entry.calls.confirm > 0 && life.paid_at.is_none() {
        findings.note(5, || format!("the shop was asked to confirm {id}, which nobody had paid"));
    }
}

/// Only what its client tried to pay is paid.
fn check_paid(findings: &mut Findings, promises: &Promises, history: &History) {
    for (booking, life) in history.lives().filter(|(_, life)| life.paid_at.is_some()) {
        let tried = promises.told().get(&booking).is_some_and(|told| !told.payments.is_empty());
        if !tried {
            findings.note(5, || {
                format!("{booking} of {} was paid, and no payment was sent", life.client)
            });
        }
    }
}

/// At rest the sets are empty, and the counters count what the log shows: no call counted twice.
fn check_rest(
    findings: &mut Findings,
    snapshot: &Snapshot,
    verdict: &Verdict,
    ledger: &LedgerCopy,
) {
    let Snapshot { backlog, in_flight, holds, totals, .. } = snapshot;
    if (*backlog, *in_flight, *holds) != (0, 0, 0) {
        findings.note(4, || {
            format!(
                "no rest: {backlog} in the line, {in_flight} in flight, {holds} held, and nothing moves them"
            )
        });
    }
    let alive = verdict.tallies.waiting + verdict.tallies.in_progress;
    if alive > 0 {
        findings.note(1, || format!("{alive} bookings never came to an end"));
    }
    let finals = &verdict.tallies.finals;
    let counters = [
        ("enqueued", totals.enqueued, verdict.tallies.enqueued),
        ("confirmed", totals.confirmed, finals.confirmed),
        ("expired", totals.expired, finals.expired),
        ("cancelled", totals.cancelled, finals.cancelled),
        ("sold_out", totals.sold_out, finals.sold_out),
        ("rejected", totals.rejected, finals.rejected),
        ("failed", totals.failed, finals.failed),
        ("damaged", totals.damaged, 0),
    ];
    for (name, counted, happened) in counters {
        if counted != happened {
            findings.note(8, || {
                format!("the counter `{name}` says {counted}, the bookings say {happened}")
            });
        }
    }
    if ledger.totals.held > 0 {
        findings.note(4, || format!("{} tickets are put aside for nobody", ledger.totals.held));
    }
    if ledger.totals.released_after_confirm_bookings > 0 {
        let count = ledger.totals.released_after_confirm_bookings;
        findings.note(4, || format!("{count} bookings were to be given back after they were sold"));
    }
}
