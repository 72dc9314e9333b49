//! A payment came after its hold had expired: one more try.

use std::sync::Arc;
use std::time::Duration;

use bookingq_core::{BookingId, BookingState, Fence, Generation, Place, Timestamp};

use crate::bounds;
use crate::queue::Queue;
use crate::record::{Record, Slot};
use crate::request::{Confirm, Confirmed, Enqueue, reacquiring};
use crate::task::Task;

impl Queue {
    /// Makes a new booking for the client's expired one, which is reserved and confirmed ahead of
    /// the line where its item is available, and otherwise ends sold out.
    pub(crate) fn reacquire(
        &mut self,
        confirm: &Confirm,
        id: BookingId,
        lease: Duration,
        now: Timestamp,
    ) -> Confirmed {
        let client = &confirm.client;
        let expired = self.bookings.remove(client).expect("the caller has found it");
        let enqueue = Enqueue {
            client: client.clone(),
            request: reacquiring(expired.id),
            booking: id,
            details: expired.details.clone(),
            trace: None,
        };
        self.keep_earlier(client, expired);
        self.index.totals.enqueued += 1;
        self.index.totals.claimed += 1;
        self.index.totals.reacquired += 1;
        let (name, quantity) = (Arc::clone(&enqueue.details.item), enqueue.details.quantity);
        let item = self.index.items.get(&name);
        let claimable = item.is_none_or(|item| item.is_claimable(quantity));
        let task_of = item.map(|item| (item.is_untouched(), item.returned));
        let end = Slot::Leased(now + bounds::span(lease));
        let record = Record {
            state: BookingState::Reserving,
            slot: end,
            fence: Fence(self.index.totals.claimed),
            payment: Some(confirm.payment.clone()),
            ..Record::new(&enqueue, Place::numbered(self.index.totals.enqueued), now)
        };
        self.index.items.change(&name, |item| item.unsettled += 1);
        if claimable {
            self.index.claim_item(&name, quantity, None, now);
        }
        self.index.insert(client, &record);
        self.index.emit(client, &record, None, now);
        self.bookings.insert(client, record);
        let record = self.bookings.get_mut(client).expect("it was inserted just now");
        if !claimable {
            self.index.finish(client, record, BookingState::SoldOut, now);
            return Confirmed::Reacquired(None, record.booking(client, None));
        }
        let (item_open, generation) = task_of.unwrap_or((true, Generation::default()));
        let task = record.task(client);
        let task = task.map(|task| Box::new(Task { first: true, item_open, generation, ..task }));
        Confirmed::Reacquired(task, record.booking(client, None))
    }
}
