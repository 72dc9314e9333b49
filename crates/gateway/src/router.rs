//! The paths of the public port.

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};

use crate::access_log::{self, RequestLog};
use crate::state::GatewayState;
use crate::{challenges, fallback, guard, openapi, page_routes, passes, places, queue, streams};

/// The router of the public port.
pub fn public(state: Arc<GatewayState>, log: RequestLog) -> Router {
    let me = get(places::show).put(places::take_over).delete(places::leave);
    Router::new()
        .route("/v1/queues/{queue}/places", post(places::join))
        .route("/v1/queues/{queue}/places/me", me)
        .route("/v1/queues/{queue}/places/me/pass", post(passes::make))
        .route("/v1/queues/{queue}", get(queue::show))
        .route("/v1/queues/{queue}/tick", get(queue::tick))
        .route("/v1/queues/{queue}/socket", get(streams::open_socket))
        .route("/v1/queues/{queue}/events", get(streams::open_events))
        .route("/v1/challenges", get(challenges::show))
        .route("/.well-known/jwks.json", get(queue::jwks))
        .route("/openapi.json", get(openapi::show))
        .merge(page_routes::routes())
        .fallback(fallback::missing)
        .method_not_allowed_fallback(fallback::not_allowed)
        .layer(from_fn_with_state(Arc::clone(&state), guard::guard))
        .layer(from_fn_with_state(log, access_log::log))
        .with_state(state)
}
