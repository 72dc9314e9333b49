//! FollowQueue as one endless stream: reopened at the next worker when it ends or falls silent,
//! after the last sequence that arrived.

use std::time::Duration;

use bookingq_core::retry::Retry;
use bookingq_proto::v1;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use tonic::{Status, Streaming};

use crate::call::{WorkerCallError, WorkerClient};
use crate::channels::ChannelUse;
use crate::retry::{RetryDecision, decide};

/// A worker sends a tick about once a second: a stream that is silent for this long is dead.
const SILENCE: Duration = Duration::from_secs(5);

/// All that happens in one queue.
#[derive(Debug)]
pub struct QueueFollow {
    /// With the epoch and the sequence of what has arrived.
    request: v1::FollowQueueRequest,
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
    /// When it counts as dead, unless it brings something.
    silent_at: Instant,
}

/// What a follower gets.
#[derive(Debug)]
pub enum FollowStep {
    /// The next message, or after an interruption the first one. Updates up to `through` of the
    /// message before are left out of it.
    Message(Box<v1::PublishRequest>),
    /// The stream ended, or no worker opened it. The next call tries again.
    Interrupted(Status),
}

impl QueueFollow {
    /// Opens at the first call of [`Self::next`], and begins with what happens from then on. A
    /// `limit` of the client's policy does not count: it follows until it is dropped.
    pub fn new(client: &WorkerClient, queue: impl Into<String>) -> Self {
        let request = v1::FollowQueueRequest { queue: queue.into(), ..Default::default() };
        let retry = Retry::forever(client.policy.backoff);
        Self { request, stream: None, retry, redirects: 0, reopen_at: None }
    }

    /// The next step. Safe to drop and call again: nothing is lost.
    ///
    /// # Errors
    /// [`WorkerCallError::Stopped`] when the policy says to stop, and [`WorkerCallError::Refused`]
    /// when the workers refuse to be followed: they serve another queue, or are of an older release.
    pub async fn next(&mut self, client: &mut WorkerClient) -> Result<FollowStep, WorkerCallError> {
        loop {
            let stream = match &mut self.stream {
                Some(stream) => stream,
                None => match self.open(client).await? {
                    Ok(stream) => self.stream.insert(stream),
                    Err(status) => match self.interrupted(client, status)? {
                        Some(status) => return Ok(FollowStep::Interrupted(status)),
                        None => continue,
                    },
                },
            };
            let ended = match timeout_at(stream.silent_at, stream.messages.message()).await {
                Ok(Ok(Some(message))) => {
                    (stream.is_new, stream.silent_at) = (false, Instant::now() + SILENCE);
                    (self.retry, self.redirects) = (Retry::forever(client.policy.backoff), 0);
                    return Ok(FollowStep::Message(Box::new(self.advance(message))));
                }
                Ok(Ok(None)) => Status::unavailable("the worker ended the stream"),
                Ok(Err(status)) => status,
                Err(_) => Status::deadline_exceeded("the worker has sent nothing for 5 s"),
            };
            if let Some(status) = self.interrupted(client, ended)? {
                return Ok(FollowStep::Interrupted(status));
            }
        }
    }

    /// Remembers where to go on, and leaves out what has arrived before.
    fn advance(&mut self, mut message: v1::PublishRequest) -> v1::PublishRequest {
        let known = &mut self.request;
        if !message.epoch.is_empty() && known.epoch != message.epoch {
            known.epoch.clone_from(&message.epoch);
            (known.after_ms, known.after_number) = (0, 0);
        }
        let after = (known.after_ms, known.after_number);
        message.updates.retain(|one| (one.sequence_ms, one.sequence_number) > after);
        let through = (message.through_ms, message.through_number);
        (known.after_ms, known.after_number) = after.max(through);
        message
    }

    /// Plans when to open the next stream. `None`: at another worker, at once.
    fn interrupted(
        &mut self,
        client: &mut WorkerClient,
        status: Status,
    ) -> Result<Option<Status>, WorkerCallError> {
        let decision = decide(&status);
        let worked = self.stream.take().is_some_and(|stream| !stream.is_new);
        if !worked && client.redirects(decision, &mut self.redirects) {
            return Ok(None);
        }
        let asked = match decision {
            RetryDecision::Never => return Err(WorkerCallError::Refused(status)),
            RetryDecision::AtAnotherWorker => Duration::ZERO,
            RetryDecision::Later(asked) => asked,
        };
        let delay = self.retry.next_delay(asked, client.draw()).unwrap_or(asked);
        self.reopen_at = Some(Instant::now() + delay);
        Ok(Some(status))
    }

    async fn open(
        &mut self,
        client: &mut WorkerClient,
    ) -> Result<Result<OpenFollow, Status>, WorkerCallError> {
        let policy = client.policy.clone();
        if let Some(at) = self.reopen_at {
            policy.wait(None, sleep_until(at)).await?;
        }
        let turn = client.next_turn();
        let picked = client.pool.pick(turn, ChannelUse::Watch);
        let (mut worker, _permit) = policy.wait(None, picked).await?;
        let request = self.request.clone();
        let opened = timeout(policy.deadline, worker.follow_queue(request)).await;
        self.reopen_at = None;
        let silent_at = Instant::now() + SILENCE;
        Ok(match opened {
            Ok(Ok(response)) => {
                Ok(OpenFollow { messages: response.into_inner(), is_new: true, silent_at })
            }
            Ok(Err(status)) => Err(status),
            Err(_) => Err(Status::deadline_exceeded("the stream was not opened in time")),
        })
    }
}
