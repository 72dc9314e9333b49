//! The services a worker calls: connections, one client for each, and the circuit breaker.

pub mod booking;
pub mod breaker;
pub mod channel;
pub mod ticket;

use std::future::Future;
use std::time::Duration;

use tonic::{Code, Request, Response, Status};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

/// A call that brought no usable answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Trouble {
    /// The service answered, with an error. Whether it did the work is unknown.
    #[error("answered {0:?}: {1}")]
    Answered(Code, String),
    /// The service did not answer: no connection, or the deadline passed. Whether it did the work
    /// is unknown.
    #[error("did not answer: {0}")]
    Silent(String),
}

impl Trouble {
    /// The word used in metrics.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Answered(..) => "error",
            Self::Silent(_) => "silent",
        }
    }
}

/// Sends one call: the deadline goes with it and is kept here as well, and so does the trace.
async fn call<M, R, F>(
    timeout: Duration,
    message: M,
    send: impl FnOnce(Request<M>) -> F,
) -> Result<R, Trouble>
where
    F: Future<Output = Result<Response<R>, Status>>,
{
    let mut request = Request::new(message);
    request.set_timeout(timeout);
    inject_trace(request.metadata_mut());
    match tokio::time::timeout(timeout, send(request)).await {
        Ok(Ok(response)) => Ok(response.into_inner()),
        Ok(Err(status)) => Err(trouble(&status)),
        Err(_) => Err(Trouble::Silent(format!("no answer within {timeout:?}"))),
    }
}

/// A transport that failed shows as UNAVAILABLE or UNKNOWN with a source; a service that answers
/// UNAVAILABLE itself means the same. DEADLINE_EXCEEDED and CANCELLED are silence, whichever side
/// noticed first.
fn trouble(status: &Status) -> Trouble {
    let text = || status.message().to_owned();
    match status.code() {
        Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled => Trouble::Silent(text()),
        code if std::error::Error::source(status).is_some() => {
            Trouble::Silent(format!("{code:?}: {}", text()))
        }
        code => Trouble::Answered(code, text()),
    }
}

/// Writes the current span's context as W3C headers; does nothing unless a propagator is installed.
fn inject_trace(metadata: &mut tonic::metadata::MetadataMap) {
    struct Carrier<'a>(&'a mut tonic::metadata::MetadataMap);
    impl opentelemetry::propagation::Injector for Carrier<'_> {
        fn set(&mut self, key: &str, value: String) {
            let key = tonic::metadata::MetadataKey::from_bytes(key.as_bytes());
            if let (Ok(key), Ok(value)) = (key, value.parse()) {
                self.0.insert(key, value);
            }
        }
    }
    let context = Span::current().context();
    opentelemetry::global::get_text_map_propagator(|propagator| {
        propagator.inject_context(&context, &mut Carrier(metadata));
    });
}
