//! The access log: one line for each request, without personal data. It has no address, no token,
//! no client ID and no query, and of the path only its template.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use axum::body::{Body, Bytes};
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue, Method};
use axum::middleware::Next;
use axum::response::Response;
use bookingq_api::args::AccessLog;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tracing::info;
use uuid::Uuid;

use crate::http_metrics::HttpMetrics;
use crate::trace_header;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Longest id of a caller that is taken over.
const ID_BYTES: usize = 64;

/// What is done with each request.
#[derive(Debug, Clone)]
pub struct RequestLog {
    /// Which requests are logged.
    pub which: AccessLog,
    /// Where all are counted.
    pub metrics: HttpMetrics,
}

/// Gives each request an id, counts it, and logs it when its answer has been sent.
pub async fn log(State(log): State<RequestLog>, request: Request, next: Next) -> Response {
    let begin = Instant::now();
    let id = request_id(&request);
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let trace = trace_header::trace_id(request.headers());
    let mut answer = next.run(request).await;
    let status = answer.status().as_u16();
    let path = route.as_ref().map_or(NO_ROUTE, MatchedPath::as_str);
    log.metrics.answered(method.as_str(), path, status, begin.elapsed());
    if let Ok(id) = HeaderValue::try_from(&id) {
        answer.headers_mut().insert(REQUEST_ID, id);
    }
    if !is_wanted(log.which, status) {
        return answer;
    }
    let line = RequestLine { begin, method, route, status, bytes: 0, trace, id };
    answer.map(|body| Body::new(LoggedBody { body, line }))
}

/// The caller's id, if it is a plain word; otherwise a new one.
fn request_id(request: &Request) -> String {
    let given = request.headers().get(REQUEST_ID).and_then(|id| id.to_str().ok());
    let is_plain = |id: &&str| {
        (1..=ID_BYTES).contains(&id.len())
            && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    given.filter(is_plain).map_or_else(|| Uuid::now_v7().to_string(), str::to_owned)
}

/// The route of a path at which there is nothing.
const NO_ROUTE: &str = "none";

struct RequestLine {
    begin: Instant,
    method: Method,
    route: Option<MatchedPath>,
    status: u16,
    bytes: u64,
    trace: Option<String>,
    id: String,
}

fn is_wanted(which: AccessLog, status: u16) -> bool {
    match which {
        AccessLog::All => true,
        AccessLog::Errors => status >= 500,
        AccessLog::Off => false,
    }
}

impl Drop for RequestLine {
    fn drop(&mut self) {
        info!(
            method = self.method.as_str(),
            route = self.route.as_ref().map_or(NO_ROUTE, MatchedPath::as_str),
            status = self.status,
            ms = self.begin.elapsed().as_secs_f64() * 1000.0,
            bytes = self.bytes,
            trace = self.trace.as_deref().unwrap_or_default(),
            request = self.id,
            "request"
        );
    }
}

/// Counts the bytes of an answer; the line is logged when it is dropped.
struct LoggedBody {
    body: Body,
    line: RequestLine,
}

impl HttpBody for LoggedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &polled {
            self.line.bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
