//! A client leaves.

use bookingq_core::{Booking, BookingState, Outcome, Refusal, Timestamp};

use super::queue::Queue;
use super::settle::release;
use crate::view::Cancel;

impl Queue {
    /// Leaves the line, marks a task that is in somebody's hands, or gives a hold back.
    pub(super) fn cancel(&mut self, asked: &Cancel, now: Timestamp) -> Result<Booking, Refusal> {
        use BookingState as S;
        let client = &asked.client;
        let registers = &mut self.registers;
        let record = self
            .bookings
            .get_mut(client)
            .filter(|record| asked.booking.is_none_or(|id| id == record.id))
            .ok_or(Refusal::BookingNotFound)?;
        match record.state {
            S::Queued => registers.finish(client, record, S::Cancelled, now),
            S::Reserving => record.outcome = Some(Outcome::Cancelled),
            S::Reserved => release(registers, client, record, Outcome::Cancelled, now),
            S::Releasing | S::Cancelled => {}
            state => return Err(Refusal::AlreadyFinal(state)),
        }
        Ok(record.booking(client, None))
    }
}
