//! Follows one queue at its workers, for as long as the gateway runs.

use std::sync::Arc;
use std::time::Duration;

use bookingq_client::{QueueFollow, QueueFollowEvent, WorkerCallError};
use tokio::time::{MissedTickBehavior, interval};
use tracing::{info, warn};

use crate::feed::{MessageSource, PlaceFeed};
use crate::workers::QueueWorkers;

/// Follows the queue until dropped.
pub async fn follow(feed: Arc<PlaceFeed>, workers: QueueWorkers) {
    tokio::join!(follow_stream(&feed, workers), report_lag(&feed));
}

async fn follow_stream(feed: &PlaceFeed, workers: QueueWorkers) {
    let mut client = workers.client();
    let mut stream = QueueFollow::new(&client, feed.queue.as_str());
    let mut interrupted = false;
    loop {
        match stream.next(&mut client).await {
            Ok(QueueFollowEvent::Connected) => info!(queue = %feed.queue, "following the queue"),
            Ok(QueueFollowEvent::Message(message)) => {
                interrupted = false;
                feed.apply(MessageSource::Follow, *message);
            }
            Ok(QueueFollowEvent::Lost(status)) => {
                if !std::mem::replace(&mut interrupted, true) {
                    warn!(queue = %feed.queue, error = %status, "the queue is not followed; retrying");
                }
            }
            Err(WorkerCallError::Stopped) => return,
            // The next call waits before it tries again.
            Err(error) => {
                if !std::mem::replace(&mut interrupted, true) {
                    warn!(queue = %feed.queue, %error, "the queue cannot be followed; retrying");
                }
            }
        }
    }
}

async fn report_lag(feed: &PlaceFeed) {
    let mut seconds = interval(Duration::from_secs(1));
    seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        seconds.tick().await;
        let lag = feed.followed_since().as_secs_f64();
        feed.fanout.metrics.upstream_lag(feed.queue.as_str(), lag);
    }
}
