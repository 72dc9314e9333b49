//! The demo checkout: the seller's pages to which a client comes with its pass, so that a person
//! can walk the whole way in a browser.
//!
//! | request | response |
//! |---|---|
//! | `GET /{queue}` | what this page is, and the way to the queue |
//! | `POST /{queue}`, field `pass` | checks the pass; shows what is reserved and the time left |
//! | `POST /{queue}/pay`, field `pass` | checks it again, reports a payment to the gateway |
//!
//! It keeps no state: the pass travels in the body of each form. A real seller keeps the claims in
//! its own session, and answers the first POST with a redirect.

mod config;
mod gateway;
mod pages;

use std::sync::Arc;

use axum::extract::rejection::FormRejection;
use axum::extract::{DefaultBodyLimit, Form, Path, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Router, middleware};
use bookingq_core::QueueName;
use bookingq_identity::PassClaims;
use serde::Deserialize;

use self::gateway::{CheckoutGateway, PaymentOutcome, now};
use crate::server::{RunningServer, SimError};

pub use self::config::{CheckoutConfig, HttpAddress};

/// A pass is shorter.
const MAX_BODY: usize = 16 * 1024;

/// Opens the port.
pub(crate) async fn serve(config: CheckoutConfig) -> Result<RunningServer, SimError> {
    let (listener, address) = bookingq_serve::listen(config.listen).await?;
    let checkout = Arc::new(CheckoutGateway::new(config));
    let routes = Router::new()
        .route("/{queue}", get(about).post(arrive))
        .route("/{queue}/pay", post(pay))
        .route("/assets/checkout.css", get(async || asset("text/css", pages::STYLE)))
        .route("/assets/checkout.js", get(async || asset("text/javascript", pages::SCRIPT)))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(middleware::map_response(secured))
        .with_state(checkout);
    Ok(RunningServer::spawn(address, |stop| async move {
        let served = axum::serve(listener, routes).with_graceful_shutdown(stop.cancelled_owned());
        if let Err(error) = served.await {
            tracing::error!(%address, %error, "the demo checkout closed");
        }
    }))
}

/// A pass may arrive in a form only; scripts, styles and frames come from here only.
async fn secured(mut answer: Response) -> Response {
    let policy = "default-src 'none'; style-src 'self'; script-src 'self'; form-action 'self'; \
                  base-uri 'none'; frame-ancestors 'none'";
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

fn asset(kind: &'static str, text: &'static str) -> Response {
    ([(header::CONTENT_TYPE, kind)], text).into_response()
}

#[derive(Debug, Deserialize)]
struct PassForm {
    pass: String,
}

/// Why a pass is not accepted, as a page.
struct PassRefused {
    status: StatusCode,
    html: String,
}

impl IntoResponse for PassRefused {
    fn into_response(self) -> Response {
        page(self.status, self.html)
    }
}

fn page(status: StatusCode, html: String) -> Response {
    (status, [(header::CONTENT_TYPE, "text/html; charset=utf-8")], html).into_response()
}

type Checkout = State<Arc<CheckoutGateway>>;
type PassFields = Result<Form<PassForm>, FormRejection>;

async fn about(State(checkout): Checkout, Path(queue): Path<String>) -> Response {
    page(StatusCode::OK, pages::about(&checkout.queue_page(&queue)))
}

async fn arrive(
    State(checkout): Checkout,
    Path(queue): Path<String>,
    fields: PassFields,
) -> Result<Response, PassRefused> {
    let (claims, pass) = check(&checkout, &queue, fields).await?;
    let link = checkout.queue_page(claims.queue.as_str());
    Ok(page(StatusCode::OK, pages::pay(&claims, &pass, now(), &link)))
}

async fn pay(
    State(checkout): Checkout,
    Path(queue): Path<String>,
    fields: PassFields,
) -> Result<Response, PassRefused> {
    let (claims, pass) = check(&checkout, &queue, fields).await?;
    let link = checkout.queue_page(claims.queue.as_str());
    let (status, html) = match checkout.pay(&claims, &pass).await {
        PaymentOutcome::Paid => (StatusCode::OK, pages::paid(&claims, &link)),
        PaymentOutcome::Refused { title, detail } => {
            (StatusCode::CONFLICT, pages::refused(&title, &detail, &link))
        }
        PaymentOutcome::Unknown(problem) => {
            (StatusCode::BAD_GATEWAY, pages::unknown(&problem, &claims, &pass, now(), &link))
        }
    };
    Ok(page(status, html))
}

/// The claims of the pass in a form.
async fn check(
    checkout: &CheckoutGateway,
    queue: &str,
    fields: PassFields,
) -> Result<(PassClaims, String), PassRefused> {
    let link = checkout.queue_page(queue);
    let refuse = |status, title: &str, detail: &str| PassRefused {
        status,
        html: pages::refused(title, detail, &link),
    };
    let queue = QueueName::new(queue)
        .map_err(|error| refuse(StatusCode::NOT_FOUND, "No such queue", &error.to_string()))?;
    let Form(PassForm { pass }) = fields
        .map_err(|error| refuse(StatusCode::BAD_REQUEST, "There is no pass", &error.body_text()))?;
    let claims = checkout.verify(&queue, &pass, now()).await;
    let claims = claims
        .map_err(|problem| refuse(StatusCode::FORBIDDEN, "This pass is not valid", &problem))?;
    Ok((claims, pass))
}
