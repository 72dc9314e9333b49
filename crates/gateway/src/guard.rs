//! Around every request of the public port: which pages may act for a client (CSRF), which may read
//! the answer (CORS), and the headers that browsers need to be strict.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::auth::{self, CookieStyle};
use crate::origin::PageOrigin;
use crate::problem::{MEDIA_TYPE, Problem, ProblemReason};
use crate::state::{GatewayState, QueuePath};

/// What a page of a listed origin may send.
const CORS_METHODS: &str = "GET, POST, PUT, DELETE";
const CORS_HEADERS: &str =
    "authorization, content-type, idempotency-key, traceparent, x-request-id";
/// What it may read besides the usual headers.
const CORS_EXPOSED: &str = "location, retry-after, x-request-id";
/// How long a browser remembers the answer of a preflight, in seconds.
const CORS_AGE: &str = "600";

/// Headers of every answer that does not set them itself.
const HEADERS: [(HeaderName, &str); 5] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    // The origin is needed in forms of the page, and a path contains no secret.
    (header::REFERRER_POLICY, "strict-origin-when-cross-origin"),
    (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
    (header::CACHE_CONTROL, "no-store"),
    (header::VARY, "Origin"),
];
/// Only over TLS: a year.
const STRICT_TRANSPORT: &str = "max-age=31536000";

/// Checks the origin, answers preflights, and completes the headers.
pub async fn guard(
    State(state): State<Arc<GatewayState>>,
    queue: Result<QueuePath, Problem>,
    request: Request,
    next: Next,
) -> Response {
    // The queue as the handlers find it, whatever of its name is percent-encoded. Elsewhere: all.
    let allowed = queue.as_ref().map_or(&state.origins, |QueuePath(queue)| &queue.settings.origins);
    let caller = PageOrigin::new(request.headers(), request.uri());
    let reader = caller.reader(allowed);
    let refused = must_check(&request).then(|| caller.check(allowed).err()).flatten();
    let mut answer = match refused {
        Some(error) => Problem::from(error).into_response(),
        None if is_preflight(&request) => preflight(reader.as_ref()),
        None => complete(next.run(request).await),
    };
    let headers = answer.headers_mut();
    if let Some(origin) = reader {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        let exposed = HeaderValue::from_static(CORS_EXPOSED);
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
    }
    for (name, value) in HEADERS {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    if state.cookies == CookieStyle::Secure {
        let value = HeaderValue::from_static(STRICT_TRANSPORT);
        headers.insert(header::STRICT_TRANSPORT_SECURITY, value);
    }
    answer
}

/// Whether a foreign page could do harm with this request: it changes something, it opens a
/// WebSocket, which no browser keeps to the own origin, or it opens an event stream by cookie.
fn must_check(request: &Request) -> bool {
    let (headers, path) = (request.headers(), request.uri().path());
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    let is_upgrade = headers.contains_key(header::UPGRADE) || path.ends_with("/socket");
    let by_cookie = headers.contains_key(header::COOKIE) && auth::bearer(headers).is_none();
    PageOrigin::is_unsafe(request.method())
        || is_read && is_upgrade
        || is_read && by_cookie && path.ends_with("/events")
}

fn is_preflight(request: &Request) -> bool {
    *request.method() == Method::OPTIONS
        && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

fn preflight(reader: Option<&HeaderValue>) -> Response {
    if reader.is_none() {
        let problem = "pages of this origin may not call this gateway";
        return Problem::new(ProblemReason::OriginRefused, problem).into_response();
    }
    let headers = [
        (header::ACCESS_CONTROL_ALLOW_METHODS, CORS_METHODS),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, CORS_HEADERS),
        (header::ACCESS_CONTROL_MAX_AGE, CORS_AGE),
    ];
    (StatusCode::NO_CONTENT, headers).into_response()
}

/// Errors that axum answers itself, such as a path that is no UTF-8, become problems too.
fn complete(answer: Response) -> Response {
    let status = answer.status();
    let is_error = status.is_client_error() || status.is_server_error();
    let content_type = answer.headers().get(header::CONTENT_TYPE);
    let is_text = content_type.is_none_or(|value| {
        value.as_bytes().starts_with(b"text/plain") && value.as_bytes() != MEDIA_TYPE.as_bytes()
    });
    if !(is_error && is_text) {
        return answer;
    }
    let reason = match status {
        StatusCode::NOT_FOUND => ProblemReason::NotFound,
        StatusCode::METHOD_NOT_ALLOWED => ProblemReason::MethodNotAllowed,
        StatusCode::PAYLOAD_TOO_LARGE => ProblemReason::ContentTooLarge,
        StatusCode::UNSUPPORTED_MEDIA_TYPE => ProblemReason::UnsupportedMediaType,
        StatusCode::UPGRADE_REQUIRED => ProblemReason::UpgradeRequired,
        status if status.is_server_error() => ProblemReason::Internal,
        _ => ProblemReason::InvalidArgument,
    };
    let mut problem = Problem::new(reason, reason.title()).into_response();
    if let Some(allow) = answer.headers().get(header::ALLOW) {
        problem.headers_mut().insert(header::ALLOW, allow.clone());
    }
    problem
}
