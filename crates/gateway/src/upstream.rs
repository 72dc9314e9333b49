//! Follows one queue at its workers, for as long as the gateway runs.

use std::sync::Arc;
use std::time::Duration;

use bookingq_client::{FollowStep, QueueFollow, WorkerCallError};
use tokio::time::{MissedTickBehavior, interval, sleep};
use tracing::{info, warn};

use crate::feed::{QueueFeed, Source};
use crate::workers::QueueWorkers;

/// Pause after the workers refused to be followed.
const REFUSED: Duration = Duration::from_secs(5);

/// Follows the queue until dropped.
pub async fn follow(feed: Arc<QueueFeed>, workers: QueueWorkers) {
    tokio::join!(follow_stream(&feed, workers), report_lag(&feed));
}

async fn follow_stream(feed: &QueueFeed, workers: QueueWorkers) {
    let mut client = workers.client();
    let mut stream = QueueFollow::new(&client, feed.queue.as_str());
    let mut interrupted = false;
    loop {
        match stream.next(&mut client).await {
            Ok(FollowStep::Message(message)) => {
                if std::mem::take(&mut interrupted) {
                    info!(queue = %feed.queue, "following the queue again");
                }
                feed.apply(Source::Follow, *message);
            }
            Ok(FollowStep::Interrupted(status)) => {
                if !std::mem::replace(&mut interrupted, true) {
                    warn!(queue = %feed.queue, error = %status, "cannot follow the queue; retrying");
                }
            }
            Err(WorkerCallError::Stopped) => return,
            Err(error) => {
                warn!(queue = %feed.queue, %error, "the workers refuse to be followed");
                sleep(REFUSED).await;
            }
        }
    }
}

async fn report_lag(feed: &QueueFeed) {
    let mut seconds = interval(Duration::from_secs(1));
    seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        seconds.tick().await;
        let lag = feed.followed_since().as_secs_f64();
        feed.fanout.metrics.upstream_lag(feed.queue.as_str(), lag);
    }
}
