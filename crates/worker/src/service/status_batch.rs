//! GetStatusBatch: the newest bookings of many clients, by one call of the store.

use std::time::Duration;

use bookingq_proto::convert::timestamp;
use bookingq_proto::error::ApiError;
use bookingq_proto::v1;

use super::WorkerService;
use crate::store_readings::StoreReading;

/// How long a worker that has just started may take to read its store, before it refuses.
const FIRST_READING: Duration = Duration::from_secs(2);

impl WorkerService {
    /// The newest booking of each client.
    pub(super) async fn status_batch(
        &self,
        request: &v1::GetStatusBatchRequest,
    ) -> Result<v1::GetStatusBatchResponse, ApiError> {
        let clients = self.parser.clients(request)?;
        // Read before the bookings: if the data is lost in between, the caller, who compares
        // epochs, notices it at the next change.
        let StoreReading { epoch, .. } = self.reading().await?;
        // The caller has already made a batch: it bypasses group commit.
        let found = self.store.store().status(clients).await;
        let found = found.map_err(|error| self.reader.failed(error))?;
        let now = self.reading().await?.now();
        let result = |booking: &Option<_>| v1::GetStatusResult {
            booking: booking.as_ref().map(|booking| self.reader.show(booking)),
        };
        Ok(v1::GetStatusBatchResponse {
            results: found.iter().map(result).collect(),
            epoch: epoch.to_string(),
            now: Some(timestamp(now)),
        })
    }

    /// The newest reading of the store.
    pub(super) async fn reading(&self) -> Result<StoreReading, ApiError> {
        let unknown = || ApiError::StoreUnavailable { cause: "it was not read yet".to_owned() };
        self.readings.known(FIRST_READING).await.ok_or_else(unknown)
    }
}
