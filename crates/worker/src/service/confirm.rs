//! ConfirmPayment and Cancel: the two ways a client ends its wait.

use std::sync::Arc;

use bookingq_core::{Booking, ClientId, Refusal};
use bookingq_proto::error::ApiError;
use bookingq_proto::v1;
use bookingq_store::{Confirmed, Task};
use tracing::Instrument as _;

use super::Service;

impl Service {
    /// The payment wins or loses in the store. What follows at the Booking Service is a task like
    /// any other: this worker holds it and does it now, but the caller's leaving does not stop
    /// it, and if this worker dies another one does it.
    pub(super) async fn confirm_payment(
        &self,
        request: v1::ConfirmPaymentRequest,
    ) -> Result<v1::ConfirmPaymentResponse, ApiError> {
        let confirm = self.parser.confirm(&request)?;
        let client = confirm.client.clone();
        let confirmed = self.store.confirm(confirm, self.lease).await;
        let booking = match confirmed.map_err(|error| self.store_error(error))?? {
            Confirmed::Won(task, booking) => self.carry_out(*task, booking, &client).await?,
            Confirmed::Repeated(booking) => booking,
        };
        Ok(v1::ConfirmPaymentResponse { booking: Some(self.show(&booking)) })
    }

    /// Tells the Booking Service, and waits for it at most as long as one call to it may take.
    async fn carry_out(
        &self,
        task: Task,
        won: Booking,
        client: &ClientId,
    ) -> Result<Booking, ApiError> {
        let executor = Arc::clone(&self.executor);
        let patience = executor.booking().timeout();
        let out = executor.booking().breaker.is_open();
        let work = async move {
            // A service that answers nobody is left to the claim loop's probes.
            if out { executor.hand_back(&task).await } else { executor.run(task).await }
        };
        let running = self.confirmations.spawn(work.in_current_span());
        if out || tokio::time::timeout(patience, running).await.is_err() {
            return Ok(won);
        }
        self.wake.notify_one();
        // The payment has won whatever this answers: a store that does not is no reason to say that
        // it has not.
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

    pub(super) async fn get_status(
        &self,
        request: v1::GetStatusRequest,
    ) -> Result<v1::GetStatusResponse, ApiError> {
        let client = self.parser.client(&request.queue, &request.client_id)?;
        let booking = self.store.status(client).await.map_err(|error| self.store_error(error))?;
        let booking = booking.ok_or(Refusal::BookingNotFound)?;
        Ok(v1::GetStatusResponse { booking: Some(self.show(&booking)) })
    }
}
