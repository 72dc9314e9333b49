//! ConfirmPayment: the store decides whether the payment is in time; what follows is a task like
//! any other.

use std::sync::Arc;

use bookingq_core::{Booking, BookingId};
use bookingq_follow::{Subscription, WatchUpdate};
use bookingq_proto::error::ApiError;
use bookingq_store::{Confirm, Confirmed, Task};
use tokio::time::{Instant, timeout_at};
use tracing::{Instrument as _, info};

use super::WorkerService;

impl WorkerService {
    /// Records the payment, and waits at most as long as one call to the Booking Service may take.
    ///
    /// This worker executes the tasks at once. They continue when the caller disconnects, and
    /// another worker claims them when this one dies.
    pub(super) async fn confirm(&self, confirm: Confirm) -> Result<Booking, ApiError> {
        let until = Instant::now() + self.executor.booking.timeout();
        loop {
            let confirmed = self.store.confirm(confirm.clone(), self.lease).await;
            match confirmed.map_err(|error| self.reader.failed(error))?? {
                Confirmed::Won(task, booking) => {
                    self.execute(*task, until).await;
                    return Ok(self.newest_of(booking).await);
                }
                Confirmed::Repeated(booking) => return Ok(booking),
                // Then the next call makes the new booking, or says HOLD_EXPIRED if the release is
                // not through.
                Confirmed::Releasing(task) => self.execute(*task, until).await,
                Confirmed::Reacquired(task, booking) => {
                    return Ok(self.reacquire(task, booking, until).await);
                }
            }
        }
    }

    /// Reserves for a payment that came too late, and waits for the confirmation.
    async fn reacquire(
        &self,
        task: Option<Box<Task>>,
        booking: Booking,
        until: Instant,
    ) -> Booking {
        info!(
            client_id = %booking.client, booking_id = %booking.id, request_id = %booking.request,
            state = %booking.state, "a payment came after its hold had expired"
        );
        let Some(task) = task else { return booking };
        // Before the task runs, so that no event is missed.
        let mut updates = self.reader.followed.hub.subscribe(&booking.client);
        self.execute(*task, until).await;
        // The confirmation is due: any worker may claim it.
        let _ = timeout_at(until, end_of(booking.id, &mut updates)).await;
        self.newest_of(booking).await
    }

    /// Runs a task until it is settled, and waits for it.
    async fn execute(&self, task: Task, until: Instant) {
        let executor = Arc::clone(&self.executor);
        let open = executor.booking.breaker.is_open();
        let work = async move {
            // While the circuit is open, only the claim loop's probes call the service.
            if open { executor.hand_back(&task).await } else { executor.run(task).await }
        };
        let running = self.confirmations.spawn(work.in_current_span());
        if !open && timeout_at(until, running).await.is_ok() {
            self.wake.due();
        }
    }

    /// The booking as it is now. The payment is recorded, whatever this reading returns.
    async fn newest_of(&self, booking: Booking) -> Booking {
        let now = self.store.status(booking.client.clone()).await.ok().flatten();
        now.filter(|now| now.id == booking.id).unwrap_or(booking)
    }
}

/// Waits until a booking has ended, or may have.
async fn end_of(booking: BookingId, updates: &mut Subscription) {
    loop {
        match updates.next().await {
            Some(WatchUpdate::Event(event)) if event.booking != booking || !event.to.is_final() => {
            }
            Some(WatchUpdate::Position(_) | WatchUpdate::Item) => {}
            Some(WatchUpdate::Event(_) | WatchUpdate::Refresh) | None => return,
        }
    }
}
