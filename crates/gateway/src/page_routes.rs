//! The page's addresses: `GET /q/{queue}`, and the forms of clients without JavaScript.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::rejection::{FormRejection, QueryRejection};
use axum::extract::{ConnectInfo, Form, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use serde::Deserialize;
use tokio::time::timeout;

use crate::auth::RequestPlace;
use crate::cookie;
use crate::join_request::{JoinJson, JoinRequest};
use crate::page::{PageAddress, PageRequest, PageState, QueueGlance};
use crate::passes;
use crate::place_json::PlaceJson;
use crate::places;
use crate::problem::Problem;
use crate::reason::ProblemReason;
use crate::state::{GatewayState, Peer, QueueGateway, QueuePath};
use crate::trace_header;

/// The page does not wait longer for what it shows; the script asks again.
const DEADLINE: Duration = Duration::from_secs(1);

/// The addresses of the page.
pub fn routes() -> Router<Arc<GatewayState>> {
    Router::new()
        .route("/q/{queue}", get(show))
        .route("/q/{queue}/join", post(join))
        .route("/q/{queue}/leave", post(leave))
        .route("/q/{queue}/continue", post(go_on))
}

type Address = Result<Query<PageAddress>, QueryRejection>;

/// The join form.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JoinForm {
    /// The Idempotency-Key that came with the page.
    key: String,
    item: Option<String>,
    quantity: Option<String>,
    return_url: Option<String>,
    /// A seller's own page may send its client here with a token in the body.
    enqueue_token: Option<String>,
}

/// Shows the page.
pub async fn show(
    State(state): State<Arc<GatewayState>>,
    QueuePath(queue): QueuePath,
    address: Address,
    headers: HeaderMap,
) -> Response {
    let request = request(address, &headers);
    respond(&state, &queue, &request, &headers, None).await
}

/// The join form of the page without JavaScript.
pub async fn join(
    State(state): State<Arc<GatewayState>>,
    QueuePath(queue): QueuePath,
    ConnectInfo(peer): Peer,
    address: Address,
    headers: HeaderMap,
    form: Result<Form<JoinForm>, FormRejection>,
) -> Response {
    let request = request(address, &headers);
    let from = state.limits.address(peer.ip(), &headers);
    match send_join(&state, &queue, &headers, from, form).await {
        Ok(cookie) => {
            let mut answer = see_page(&queue, &request);
            answer.headers_mut().insert(header::SET_COOKIE, cookie);
            answer
        }
        Err(problem) => respond(&state, &queue, &request, &headers, Some(&problem)).await,
    }
}

async fn send_join(
    state: &GatewayState,
    queue: &QueueGateway,
    headers: &HeaderMap,
    from: IpAddr,
    form: Result<Form<JoinForm>, FormRejection>,
) -> Result<HeaderValue, Problem> {
    let Form(form) = form.map_err(|error| unreadable(&error))?;
    let invalid = |text: &str| Problem::invalid("quantity", text, "1 to 100");
    let quantity = form.quantity.filter(|text| !text.is_empty());
    let quantity = quantity.map(|text| text.parse().map_err(|_| invalid(&text))).transpose()?;
    let body = JoinJson {
        item: form.item,
        quantity,
        return_url: form.return_url,
        enqueue_token: form.enqueue_token,
        challenge: None,
    };
    let place = state.place(&queue.name, headers).ok().map(|place| place.claims);
    let join = JoinRequest::new(state, queue, &form.key, place.as_ref(), from, &body)?;
    let joined = join.send(state, queue, trace_header::of(headers)).await?;
    Ok(cookie::set(state, &queue.name, &joined.token))
}

fn unreadable(error: &FormRejection) -> Problem {
    Problem::invalid_field("body".to_owned(), error.body_text(), "the page's form".to_owned())
}

/// The leave form of the page without JavaScript.
pub async fn leave(
    State(state): State<Arc<GatewayState>>,
    QueuePath(queue): QueuePath,
    address: Address,
    headers: HeaderMap,
) -> Response {
    let request = request(address, &headers);
    let left = async {
        let place = state.place(&queue.name, &headers)?;
        places::cancel(&queue, &place.claims, trace_header::of(&headers)).await
    };
    match left.await {
        Ok(_) => see_page(&queue, &request),
        Err(problem) => respond(&state, &queue, &request, &headers, Some(&problem)).await,
    }
}

/// The form that leads to the payment, without JavaScript: a page whose form has the pass in its
/// body, because a redirect could carry it in the address only.
pub async fn go_on(
    State(state): State<Arc<GatewayState>>,
    QueuePath(queue): QueuePath,
    address: Address,
    headers: HeaderMap,
) -> Response {
    let request = request(address, &headers);
    let pass = async {
        let place = state.place(&queue.name, &headers)?;
        let pass = passes::pass_for(&state, &queue, &place.claims).await?;
        let url = pass.continue_url.ok_or_else(|| {
            Problem::new(
                ProblemReason::NotFound,
                "the queue has no address for payments: set returnUrl",
            )
        })?;
        Ok::<_, Problem>((url, pass.pass))
    };
    match pass.await {
        Ok((url, pass)) => queue.page.hand_over(&request, &url, &pass),
        Err(problem) => respond(&state, &queue, &request, &headers, Some(&problem)).await,
    }
}

fn request(address: Address, headers: &HeaderMap) -> PageRequest {
    // An address that cannot be read asks for nothing in particular.
    PageRequest::new(address.map(|Query(query)| query).unwrap_or_default(), headers)
}

/// Back to the page, so that a reload repeats nothing.
fn see_page(queue: &QueueGateway, request: &PageRequest) -> Response {
    let to = format!("/q/{}{}", queue.name, request.query.text());
    (StatusCode::SEE_OTHER, [(header::LOCATION, to)]).into_response()
}

/// The page with the client's place, as far as it can be read in time.
async fn respond(
    state: &GatewayState,
    queue: &QueueGateway,
    request: &PageRequest,
    headers: &HeaderMap,
    problem: Option<&Problem>,
) -> Response {
    let line = queue.feed.view.current();
    let named = state.place(&queue.name, headers);
    let (glance, seen) = tokio::join!(
        timeout(DEADLINE, queue.reader.json(&line)),
        timeout(DEADLINE, look(queue, named.as_ref().ok())),
    );
    let glance = glance.ok().and_then(Result::ok).and_then(|json| QueueGlance::parse(&json));
    let (booking, missing) = match seen {
        Ok(Ok(booking)) => (booking, false),
        Ok(Err(problem)) => (None, problem.reason() == ProblemReason::BookingNotFound),
        Err(_) => (None, false),
    };
    let place: Option<PlaceJson> = booking.as_ref().map(|booking| queue.show(booking));
    let invalid =
        named.as_ref().err().is_some_and(|one| one.reason() == ProblemReason::PlaceInvalid);
    let refusal = problem.map(Problem::detail);
    let page_state = PageState {
        place: place.as_ref(),
        unknown: missing || invalid,
        named: named.is_ok(),
        queue: glance.as_ref(),
        now: queue.feed.now(),
        refusal,
    };
    let mut answer = queue.page.respond(request, &page_state);
    if let Some(problem) = problem {
        *answer.status_mut() = problem.reason().status();
    }
    match (named, booking) {
        (Ok(place), Some(booking)) => places::renew(state, queue, place, &booking, answer),
        _ => answer,
    }
}

/// The booking of the place that the request names.
async fn look(
    queue: &QueueGateway,
    place: Option<&RequestPlace>,
) -> Result<Option<bookingq_proto::v1::Booking>, Problem> {
    let Some(place) = place else { return Ok(None) };
    places::newest(queue, place.claims.client.clone()).await.map(Some)
}
