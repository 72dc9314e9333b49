//! The topics of a queue in Kafka: made where they are missing, checked again and again. In a task
//! of its own, so that brokers that do not answer delay nothing else.

use std::time::Duration;

use bookingq_core::backoff::Backoff;
use bookingq_core::retry::Retry;
use bookingq_store::replicated::ensure_topics;
use tokio::sync::watch;
use tokio::time::timeout;
use tracing::{info, warn};

use super::store_access::KafkaAccess;

/// Time between two checks of topics that are right.
const CHECK_EVERY: Duration = Duration::from_secs(60);
/// Longest that a check, or the making of all topics, may take.
const DEADLINE: Duration = Duration::from_secs(45);
/// Waits after a failure. No limit: brokers come back, and settings can be put right.
const BACKOFF: Backoff = Backoff { initial: Duration::from_secs(1), max: Duration::from_secs(30) };

/// What is known of the topics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum TopicsState {
    /// Not looked at yet.
    Unknown,
    /// All are there, with the right settings.
    Ready {
        /// Those that this task has made.
        made: Vec<String>,
    },
    /// One of them would break a promise, or may not be made.
    Refused(String),
    /// No broker answers.
    Unavailable,
}

/// Makes and checks the topics until dropped, whenever `may_make` says so.
pub(super) async fn keep_topics(
    access: KafkaAccess,
    mut may_make: watch::Receiver<bool>,
    state: watch::Sender<TopicsState>,
) {
    let mut retry = Retry::forever(BACKOFF);
    let mut made = Vec::new();
    loop {
        let KafkaAccess { address, queue, replication, .. } = &access;
        if may_make.wait_for(|may| *may).await.is_err() {
            return;
        }
        let ensured = tokio::select! {
            ensured = timeout(DEADLINE, ensure_topics(address, queue, *replication)) => ensured,
            stopped = may_make.wait_for(|may| !*may) => match stopped {
                Ok(_) => continue,
                Err(_) => return,
            },
        };
        match ensured {
            Ok(Ok(new)) => {
                if !new.is_empty() {
                    info!(%queue, topics = new.join(", "), "made topics");
                    made.extend(new);
                }
                retry.reset();
                set(&state, TopicsState::Ready { made: made.clone() });
                tokio::time::sleep(CHECK_EVERY).await;
                continue;
            }
            Ok(Err(error)) if !error.is_transient() => {
                if set(&state, TopicsState::Refused(error.to_string())) {
                    warn!(%queue, %error, "the topics cannot be used");
                }
            }
            Ok(Err(error)) => {
                if set(&state, TopicsState::Unavailable) {
                    warn!(%queue, %error, "the topics cannot be looked at; retrying");
                }
            }
            Err(_) => {
                if set(&state, TopicsState::Unavailable) {
                    warn!(%queue, "no broker answered in time; retrying");
                }
            }
        }
        retry.wait().await;
    }
}

/// Returns whether it was another state before.
fn set(state: &watch::Sender<TopicsState>, now: TopicsState) -> bool {
    state.send_if_modified(|before| {
        let differs = *before != now;
        *before = now;
        differs
    })
}
