//! The RealtimeService: for workers that publish to this gateway instead of being followed, and as
//! an example of the contract. A replica behind a Service receives only its share, so gateways
//! follow the queue by themselves and need no publisher.

use std::collections::HashMap;
use std::sync::Arc;

use bookingq_core::QueueName;
use bookingq_proto::v1;
use bookingq_proto::v1::realtime_service_server::RealtimeService;
use tonic::{Request, Response, Status, Streaming};
use tracing::debug;

use crate::feed::{QueueFeed, Source};

/// Receives what workers publish, for all queues.
pub struct GatewayRealtime {
    feeds: HashMap<QueueName, Arc<QueueFeed>>,
}

impl GatewayRealtime {
    /// For these queues.
    pub fn new(feeds: impl IntoIterator<Item = Arc<QueueFeed>>) -> Self {
        let feeds = feeds.into_iter().map(|feed| (feed.queue.clone(), feed)).collect();
        Self { feeds }
    }
}

#[tonic::async_trait]
impl RealtimeService for GatewayRealtime {
    async fn publish(
        &self,
        request: Request<Streaming<v1::PublishRequest>>,
    ) -> Result<Response<v1::PublishResponse>, Status> {
        let mut messages = request.into_inner();
        let mut received = 0;
        while let Some(message) = messages.message().await? {
            received += message.updates.len() as u64;
            match self.feeds.get(message.queue.as_str()) {
                Some(feed) => feed.apply(Source::Publish, message),
                // Acknowledged: a worker would repeat it for ever.
                None => debug!(queue = message.queue, "published for a queue that is not served"),
            }
        }
        Ok(Response::new(v1::PublishResponse { received }))
    }
}
