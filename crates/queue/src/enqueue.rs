//! A client joins the line.

use bookingq_core::{Admission, Place, Refusal, Timestamp};

use crate::queue::Queue;
use crate::record::Record;
use crate::request::{Enqueue, Enqueued};

impl Queue {
    /// Returns the booking that this request made, else the client's active booking, else a new
    /// booking at the end of the line.
    pub fn enqueue(&mut self, enqueue: &Enqueue, now: Timestamp) -> Result<Enqueued, Refusal> {
        let client = &enqueue.client;
        if let Some(ended) = self.bookings.earlier(client, &enqueue.request) {
            return Ok(Enqueued { booking: ended.booking(client, None), existing: true });
        }
        if let Some(record) = self.bookings.get(client)
            && (record.request == enqueue.request || !record.state.is_final())
        {
            let booking = record.booking(client, self.index.position(record));
            return Ok(Enqueued { booking, existing: true });
        }
        if self.index.admission == Admission::Closed {
            return Err(Refusal::QueueClosed);
        }
        self.index.totals.enqueued += 1;
        let record = Record::new(enqueue, Place::numbered(self.index.totals.enqueued), now);
        self.index.insert(client, &record);
        self.index.emit(client, &record, None, now);
        let booking = record.booking(client, self.index.position(&record));
        if let Some(old) = self.bookings.insert(client, record) {
            self.keep_earlier(client, old);
        }
        Ok(Enqueued { booking, existing: false })
    }
}
