//! A worker records the outcome of its task.

use bookingq_core::{BookingState, ClientId, Outcome, Timestamp};

use crate::bounds;
use crate::index::Index;
use crate::queue::Queue;
use crate::record::{Record, Slot};
use crate::task::{Settled, Settlement, TaskOutcome, Try};

impl Queue {
    /// Applies a settlement if it comes from the holder of the newest claim and fits the state.
    pub fn settle(&mut self, settlement: &Settlement, now: Timestamp) -> Settled {
        let client = &settlement.lease.client;
        let settled = match self.bookings.get_mut(client) {
            Some(record) if record.is_newest_claim(&settlement.lease) => {
                if !record.is_held() {
                    return Settled::Repeated(record.state);
                }
                apply(&mut self.index, client, record, &settlement.outcome, now)
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
    outcome: &TaskOutcome,
    now: Timestamp,
) -> Settled {
    use BookingState as S;
    match (record.state, outcome) {
        (S::Reserving, TaskOutcome::Reserved { reservation, hold }) => {
            record.reservation = Some(reservation.clone());
            if record.is_leaving() {
                index.release(client, record, Outcome::Cancelled, now);
            } else {
                hold_until(index, client, record, now + bounds::span(*hold), now);
            }
        }
        (S::Reserving, TaskOutcome::SoldOut) => index.finish(client, record, S::SoldOut, now),
        (S::Reserving, TaskOutcome::Rejected { reason }) => {
            record.reason = bounds::reason(reason);
            index.finish(client, record, S::Rejected, now);
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
            index.move_to(client, record, Slot::Leased(now + bounds::span(*after)));
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
