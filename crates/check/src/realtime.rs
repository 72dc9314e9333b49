//! Conformance of a Realtime Service: whether it accepts everything that bookingq may publish.
//!
//! The checks know the service by its answers only. What it does with an update, such as whether it
//! drops a repeated one, they cannot see.

mod cases;
mod fixture;

use std::error::Error as _;
use std::time::Duration;

use bookingq_proto::v1::PublishRequest;
use bookingq_proto::v1::realtime_service_client::RealtimeServiceClient;
use futures::future::join_all;
use futures::stream;
use futures::{Stream, StreamExt as _};
use tokio::time::{Instant, timeout};
use tonic::transport::Channel;
use tonic::{Code, Request, Status, TimeoutExpired};

pub use cases::CASES;
use fixture::Fixture;

/// How long a call lasts whose stream then breaks off.
const BREAKS_AFTER: Duration = Duration::from_millis(200);
const AGAIN: &str = ": bookingq would publish the same batch again";

/// The service to check.
#[derive(Debug, Clone)]
pub struct RealtimeSubject {
    /// The connection to it.
    pub channel: Channel,
    /// The queue that the updates are about.
    pub queue: String,
    /// Limit of one call: after it, bookingq would publish the same batch again.
    pub timeout: Duration,
}

/// One check.
#[derive(Debug, Clone, Copy)]
pub struct RealtimeCase {
    /// What is published.
    pub publishes: &'static str,
    calls: fn(&mut Fixture) -> Vec<PublishCall>,
}

/// One step of a check. Each call is the messages of one stream.
#[derive(Debug, Clone)]
enum PublishCall {
    /// Must be answered OK, with the number of updates.
    Accepted(Vec<PublishRequest>),
    /// The same, for calls at the same time, as when one worker takes over from another.
    AtOnce(Vec<Vec<PublishRequest>>),
    /// Must be answered, with whatever code.
    Answered(Vec<PublishRequest>),
    /// Breaks off, as when a worker is killed: has no answer.
    Broken(Vec<PublishRequest>),
}

/// The outcome of one check.
#[derive(Debug, Clone)]
pub struct RealtimeResult {
    /// The check.
    pub case: RealtimeCase,
    /// How long its calls took.
    pub took: Duration,
    /// Why the service does not conform; `None`: it does.
    pub problem: Option<String>,
}

impl RealtimeSubject {
    /// Runs all checks, one after the other, and reports each.
    pub async fn check(&self, mut report: impl FnMut(&RealtimeResult)) -> Vec<RealtimeResult> {
        let mut fixture = Fixture::new(&self.queue);
        let mut results = Vec::new();
        for case in CASES {
            let start = Instant::now();
            let mut problem = None;
            for call in (case.calls)(&mut fixture) {
                problem = self.run(call).await.err();
                if problem.is_some() {
                    break;
                }
            }
            let result = RealtimeResult { case, took: start.elapsed(), problem };
            report(&result);
            results.push(result);
        }
        results
    }

    async fn run(&self, call: PublishCall) -> Result<(), String> {
        match call {
            PublishCall::Accepted(messages) => self.accepted(messages).await,
            PublishCall::AtOnce(calls) => {
                let calls = calls.into_iter().map(|messages| self.accepted(messages));
                join_all(calls).await.into_iter().collect()
            }
            PublishCall::Answered(messages) => {
                let answer = self.publish(stream::iter(messages)).await;
                answer.err().and_then(|status| self.no_answer(&status)).map_or(Ok(()), Err)
            }
            PublishCall::Broken(messages) => {
                let endless = stream::iter(messages).chain(stream::pending());
                // Dropping the call resets its stream.
                let _ = timeout(BREAKS_AFTER, self.publish(endless)).await;
                Ok(())
            }
        }
    }

    async fn accepted(&self, messages: Vec<PublishRequest>) -> Result<(), String> {
        let sent: u64 = messages.iter().map(|message| message.updates.len() as u64).sum();
        match self.publish(stream::iter(messages)).await {
            Ok(received) if received == sent => Ok(()),
            Ok(received) => Err(format!(
                "`received` is {received}, but {sent} updates were sent, repeated ones included"
            )),
            Err(status) => Err(self.no_answer(&status).unwrap_or_else(|| {
                format!("answered {:?} ({}){AGAIN}", status.code(), status.message())
            })),
        }
    }

    async fn publish(
        &self,
        messages: impl Stream<Item = PublishRequest> + Send + 'static,
    ) -> Result<u64, Status> {
        let mut request = Request::new(messages);
        request.set_timeout(self.timeout);
        let mut client = RealtimeServiceClient::new(self.channel.clone());
        let answer = timeout(self.timeout, client.publish(request)).await;
        let answer = answer.map_err(|_| Status::deadline_exceeded("no answer in time")).flatten();
        Ok(answer?.into_inner().received)
    }

    /// Why there is no answer; `None`: the status comes from the service.
    fn no_answer(&self, status: &Status) -> Option<String> {
        let causes = std::iter::successors(status.source(), |&cause| cause.source());
        let (mut timed_out, mut texts) = (status.code() == Code::DeadlineExceeded, Vec::new());
        for cause in causes {
            timed_out |= cause.is::<TimeoutExpired>();
            texts.push(cause.to_string());
        }
        if timed_out {
            return Some(format!("no answer within {:?}{AGAIN}", self.timeout));
        }
        (!texts.is_empty()).then(|| format!("the call failed: {}", texts.join(": ")))
    }
}
