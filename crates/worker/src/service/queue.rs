//! GetQueue: the line as a whole.

use bookingq_proto::convert::{duration, timestamp};
use bookingq_proto::error::ApiError;
use bookingq_proto::v1;

use super::WorkerService;

impl WorkerService {
    pub(super) async fn get_queue(
        &self,
        request: v1::GetQueueRequest,
    ) -> Result<v1::GetQueueResponse, ApiError> {
        self.parser.check_queue(&request.queue)?;
        let snapshot =
            self.store.store().snapshot().await.map_err(|error| self.store_error(error))?;
        let totals = snapshot.totals;
        Ok(v1::GetQueueResponse {
            queue: request.queue,
            admission: v1::Admission::from(snapshot.admission).into(),
            backlog: snapshot.backlog,
            in_flight: snapshot.in_flight,
            holds: snapshot.holds,
            now_serving: snapshot.front.map_or(0, |(place, _)| place.number.get()),
            oldest_wait: snapshot.front.map(|(_, joined)| duration(snapshot.now.since(joined))),
            rate: self.followed.line.rate(),
            totals: Some(v1::QueueTotals {
                enqueued: totals.enqueued,
                dispatched: totals.dispatched,
                reserved: totals.reserved,
                confirmed: totals.confirmed,
                expired: totals.expired,
                cancelled: totals.cancelled,
                sold_out: totals.sold_out,
                rejected: totals.rejected,
                failed: totals.failed,
            }),
            now: Some(timestamp(snapshot.now)),
        })
    }
}
