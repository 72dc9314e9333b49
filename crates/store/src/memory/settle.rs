//! A worker says what became of its task.

use bookingq_core::{BookingState, ClientId, Outcome, Timestamp};

use super::queue::Queue;
use super::record::{Record, Slot};
use super::registers::Registers;
use crate::bounds;
use crate::task::{Settled, Settlement, Try, Verdict};

impl Queue {
    /// Applies a settlement if it comes from the holder of the newest claim and fits the state.
    pub(super) fn settle(&mut self, settlement: &Settlement, now: Timestamp) -> Settled {
        let client = &settlement.lease.client;
        let registers = &mut self.registers;
        let settled = match self.bookings.get_mut(client) {
            Some(record) if record.is_newest_claim(&settlement.lease) => {
                if !record.in_hand() {
                    return Settled::Repeated(record.state);
                }
                apply(registers, client, record, &settlement.verdict, now)
            }
            _ => Settled::Stale,
        };
        match settled {
            Settled::Applied(_) => registers.totals.busy_us += bounds::busy_us(settlement.busy),
            Settled::Stale => registers.totals.stale += 1,
            Settled::Repeated(_) => {}
        }
        settled
    }
}

/// The verdict of whoever holds the task.
fn apply(
    registers: &mut Registers,
    client: &ClientId,
    record: &mut Record,
    verdict: &Verdict,
    now: Timestamp,
) -> Settled {
    use BookingState as S;
    match (record.state, verdict) {
        (S::Reserving, Verdict::Reserved { reservation, hold }) => {
            record.reservation = Some(reservation.clone());
            if record.is_leaving() {
                release(registers, client, record, Outcome::Cancelled, now);
            } else {
                hold_until(registers, client, record, now + bounds::span(*hold), now);
            }
        }
        (S::Reserving, Verdict::SoldOut) => end(registers, client, record, S::SoldOut, now),
        (S::Reserving, Verdict::Rejected { reason }) => {
            record.reason = bounds::reason(reason);
            end(registers, client, record, S::Rejected, now);
        }
        (S::Confirming, Verdict::Confirmed) => end(registers, client, record, S::Confirmed, now),
        (S::Releasing, Verdict::Confirmed) => {
            record.outcome = None;
            record.reason.clear();
            end(registers, client, record, S::Confirmed, now);
        }
        (S::Releasing, Verdict::Released) => {
            let outcome = record.outcome.unwrap_or(Outcome::Failed);
            end(registers, client, record, outcome.state(), now);
        }
        (S::Reserving, Verdict::Retry { .. }) if record.is_leaving() => {
            release(registers, client, record, Outcome::Cancelled, now);
        }
        (S::Reserving | S::Confirming | S::Releasing, Verdict::Retry { after, counts }) => {
            record.settled = record.fence;
            record.attempts += u32::from(*counts == Try::Counts);
            registers.totals.retried += 1;
            registers.refile(client, record, Slot::Leased(now + bounds::span(*after)));
        }
        (S::Reserving | S::Confirming, Verdict::GiveUp { reason }) => {
            record.reason = bounds::reason(reason);
            let outcome = if record.is_leaving() { Outcome::Cancelled } else { Outcome::Failed };
            release(registers, client, record, outcome, now);
        }
        _ => return Settled::Stale,
    }
    Settled::Applied(record.state)
}

fn hold_until(
    registers: &mut Registers,
    client: &ClientId,
    record: &mut Record,
    deadline: Timestamp,
    now: Timestamp,
) {
    record.settled = record.fence;
    record.attempts = 0;
    record.deadline = Some(deadline);
    registers.totals.reserved += 1;
    registers.transition(client, record, BookingState::Reserved, Slot::Held(deadline), now);
}

/// Makes a release due now.
pub(super) fn release(
    registers: &mut Registers,
    client: &ClientId,
    record: &mut Record,
    outcome: Outcome,
    now: Timestamp,
) {
    record.settled = record.fence;
    record.attempts = 0;
    record.outcome = Some(outcome);
    registers.transition(client, record, BookingState::Releasing, Slot::Leased(now), now);
}

fn end(
    registers: &mut Registers,
    client: &ClientId,
    record: &mut Record,
    to: BookingState,
    now: Timestamp,
) {
    record.settled = record.fence;
    registers.finish(client, record, to, now);
}
