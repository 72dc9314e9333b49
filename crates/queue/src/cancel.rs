//! A client cancels.

use bookingq_core::{Booking, BookingState, Outcome, Refusal, Timestamp};

use crate::queue::Queue;
use crate::request::Cancel;

impl Queue {
    /// Queued: cancels at once. Reserving: flags the task, whose settlement releases the booking.
    /// Reserved: makes a release due.
    pub fn cancel(&mut self, cancel: &Cancel, now: Timestamp) -> Result<Booking, Refusal> {
        use BookingState as S;
        let client = &cancel.client;
        let record = self
            .bookings
            .get_mut(client)
            .filter(|record| cancel.booking.is_none_or(|id| id == record.id))
            .ok_or(Refusal::BookingNotFound)?;
        match record.state {
            S::Queued => self.index.finish(client, record, S::Cancelled, now),
            S::Reserving => record.outcome = Some(Outcome::Cancelled),
            S::Reserved => self.index.release(client, record, Outcome::Cancelled, now),
            S::Releasing | S::Cancelled => {}
            state => return Err(Refusal::AlreadyFinal(state)),
        }
        Ok(record.booking(client, None))
    }
}
