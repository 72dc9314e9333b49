//! A worker records the outcome of its task.

use bookingq_core::{BookingState, ClientId, Generation, Outcome, Timestamp};

use crate::bounds;
use crate::index::Index;
use crate::item::Refused;
use crate::queue::Queue;
use crate::record::{Record, Slot};
use crate::task::{Lease, Settled, Settlement, TaskOutcome, Try};

impl Queue {
    /// Applies a settlement if it comes from the holder of the newest claim and fits the state.
    pub fn settle(&mut self, settlement: &Settlement, now: Timestamp) -> Settled {
        let client = &settlement.lease.client;
        let settled = match self.bookings.get_mut(client) {
            Some(record) if record.is_newest_claim(&settlement.lease) => {
                if !record.is_held() {
                    return Settled::Repeated(record.state);
                }
                let Settlement { lease: Lease { generation, .. }, outcome, .. } = settlement;
                apply(&mut self.index, client, record, (outcome, *generation), now)
            }
            _ => Settled::Stale,
        };
        let totals = &mut self.index.totals;
        match settled {
            Settled::Applied(_) => totals.busy_us += bounds::busy_us(settlement.busy),
            Settled::Stale => totals.stale += 1,
            Settled::Repeated(_) => {}
        }
        settled
    }
}

/// Applies an outcome that comes from the holder of the task.
fn apply(
    index: &mut Index,
    client: &ClientId,
    record: &mut Record,
    (outcome, generation): (&TaskOutcome, Generation),
    now: Timestamp,
) -> Settled {
    use BookingState as S;
    match (record.state, outcome) {
        (S::Reserving, TaskOutcome::Reserved { reservation, hold, left }) => {
            record.reservation = Some(reservation.clone());
            index.reserved(record, *left, now);
            if record.is_leaving() {
                index.release(client, record, Outcome::Cancelled, now);
            } else if record.payment.is_some() {
                confirm_paid(index, client, record, now);
            } else {
                hold_until(index, client, record, now + bounds::span(*hold), now);
            }
        }
        (S::Reserving, TaskOutcome::SoldOut { left, elsewhere }) => {
            refuse(index, client, record, (*left, *elsewhere, generation), now);
        }
        (S::Reserving, TaskOutcome::Rejected { reason }) => {
            record.reason = bounds::reason(reason);
            index.turn_away(client, record, Outcome::Rejected, now);
        }
        (S::Confirming, TaskOutcome::Confirmed) => index.finish(client, record, S::Confirmed, now),
        (S::Releasing, TaskOutcome::Confirmed) => {
            record.outcome = None;
            record.reason.clear();
            index.finish(client, record, S::Confirmed, now);
        }
        (S::Releasing, TaskOutcome::Released) => {
            let outcome = record.outcome.unwrap_or(Outcome::Failed);
            index.finish(client, record, outcome.state(), now);
        }
        (S::Reserving, TaskOutcome::Retry { .. }) if record.is_leaving() => {
            index.release(client, record, Outcome::Cancelled, now);
        }
        (S::Reserving | S::Confirming | S::Releasing, TaskOutcome::Retry { after, counts }) => {
            record.settled = record.fence;
            record.attempts += u32::from(*counts == Try::Counts);
            index.totals.retried += 1;
            index.move_to(client, record, Slot::Leased(now + bounds::span(*after)), now);
        }
        (S::Reserving | S::Confirming, TaskOutcome::GiveUp { reason }) => {
            record.reason = bounds::reason(reason);
            let outcome = if record.is_leaving() { Outcome::Cancelled } else { Outcome::Failed };
            index.release(client, record, outcome, now);
        }
        _ => return Settled::Stale,
    }
    Settled::Applied(record.state)
}

/// Parks a refused booking, or ends it if it has nothing to wait for.
fn refuse(
    index: &mut Index,
    client: &ClientId,
    record: &mut Record,
    (left, elsewhere, generation): (Option<u64>, u64, Generation),
    now: Timestamp,
) {
    let (place, quantity, fence) = (record.place, record.details.quantity, record.fence);
    let stray = record.stray;
    let refused = Refused { place, quantity, fence, generation, left, elsewhere, stray };
    let is_final = index.refused(&record.details.item, refused, now);
    if is_final || record.payment.is_some() {
        index.turn_away(client, record, Outcome::SoldOut, now);
    } else if record.is_leaving() {
        index.release(client, record, Outcome::Cancelled, now);
    } else {
        record.settled = record.fence;
        record.attempts = 0;
        index.totals.parked += 1;
        index.transition(client, record, BookingState::Queued, Slot::Parked, now);
    }
}

/// A payment waits for this reservation: its confirmation is due now.
fn confirm_paid(index: &mut Index, client: &ClientId, record: &mut Record, now: Timestamp) {
    record.settled = record.fence;
    record.attempts = 0;
    index.totals.reserved += 1;
    index.transition(client, record, BookingState::Confirming, Slot::Leased(now), now);
}

fn hold_until(
    index: &mut Index,
    client: &ClientId,
    record: &mut Record,
    deadline: Timestamp,
    now: Timestamp,
) {
    record.settled = record.fence;
    record.attempts = 0;
    record.deadline = Some(deadline);
    index.totals.reserved += 1;
    index.transition(client, record, BookingState::Reserved, Slot::Held(deadline), now);
}
