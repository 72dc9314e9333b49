//! One call that insists: repeated as it was until it is answered, because every call of bookingq
//! may be repeated.

use std::time::Duration;

use bookingq_core::backoff::Backoff;
use bookingq_proto::error::reason_of;
use bookingq_proto::v1::ErrorReason;
use bookingq_proto::v1::booking_worker_service_client::BookingWorkerServiceClient;
use tokio::time::Instant;
use tonic::transport::Channel;
use tonic::{Code, Response, Status};
use tonic_types::StatusExt as _;

use super::explain::explain;
use super::output::Output;
use crate::failure::Failure;

const BACKOFF: Backoff =
    Backoff { initial: Duration::from_millis(100), max: Duration::from_secs(2) };

/// There was no answer in time.
#[derive(Debug, thiserror::Error)]
#[error(
    "no answer from {server} within {time:?} (--timeout), so whether the call took effect is unknown; it may be repeated as it was: {last}"
)]
pub struct Silence {
    server: String,
    time: Duration,
    /// What was heard instead of an answer.
    last: String,
}

/// A way to a worker, and how long to insist on it.
pub struct Client {
    server: String,
    workers: BookingWorkerServiceClient<Channel>,
    timeout: Duration,
    output: Output,
}

impl Client {
    /// Through `workers` at `server`.
    pub fn new(
        server: String,
        workers: BookingWorkerServiceClient<Channel>,
        timeout: Duration,
        output: Output,
    ) -> Self {
        Self { server, workers, timeout, output }
    }

    /// Calls until there is an answer, or the time is over. `send` is called once for each try.
    pub async fn call<T, Fut>(
        &self,
        send: impl Fn(BookingWorkerServiceClient<Channel>) -> Fut,
    ) -> Result<T, Failure>
    where
        Fut: Future<Output = Result<Response<T>, Status>>,
    {
        let until = Instant::now() + self.timeout;
        let mut tries = 0;
        loop {
            let Ok(answer) = tokio::time::timeout_at(until, send(self.workers.clone())).await
            else {
                return Err(self.silence("the call was not answered"));
            };
            let status = match answer {
                Ok(response) => return Ok(response.into_inner()),
                Err(status) => status,
            };
            if !may_be_repeated(&status) {
                return Err(explain(&status, self.output));
            }
            tries += 1;
            let wait = wait(&status, tries);
            if Instant::now() + wait >= until {
                return Err(self.silence(status.message()));
            }
            tokio::time::sleep(wait).await;
        }
    }

    /// The same way for a call that streams.
    pub fn workers(&self) -> BookingWorkerServiceClient<Channel> {
        self.workers.clone()
    }

    /// How long to insist.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// No answer in time.
    pub fn silence(&self, last: &str) -> Failure {
        Failure::from(Silence {
            server: self.server.clone(),
            time: self.timeout,
            last: last.to_owned(),
        })
    }
}

/// Whether the same call may succeed a little later.
pub fn may_be_repeated(status: &Status) -> bool {
    match status.code() {
        Code::Unavailable => true,
        Code::ResourceExhausted => reason_of(status) == Some(ErrorReason::Overloaded),
        // A connection that broke under the call has a cause below gRPC, and no reason of ours.
        Code::Unknown | Code::Cancelled | Code::Internal => {
            reason_of(status).is_none() && std::error::Error::source(status).is_some()
        }
        _ => false,
    }
}

/// What the server asks for, or our own back-off, whichever is longer.
pub fn wait(status: &Status, tries: u32) -> Duration {
    let asked =
        status.get_details_retry_info().and_then(|info| info.retry_delay).unwrap_or_default();
    BACKOFF.delay(tries, rand::random()).max(asked)
}
