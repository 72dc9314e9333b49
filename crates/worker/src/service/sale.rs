//! GetQueue, SetOutflow and Restocked: the queue as a whole, and the rules of its sale.

use std::sync::Arc;

use bookingq_core::eta::Chance;
use bookingq_core::{Outflow, SaleRules};
use bookingq_follow::FollowedQueue;
use bookingq_follow::items::{MAX_CLOSED_ITEMS, most_awaited};
use bookingq_proto::convert::{duration, range_or_reason, timestamp};
use bookingq_proto::error::ApiError;
use bookingq_proto::v1;
use bookingq_store::Snapshot;
use tracing::info;

use super::WorkerService;

/// Closed items in an answer.
const ITEMS: usize = 128;

impl WorkerService {
    /// The queue as a whole.
    pub(super) async fn queue(
        &self,
        request: v1::GetQueueRequest,
    ) -> Result<v1::GetQueueResponse, ApiError> {
        self.parser.check_queue(&request.queue)?;
        let snapshot = self.snapshot().await?;
        let closed = self.store.store().closed_items(MAX_CLOSED_ITEMS).await;
        let closed = closed.map_err(|error| self.reader.failed(error))?;
        let (now, totals) = (snapshot.now, snapshot.totals);
        let SaleRules { opens_at, outflow, .. } = snapshot.rules;
        let FollowedQueue { line, demand, .. } = &*self.reader.followed;
        let (range, eta_unknown) = range_or_reason(line.eta(snapshot.backlog + 1));
        let chances = demand.chances_at_end(snapshot.backlog);
        Ok(v1::GetQueueResponse {
            queue: request.queue,
            admission: v1::Admission::from(snapshot.admission).into(),
            backlog: snapshot.backlog,
            in_flight: snapshot.in_flight,
            holds: snapshot.holds,
            now_serving: snapshot.front.map_or(0, |(place, _)| place.number.get()),
            oldest_wait: snapshot.front.map(|(_, joined)| duration(now.since(joined))),
            rate: line.rate(),
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
            now: Some(timestamp(now)),
            opens_at: opens_at.map(timestamp),
            opens_in: opens_at.filter(|at| now < *at).map(|at| duration(at.since(now))),
            outflow: (outflow != Outflow::default()).then(|| outflow.into()),
            parked: snapshot.parked,
            items: most_awaited(closed, ITEMS).iter().map(Into::into).collect(),
            eta: range.map(|range| duration(range.expected)),
            eta_range: range.map(Into::into),
            eta_unknown: eta_unknown.into(),
            chances: chances.into_iter().map(item_chance).collect(),
            workforce: snapshot.workforce.as_ref().map(Into::into),
        })
    }

    /// Changes the outflow, and nothing else of the rules.
    pub(super) async fn limit(
        &self,
        request: &v1::SetOutflowRequest,
    ) -> Result<v1::SetOutflowResponse, ApiError> {
        self.parser.check_queue(&request.queue)?;
        let outflow = request.outflow.unwrap_or_default().to_core();
        outflow.validate()?;
        let written = self.store.store().set_outflow(outflow).await;
        written.map_err(|error| self.reader.failed(error))?;
        info!(?outflow, "the outflow was changed");
        self.wake.due();
        Ok(v1::SetOutflowResponse { outflow: Some(outflow.into()) })
    }

    /// Opens an item.
    pub(super) async fn restock(
        &self,
        request: &v1::RestockedRequest,
    ) -> Result<v1::RestockedResponse, ApiError> {
        self.parser.check_queue(&request.queue)?;
        let item = self.parser.item(&request.item)?;
        let (store, failed) = (self.store.store(), |error| self.reader.failed(error));
        store.restocked(item.clone(), request.left).await.map_err(failed)?;
        info!(item = &*item, left = request.left, "an item is available again");
        self.wake.due();
        let state = store.items(vec![item]).await.map_err(failed)?;
        Ok(v1::RestockedResponse { item: state.first().map(Into::into) })
    }

    async fn snapshot(&self) -> Result<Snapshot, ApiError> {
        self.store.store().snapshot().await.map_err(|error| self.reader.failed(error))
    }
}

fn item_chance((item, chance): (Arc<str>, Chance)) -> v1::ItemChance {
    v1::ItemChance { item: item.to_string(), chance: v1::Chance::from(chance).into() }
}
