//! The services that a worker calls: connections, one client for each, and the circuit breaker.

pub mod booking;
pub mod breaker;
pub mod channel;
pub mod ticket;

use std::future::Future;
use std::time::Duration;

use bookingq_serve::trace;
use tonic::{Code, Request, Response, Status};

/// A call without a usable answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ServiceCallError {
    /// The service answered, with an error. Whether it did the work is unknown.
    #[error("answered {0:?}: {1}")]
    Answered(Code, String),
    /// The service did not answer: no connection, or the deadline passed. Whether it did the work
    /// is unknown.
    #[error("did not answer: {0}")]
    Silent(String),
}

impl ServiceCallError {
    /// The word used in metrics.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Answered(..) => "error",
            Self::Silent(_) => "silent",
        }
    }
}

/// Sends one call with its deadline, which is enforced here as well, and its trace.
async fn call<M, R, F>(
    timeout: Duration,
    message: M,
    send: impl FnOnce(Request<M>) -> F,
) -> Result<R, ServiceCallError>
where
    F: Future<Output = Result<Response<R>, Status>>,
{
    let mut request = Request::new(message);
    request.set_timeout(timeout);
    trace::inject(request.metadata_mut());
    match tokio::time::timeout(timeout, send(request)).await {
        Ok(Ok(response)) => Ok(response.into_inner()),
        Ok(Err(status)) => Err(call_error(&status)),
        Err(_) => Err(ServiceCallError::Silent(format!("no answer within {timeout:?}"))),
    }
}

/// A failed transport shows as UNAVAILABLE or UNKNOWN with a source; a service that answers
/// UNAVAILABLE means the same. DEADLINE_EXCEEDED and CANCELLED count as silence, on whichever side
/// they occurred.
fn call_error(status: &Status) -> ServiceCallError {
    let text = || status.message().to_owned();
    match status.code() {
        Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled => {
            ServiceCallError::Silent(text())
        }
        code if std::error::Error::source(status).is_some() => {
            ServiceCallError::Silent(format!("{code:?}: {}", text()))
        }
        code => ServiceCallError::Answered(code, text()),
    }
}
