//! The headers that the gateway reads itself: Idempotency-Key, Origin and traceparent.

use axum::http::header::{HOST, ORIGIN};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Uri};
use bookingq_gateway::idempotency::{anonymous_key, idempotency_key};
use bookingq_gateway::origin::{AllowedOrigins, PageOrigin};
use bookingq_gateway::trace_header;

const LISTED: [&str; 2] = ["https://www.example.com", "http://[::1]:8080"];
/// How the browser relates the page to the URL that it asks.
const RELATION: &str = "sec-fetch-site";
/// Longest error: it goes to clients.
const MAX_ERROR: usize = 1000;

/// One header a line, with its name; `host` is the host that was asked.
///
/// # Panics
/// When a page of another host may act, a trace is carried on that is none, or a key is changed.
pub fn headers(data: &[u8]) -> bool {
    let headers = parse(data);
    let key = idempotency_key(&headers).and_then(anonymous_key);
    match &key {
        Ok(uuid) => {
            let sent = headers.get("idempotency-key").and_then(|key| key.to_str().ok());
            let read = sent.and_then(|key| uuid::Uuid::try_parse(key.trim()).ok());
            assert!(read == Some(*uuid) && !uuid.is_nil());
        }
        Err(problem) => assert!(format!("{problem:?}").len() < MAX_ERROR + 4 * data.len()),
    }
    let trace = trace_header::of(&headers);
    if let Some(trace) = &trace {
        let is_plain =
            |byte: u8| byte == b'-' || byte.is_ascii_digit() || byte.is_ascii_lowercase();
        assert!(trace.len() == 55 && trace.bytes().all(is_plain), "{trace}");
        assert_eq!(trace_header::trace_id(&headers).as_deref(), trace.get(3..35));
    }
    let may_act = check_origin(&headers);
    key.is_ok() || trace.is_some() || may_act && headers.contains_key(ORIGIN)
}

/// The headers of well-formed lines.
fn parse(data: &[u8]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in data.split(|&byte| byte == b'\n') {
        let Some(colon) = line.iter().position(|&byte| byte == b':') else { continue };
        let name = HeaderName::from_bytes(&line[..colon]);
        let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    headers
}

/// Whether a page may act: one of the host that was asked or of a listed origin, or one for which
/// the browser says so.
fn check_origin(headers: &HeaderMap) -> bool {
    let Ok(listed) = AllowedOrigins::new("origin", LISTED) else { return false };
    let uri = Uri::from_static("/v1/queues/concert/places");
    let page = PageOrigin::new(headers, &uri);
    let may_act = page.check(&listed).is_ok();
    let sent_by = headers.get(RELATION).map(HeaderValue::as_bytes);
    if let Some(origin) = page.origin().filter(|_| may_act && sent_by != Some(b"same-origin")) {
        // `url` reads as browsers do.
        let origin = url::Url::parse(origin).map(|url| url.origin()).ok();
        let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        let own = ["http", "https"].iter().any(|scheme| {
            let own = url::Url::parse(&format!("{scheme}://{host}"));
            own.is_ok_and(|own| Some(own.origin()) == origin)
        });
        let is_listed = LISTED.iter().any(|listed| {
            url::Url::parse(listed).is_ok_and(|listed| Some(listed.origin()) == origin)
        });
        assert!(own || is_listed, "{origin:?} acts for {host}");
    }
    if let Some(reader) = page.reader(&listed) {
        assert!(reader.to_str().is_ok_and(|reader| listed.contains(reader)));
    }
    may_act
}
