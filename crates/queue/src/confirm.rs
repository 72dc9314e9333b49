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
        let record = self
            .bookings
            .get_mut(client)
            .filter(|record| confirm.booking.is_none_or(|id| id == record.id))
            .ok_or(Refusal::BookingNotFound)?;
        if record.state != BookingState::Reserved {
            return answer_again(record, confirm);
        }
        if record.deadline.is_none_or(|deadline| now >= deadline) {
            return Err(Refusal::HoldExpired);
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
        (state @ (S::Queued | S::Reserving), _) => Err(Refusal::NotReserved(state)),
        (S::Releasing | S::Expired, Some(Outcome::Expired)) => Err(Refusal::HoldExpired),
        (S::Confirming | S::Confirmed | S::Failed, _) | (S::Releasing, Some(Outcome::Failed))
            if same =>
        {
            Ok(Confirmed::Repeated(record.booking(&confirm.client, None)))
        }
        (state, _) => Err(Refusal::AlreadyFinal(state)),
    }
}
