//! FollowQueue as one endless stream: reopened at the next worker when it ends, and continued after
//! the last sequence that arrived.

use std::time::Duration;

use bookingq_core::EventSeq;
use bookingq_core::retry::Retry;
use bookingq_proto::v1;
use tokio::time::{Instant, sleep_until, timeout};
use tonic::{Status, Streaming};

use crate::call::{WorkerCallError, WorkerClient};
use crate::channels::ChannelUse;
use crate::retry::{RetryDecision, decide};

/// A worker sends a tick about once a second. A stream that is silent for this long is given up: a
/// connection through a proxy may be gone without a sign.
const SILENCE: Duration = Duration::from_secs(10);

/// Follows one queue.
///
/// ```no_run
/// # use bookingq_client::{QueueFollow, QueueFollowEvent, WorkerClient};
/// # async fn follow(mut client: WorkerClient) {
/// let mut follow = QueueFollow::new(&client, "concert");
/// loop {
///     match follow.next(&mut client).await {
///         Ok(QueueFollowEvent::Connected) => println!("connected"),
///         Ok(QueueFollowEvent::Message(message)) if message.gap => println!("read all again"),
///         Ok(QueueFollowEvent::Message(message)) => println!("{} updates", message.updates.len()),
///         Ok(QueueFollowEvent::Lost(status)) => println!("what is shown may be old: {status}"),
///         Err(refused) => println!("refused, will be tried again: {refused}"),
///     }
/// }
/// # }
/// ```
#[derive(Debug)]
pub struct QueueFollow {
    queue: String,
    epoch: String,
    /// Everything up to here has arrived.
    after: EventSeq,
    stream: Option<OpenFollow>,
    retry: Retry,
    redirects: usize,
    /// Not before this moment; `None`: at once.
    reopen_at: Option<Instant>,
}

#[derive(Debug)]
struct OpenFollow {
    messages: Streaming<v1::PublishRequest>,
    /// It has brought nothing yet.
    is_new: bool,
}

/// What happens to a [`QueueFollow`].
#[derive(Debug)]
pub enum QueueFollowEvent {
    /// A worker has accepted the stream. Its first message, with a tick, comes next.
    Connected,
    /// A message. Its updates are new: those that arrived before are removed. With `gap` set, or
    /// another epoch than before, updates were lost: read again what is shown.
    Message(Box<v1::PublishRequest>),
    /// The stream has ended, or could not be opened. The next call opens another one, after a short
    /// wait, and continues after the last message.
    Lost(Status),
}

impl QueueFollow {
    /// Opens at the first call of [`Self::next`], and begins with what happens from then on. The
    /// client's policy gives the deadline of opening and the back-off; a `limit` bounds how long
    /// the stream may stay interrupted.
    pub fn new(client: &WorkerClient, queue: impl Into<String>) -> Self {
        Self {
            queue: queue.into(),
            epoch: String::new(),
            after: EventSeq::START,
            stream: None,
            retry: client.policy.retry(),
            redirects: 0,
            reopen_at: None,
        }
    }

    /// The epoch of the last message, and the sequence up to which everything has arrived; empty
    /// before the first message.
    pub fn progress(&self) -> (&str, EventSeq) {
        (&self.epoch, self.after)
    }

    /// Whether a stream is open.
    pub fn is_connected(&self) -> bool {
        self.stream.is_some()
    }

    /// What happens next. Safe to drop and call again: nothing is lost.
    ///
    /// # Errors
    /// [`WorkerCallError::Refused`] when the workers serve another queue or do not know the method,
    /// [`WorkerCallError::NoAnswer`] when the policy's limit has passed, and
    /// [`WorkerCallError::Stopped`]. After the first two, another call tries again, not before a
    /// back-off.
    pub async fn next(
        &mut self,
        client: &mut WorkerClient,
    ) -> Result<QueueFollowEvent, WorkerCallError> {
        let Some(stream) = &mut self.stream else {
            return match self.open(client).await? {
                Ok(messages) => {
                    self.stream = Some(OpenFollow { messages, is_new: true });
                    Ok(QueueFollowEvent::Connected)
                }
                Err(status) => self.interrupted(client, status),
            };
        };
        let next = timeout(SILENCE, stream.messages.message());
        let next = client.policy.stop.run_until_cancelled(next).await;
        let status = match next.ok_or(WorkerCallError::Stopped)? {
            Ok(Ok(Some(message))) => {
                stream.is_new = false;
                return Ok(QueueFollowEvent::Message(Box::new(self.take(message))));
            }
            Ok(Ok(None)) => Status::unavailable("the worker ended the stream"),
            Ok(Err(status)) => status,
            Err(_) => Status::deadline_exceeded(format!("no message within {SILENCE:?}")),
        };
        self.interrupted(client, status)
    }

    /// Removes what has arrived before, and notes how far the message goes.
    fn take(&mut self, mut message: v1::PublishRequest) -> v1::PublishRequest {
        if message.gap || message.epoch != self.epoch {
            self.epoch.clone_from(&message.epoch);
            self.after = EventSeq::START;
        }
        message.updates.retain(|update| update.sequence() > self.after);
        self.after = self.after.max(message.through());
        message
    }

    /// Plans when to open the next stream.
    fn interrupted(
        &mut self,
        client: &mut WorkerClient,
        status: Status,
    ) -> Result<QueueFollowEvent, WorkerCallError> {
        let decision = decide(&status);
        if let Some(OpenFollow { is_new: false, .. }) = self.stream.take() {
            // A stream that worked. A short wait spreads the followers of a worker that left, and
            // the limit counts from now.
            (self.retry, self.redirects) = (client.policy.retry(), 0);
        } else if client.redirects(decision, &mut self.redirects) {
            return Ok(QueueFollowEvent::Lost(status));
        }
        let asked = match decision {
            RetryDecision::Never | RetryDecision::AtAnotherWorker => Duration::ZERO,
            RetryDecision::Later(asked) => asked,
        };
        let delay = self.retry.next_delay(asked, client.draw());
        self.reopen_at = Some(Instant::now() + delay.unwrap_or(client.policy.backoff.max));
        match (decision, delay) {
            (RetryDecision::Never, _) => Err(WorkerCallError::Refused(status)),
            (_, Some(_)) => Ok(QueueFollowEvent::Lost(status)),
            (_, None) => Err(WorkerCallError::NoAnswer(status)),
        }
    }

    async fn open(
        &mut self,
        client: &mut WorkerClient,
    ) -> Result<Result<Streaming<v1::PublishRequest>, Status>, WorkerCallError> {
        let policy = client.policy.clone();
        if let Some(at) = self.reopen_at {
            policy.wait(None, sleep_until(at)).await?;
        }
        self.reopen_at = None;
        let turn = client.next_turn();
        let picked = client.pool.pick(turn, ChannelUse::Watch);
        let (mut worker, _permit) = policy.wait(policy.limit, picked).await?;
        let request = v1::FollowQueueRequest {
            queue: self.queue.clone(),
            epoch: self.epoch.clone(),
            after_ms: self.after.ms,
            after_number: self.after.number,
        };
        let opened = timeout(policy.deadline, worker.follow_queue(request));
        let opened = policy.stop.run_until_cancelled(opened).await;
        let too_late = |_| Status::deadline_exceeded("the stream was not opened in time");
        let opened = opened.ok_or(WorkerCallError::Stopped)?.map_err(too_late).flatten();
        Ok(opened.map(tonic::Response::into_inner))
    }
}
