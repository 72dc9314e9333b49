//! GetStatus: one client's booking now.

use bookingq_core::Refusal;
use bookingq_proto::error::ApiError;
use bookingq_proto::v1;

use super::WorkerService;

impl WorkerService {
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
