//! A client asks for a place in line.

use bookingq_core::{Admission, Place, Refusal, Timestamp};

use super::queue::Queue;
use super::record::Record;
use crate::view::{Enqueue, Enqueued};

impl Queue {
    /// The place it has, or a new one at the end.
    pub(super) fn enqueue(&mut self, asked: &Enqueue, now: Timestamp) -> Result<Enqueued, Refusal> {
        let client = &asked.client;
        if let Some(ended) = self.earlier.get(&(client.clone(), asked.request.clone())) {
            return Ok(Enqueued { booking: ended.booking(client, None), existing: true });
        }
        if let Some(record) = self.bookings.get(client)
            && (record.request == asked.request || !record.state.is_final())
        {
            let booking = record.booking(client, self.registers.position(record));
            return Ok(Enqueued { booking, existing: true });
        }
        if self.registers.admission == Admission::Closed {
            return Err(Refusal::QueueClosed);
        }
        self.registers.totals.enqueued += 1;
        let record = Record::new(asked, Place::numbered(self.registers.totals.enqueued), now);
        self.registers.file(client, &record);
        self.registers.tell(client, &record, None, now);
        let booking = record.booking(client, self.registers.position(&record));
        if let Some(old) = self.bookings.insert(client.clone(), record) {
            self.remember(client, old);
        }
        Ok(Enqueued { booking, existing: false })
    }
}
