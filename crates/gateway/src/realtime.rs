//! The RealtimeService: for workers that publish to this gateway instead of being followed, and as
//! an example of the contract. A replica behind a Service receives only its share, so gateways
//! follow the queue by themselves and need no publisher.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bookingq_core::QueueName;
use bookingq_proto::v1;
use bookingq_proto::v1::realtime_service_server::{RealtimeService, RealtimeServiceServer};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status, Streaming};
use tracing::debug;

use crate::feed::{MessageSource, PlaceFeed};

/// The largest message: 512 updates with their longest reasons, and a tick.
const MESSAGE_BYTES: usize = 4 * 1024 * 1024;
const KEEP_ALIVE: Duration = Duration::from_secs(20);
/// Streams that one connection may have open.
const PUBLISHERS: usize = 16;

/// Serves the RealtimeService on this port until dropped.
///
/// # Errors
/// When the port fails.
pub async fn serve(
    listener: TcpListener,
    feeds: impl IntoIterator<Item = Arc<PlaceFeed>>,
) -> Result<(), tonic::transport::Error> {
    let service = RealtimeServiceServer::new(GatewayRealtime::new(feeds))
        .max_decoding_message_size(MESSAGE_BYTES);
    tonic::transport::Server::builder()
        .http2_keepalive_interval(Some(KEEP_ALIVE))
        .http2_keepalive_timeout(Some(KEEP_ALIVE / 2))
        .concurrency_limit_per_connection(PUBLISHERS)
        .add_service(service)
        .serve_with_incoming(TcpListenerStream::new(listener))
        .await
}

/// Receives what workers publish, for all queues.
pub struct GatewayRealtime {
    feeds: HashMap<QueueName, Arc<PlaceFeed>>,
}

impl GatewayRealtime {
    /// For these queues.
    pub fn new(feeds: impl IntoIterator<Item = Arc<PlaceFeed>>) -> Self {
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
            if let Some(feed) = self.feeds.get(message.queue.as_str()) {
                feed.apply(MessageSource::Publish, message);
            } else {
                // Acknowledged: a worker would repeat it for ever.
                debug!(queue = message.queue, "published for a queue that is not served");
            }
        }
        Ok(Response::new(v1::PublishResponse { received }))
    }
}
