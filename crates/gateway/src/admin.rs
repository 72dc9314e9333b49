//! The operators' page, on the admin port: what this gateway and its queues do now, for the people
//! who run a sale. It changes nothing, and names no client.
//!
//! The public port never has it: how close a gateway is to its limits helps an attacker.

mod figures;
mod live;
mod workers;

use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use self::live::LiveFigures;
use crate::page::inline_hash;
use crate::state::GatewayState;

const PAGE: &str = include_str!("../page/admin.html");

/// What the page may do: its own style and script, and nothing of others.
static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let policy = format!(
        "default-src 'none'; script-src {}; style-src {}; img-src data:; connect-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        inline_hash(inside("script")),
        inline_hash(inside("style")),
    );
    // Hashes: ASCII without control characters.
    HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static("default-src 'none'"))
});

/// The text of the page's only element of this name.
fn inside(element: &str) -> &'static str {
    let rest = PAGE.split_once(&format!("<{element}>")).map_or("", |(_, rest)| rest);
    rest.split_once(&format!("</{element}>")).map_or("", |(text, _)| text)
}

/// The routes of the page, for the admin port.
pub(crate) fn routes(gateway: &str, state: Arc<GatewayState>) -> Router {
    Router::new()
        .route("/admin", get(page))
        .route("/admin/data", get(data))
        .route("/admin/events", get(events))
        .with_state(LiveFigures::new(gateway, state))
}

async fn page() -> Response {
    let kind = HeaderValue::from_static("text/html; charset=utf-8");
    let mut answer = private(kind, PAGE.into());
    answer.headers_mut().insert(header::CONTENT_SECURITY_POLICY, POLICY.clone());
    answer
}

async fn data(State(figures): State<Arc<LiveFigures>>) -> Response {
    private(HeaderValue::from_static("application/json"), figures.json().await.into())
}

async fn events(State(figures): State<Arc<LiveFigures>>) -> Response {
    let Some(events) = figures.events() else {
        let full = format!("{} pages are open at this gateway; close one of them\n", live::PAGES);
        return (StatusCode::SERVICE_UNAVAILABLE, full).into_response();
    };
    let mut answer = private(HeaderValue::from_static("text/event-stream"), events);
    // nginx would collect the events.
    answer.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    answer
}

/// For this reader only, and for no page of another origin.
fn private(kind: HeaderValue, body: axum::body::Body) -> Response {
    const HEADERS: [(HeaderName, &str); 5] = [
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    let mut answer = body.into_response();
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, kind);
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_one_style_and_one_script_and_the_policy_allows_both_by_hash() {
        for element in ["script", "style"] {
            assert_eq!(PAGE.matches(&format!("<{element}")).count(), 1, "{element}");
            assert!(inside(element).len() > 100, "{element}");
            assert!(POLICY.to_str().unwrap().contains(&inline_hash(inside(element))));
        }
        assert!(!POLICY.to_str().unwrap().contains("unsafe"));
        // An attribute would need 'unsafe-inline'.
        assert!(!PAGE.contains(" style=") && !PAGE.contains(" onclick="));
    }
}
