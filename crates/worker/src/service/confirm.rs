//! ConfirmPayment and Cancel: the two requests that end a client's wait.

use std::sync::Arc;

use bookingq_core::{Booking, ClientId};
use bookingq_proto::error::ApiError;
use bookingq_proto::v1;
use bookingq_store::{Confirmed, Task};
use tracing::Instrument as _;

use super::WorkerService;

impl WorkerService {
    /// The store decides whether the payment is in time. The confirmation at the Booking Service is
    /// then a task like any other: this worker executes it at once, it continues when the caller
    /// disconnects, and another worker claims it when this one dies.
    pub(super) async fn confirm_payment(
        &self,
        request: v1::ConfirmPaymentRequest,
    ) -> Result<v1::ConfirmPaymentResponse, ApiError> {
        let confirm = self.parser.confirm(&request)?;
        let client = confirm.client.clone();
        let confirmed = self.store.confirm(confirm, self.lease).await;
        let booking = match confirmed.map_err(|error| self.store_error(error))?? {
            Confirmed::Won(task, booking) => self.execute(*task, booking, &client).await?,
            Confirmed::Repeated(booking) => booking,
        };
        Ok(v1::ConfirmPaymentResponse { booking: Some(self.show(&booking)) })
    }

    /// Confirms at the Booking Service, and waits at most as long as one call to it may take.
    async fn execute(
        &self,
        task: Task,
        won: Booking,
        client: &ClientId,
    ) -> Result<Booking, ApiError> {
        let executor = Arc::clone(&self.executor);
        let limit = executor.booking().timeout();
        let open = executor.booking().breaker.is_open();
        let work = async move {
            // While the circuit is open, only the claim loop's probes call the service.
            if open { executor.hand_back(&task).await } else { executor.run(task).await }
        };
        let running = self.confirmations.spawn(work.in_current_span());
        if open || tokio::time::timeout(limit, running).await.is_err() {
            return Ok(won);
        }
        self.wake.notify_one();
        // The payment has won whatever this reading returns..
        let now = self.store.status(client.clone()).await.ok().flatten();
        Ok(now.filter(|booking| booking.id == won.id).unwrap_or(won))
    }

    pub(super) async fn cancel(
        &self,
        request: v1::CancelRequest,
    ) -> Result<v1::CancelResponse, ApiError> {
        let cancel = self.parser.cancel(&request)?;
        let booking =
            self.store.cancel(cancel).await.map_err(|error| self.store_error(error))??;
        self.wake.notify_one();
        Ok(v1::CancelResponse { booking: Some(self.show(&booking)) })
    }
}
