//! WatchStatus as one endless stream: reopened at the next worker when it ends too early.

use std::time::Duration;

use bookingq_core::retry::Retry;
use bookingq_proto::v1;
use tokio::time::{Instant, sleep_until, timeout};
use tonic::{Status, Streaming};

use crate::call::{WorkerCallError, WorkerClient};
use crate::channels::ChannelUse;
use crate::retry::{RetryDecision, decide};

/// The watch of one client's booking.
#[derive(Debug)]
pub struct StatusWatch {
    request: v1::WatchStatusRequest,
    stream: Option<OpenStream>,
    retry: Retry,
    redirects: usize,
    /// Not before this moment; `None`: at once.
    reopen_at: Option<Instant>,
}

#[derive(Debug)]
struct OpenStream {
    updates: Streaming<v1::WatchStatusResponse>,
    opened: Instant,
    /// It has brought nothing yet.
    is_new: bool,
}

/// What a watch brings.
#[derive(Debug)]
pub struct StatusUpdate {
    /// The booking now.
    pub booking: v1::Booking,
    /// The first update of a newly opened stream: it may repeat, or be a moment behind, what the
    /// stream before has shown.
    pub is_first: bool,
    /// When the client opened this stream.
    pub opened: Instant,
}

impl StatusWatch {
    /// Opens at the first call of [`Self::next`]. A `limit` of the client's policy bounds how long
    /// the watch may stay interrupted.
    pub fn new(client: &WorkerClient, request: v1::WatchStatusRequest) -> Self {
        let retry = client.policy.retry();
        Self { request, stream: None, retry, redirects: 0, reopen_at: None }
    }

    /// The next update; `observe` sees each failure of a stream, but not that a worker leaves.
    /// Safe to drop and call again: nothing is lost.
    ///
    /// # Errors
    /// [`WorkerCallError`]
    pub async fn next(
        &mut self,
        client: &mut WorkerClient,
        mut observe: impl FnMut(&Status),
    ) -> Result<StatusUpdate, WorkerCallError> {
        loop {
            let stream = match &mut self.stream {
                Some(stream) => stream,
                None => match self.open(client).await? {
                    Ok(stream) => self.stream.insert(stream),
                    Err(status) => {
                        self.interrupted(client, status, &mut observe)?;
                        continue;
                    }
                },
            };
            match stream.updates.message().await {
                Ok(Some(v1::WatchStatusResponse { booking: Some(booking) })) => {
                    let is_first = std::mem::replace(&mut stream.is_new, false);
                    return Ok(StatusUpdate { booking, is_first, opened: stream.opened });
                }
                Ok(Some(_)) => {
                    let status = Status::internal("an update without a booking");
                    return Err(WorkerCallError::Refused(status));
                }
                Ok(None) => {
                    let status = Status::unavailable("the worker ended the stream");
                    self.interrupted(client, status, &mut |_| {})?;
                }
                Err(status) => self.interrupted(client, status, &mut observe)?,
            }
        }
    }

    /// Plans when to open the next stream.
    fn interrupted(
        &mut self,
        client: &mut WorkerClient,
        status: Status,
        observe: &mut impl FnMut(&Status),
    ) -> Result<(), WorkerCallError> {
        let decision = decide(&status);
        if let Some(OpenStream { is_new: false, .. }) = self.stream.take() {
            // A stream that worked and ended. A short wait spreads the clients of a worker that
            // left, and the limit counts from now.
            (self.retry, self.redirects) = (client.policy.retry(), 0);
            if decision != RetryDecision::AtAnotherWorker {
                observe(&status);
            }
        } else if client.redirects(decision, &mut self.redirects) {
            return Ok(());
        } else {
            observe(&status);
        }
        let asked = match decision {
            RetryDecision::Never => return Err(WorkerCallError::Refused(status)),
            RetryDecision::AtAnotherWorker => Duration::ZERO,
            RetryDecision::Later(asked) => asked,
        };
        let Some(delay) = self.retry.next_delay(asked, client.draw()) else {
            return Err(WorkerCallError::NoAnswer(status));
        };
        self.reopen_at = Some(Instant::now() + delay);
        Ok(())
    }

    async fn open(
        &mut self,
        client: &mut WorkerClient,
    ) -> Result<Result<OpenStream, Status>, WorkerCallError> {
        let policy = client.policy.clone();
        if let Some(at) = self.reopen_at {
            policy.wait(None, sleep_until(at)).await?;
        }
        self.reopen_at = None;
        let turn = client.next_turn();
        let picked = client.pool.pick(turn, ChannelUse::Watch);
        let (mut worker, _permit) = policy.wait(policy.limit, picked).await?;
        let (opened, request) = (Instant::now(), self.request.clone());
        Ok(match timeout(policy.deadline, worker.watch_status(request)).await {
            Ok(Ok(response)) => {
                Ok(OpenStream { updates: response.into_inner(), opened, is_new: true })
            }
            Ok(Err(status)) => Err(status),
            Err(_) => Err(Status::deadline_exceeded("the stream was not opened in time")),
        })
    }
}
