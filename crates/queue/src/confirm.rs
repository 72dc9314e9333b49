//! A payment arrives.

use std::time::Duration;

use bookingq_core::{BookingState, Fence, Outcome, Refusal, Timestamp};

use crate::bounds;
use crate::queue::Queue;
use crate::record::{Record, Slot};
use crate::request::{Confirm, Confirmed};

impl Queue {
    /// The payment wins if it comes before the deadline of the hold: the booking is confirming, and
    /// the caller has its task for `lease`.
    pub fn confirm(
        &mut self,
        confirm: &Confirm,
        lease: Duration,
        now: Timestamp,
    ) -> Result<Confirmed, Refusal> {
        let client = &confirm.client;
        let is_meant = |record: &&mut Record| {
            confirm.booking.is_none_or(|id| id == record.id || record.reacquired_for() == Some(id))
        };
        let record =
            self.bookings.get_mut(client).filter(is_meant).ok_or(Refusal::BookingNotFound)?;
        if record.state != BookingState::Reserved {
            return match (answer_again(record, confirm), confirm.reacquire) {
                (Err(Refusal::HoldExpired), Some(id)) if record.state == BookingState::Expired => {
                    Ok(self.reacquire(confirm, id, lease, now))
                }
                (answer, _) => answer,
            };
        }
        if record.deadline.is_none_or(|deadline| now >= deadline) {
            if confirm.reacquire.is_none() {
                return Err(Refusal::HoldExpired);
            }
            self.index.release(client, record, Outcome::Expired, now);
            let task = self.take(client, now + bounds::span(lease), now);
            return task
                .map(|task| Confirmed::Releasing(Box::new(task)))
                .ok_or(Refusal::HoldExpired);
        }
        let index = &mut self.index;
        index.totals.claimed += 1;
        record.fence = Fence(index.totals.claimed);
        record.payment = Some(confirm.payment.clone());
        let end = now + bounds::span(lease);
        index.transition(client, record, BookingState::Confirming, Slot::Leased(end), now);
        let task = record.task(client).ok_or(Refusal::BookingNotFound)?;
        Ok(Confirmed::Won(Box::new(task), record.booking(client, None)))
    }
}

/// The answer when there is no hold to pay for.
fn answer_again(record: &Record, confirm: &Confirm) -> Result<Confirmed, Refusal> {
    use BookingState as S;
    let same = record.payment.as_ref() == Some(&confirm.payment);
    match (record.state, record.outcome) {
        _ if same => Ok(Confirmed::Repeated(record.booking(&confirm.client, None))),
        (S::Releasing | S::Expired, Some(Outcome::Expired)) => Err(Refusal::HoldExpired),
        (state @ (S::Queued | S::Reserving), _) if record.payment.is_none() => {
            Err(Refusal::NotReserved(state))
        }
        (state, _) => Err(Refusal::AlreadyFinal(state)),
    }
}
