//! A client cancels.

use bookingq_core::{Booking, BookingState, Fence, Outcome, Refusal, Timestamp};

use crate::queue::Queue;
use crate::request::Cancel;

impl Queue {
    /// Queued: cancels at once, or makes a release due if it was refused before. Reserving: flags
    /// the task, whose settlement releases the booking. Reserved: makes a release due.
    pub fn cancel(&mut self, cancel: &Cancel, now: Timestamp) -> Result<Booking, Refusal> {
        use BookingState as S;
        let client = &cancel.client;
        let record = self
            .bookings
            .get_mut(client)
            .filter(|record| cancel.booking.is_none_or(|id| id == record.id))
            .ok_or(Refusal::BookingNotFound)?;
        match record.state {
            // It was claimed before: a Reserve whose answer was lost may still arrive.
            S::Queued if record.fence > Fence(0) => {
                self.index.release(client, record, Outcome::Cancelled, now);
            }
            S::Queued => self.index.finish(client, record, S::Cancelled, now),
            S::Reserving if record.payment.is_none() => record.outcome = Some(Outcome::Cancelled),
            S::Reserved => self.index.release(client, record, Outcome::Cancelled, now),
            S::Releasing | S::Cancelled => {}
            state => return Err(Refusal::AlreadyFinal(state)),
        }
        Ok(record.booking(client, None))
    }
}
