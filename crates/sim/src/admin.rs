//! The HTTP port: shows the ledger and the deliveries, and changes the faults.
//!
//! | request | response |
//! |---|---|
//! | `GET /ledger` | the ledger's totals |
//! | `GET /ledger/items` | the tickets of each item |
//! | `GET /ledger/bookings?from=0&limit=1000` | its entries by first call; at most 10,000 |
//! | `GET /ledger/bookings/{id}` | one entry |
//! | `GET /ledger/overlaps` | the first clients that held two reservations at once |
//! | `POST /restock?item=A&quantity=3` | another channel gives tickets back |
//! | `POST /withdraw?item=A&quantity=3` | another channel sells tickets, as many as are left |
//! | `GET /clients/{id}` | the updates of one client, as the Realtime Service received them |
//! | `GET /stats` | the totals of all updates, and the last tick |
//! | `GET /faults?service=booking` | the current faults |
//! | `PUT /faults?service=booking` | changes faults: `{"errors":"5%","latency":"20ms"}` |
//! | `POST /pause?service=booking&for=30s` | lets calls hang, for a time or until resumed |
//! | `POST /resume?service=booking` | lets calls through again |
//! | `GET /healthz`, `/readyz`, `/metrics` | as on every process |
//!
//! `service` is booking (the default), realtime, or ticket for the Ticket Service.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use bookingq_core::Invalid;
use bookingq_serve::{AdminPort, MetricsRegistry, Readiness, ServeError};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::booking::BookingBackend;
use crate::fault_injector::FaultInjector;
use crate::realtime::RealtimeBackend;
use crate::server::{RunningServer, SimError};
use crate::spec::{Faults, Refusals, parse_duration};

const PAGE: usize = 1000;
const MAX_PAGE: usize = 10_000;
const BOOKING_FAULTS: &str =
    "latency, jitter, errors, lost_replies, rejects, confirm_rejects, lies, ticket_lies";
const SERVICE_FAULTS: &str = "latency, jitter, errors, lost_replies";

/// The running services.
#[derive(Debug, Clone)]
pub struct AdminState {
    pub booking: Option<Arc<BookingBackend>>,
    pub ticket_service: Option<Arc<FaultInjector>>,
    pub realtime: Option<Arc<RealtimeBackend>>,
}

/// Opens the port (0: any free one).
pub async fn serve(listen: SocketAddr, state: AdminState) -> Result<RunningServer, SimError> {
    let port = AdminPort::bind(listen).await?;
    let address = port.address();
    let metrics = MetricsRegistry::new("bookingq_sim", &[]).map_err(ServeError::Metrics)?;
    let routes = Router::new()
        .route("/ledger", get(ledger))
        .route("/ledger/bookings", get(bookings))
        .route("/ledger/bookings/{id}", get(booking))
        .route("/ledger/overlaps", get(overlaps))
        .route("/ledger/items", get(items))
        .route("/restock", post(restock))
        .route("/withdraw", post(withdraw))
        .route("/clients/{id}", get(client))
        .route("/stats", get(stats))
        .route("/faults", get(faults).put(set_faults))
        .route("/pause", post(pause))
        .route("/resume", post(resume))
        .with_state(state);
    Ok(RunningServer::spawn(address, |stop| async move {
        let served = port.serve_with(routes, metrics, Readiness::ready());
        if let Some(Err(error)) = stop.run_until_cancelled(served).await {
            tracing::error!(%address, %error, "the simulator's HTTP port closed");
        }
    }))
}

/// Why a request is refused: a JSON object with `error`.
enum AdminRefusal {
    NotFound(&'static str),
    Invalid(String),
}

impl IntoResponse for AdminRefusal {
    fn into_response(self) -> Response {
        let (status, error) = match self {
            Self::NotFound(what) => (StatusCode::NOT_FOUND, what.to_owned()),
            Self::Invalid(what) => (StatusCode::BAD_REQUEST, what),
        };
        (status, Json(json!({ "error": error }))).into_response()
    }
}

impl From<Invalid> for AdminRefusal {
    fn from(invalid: Invalid) -> Self {
        Self::Invalid(invalid.to_string())
    }
}

impl From<QueryRejection> for AdminRefusal {
    fn from(rejection: QueryRejection) -> Self {
        Self::Invalid(rejection.body_text())
    }
}

type AdminAnswer = Result<Json<Value>, AdminRefusal>;

fn found<T>(value: Option<T>, otherwise: &'static str) -> Result<T, AdminRefusal> {
    value.ok_or(AdminRefusal::NotFound(otherwise))
}

impl AdminState {
    fn booking(&self) -> Result<&BookingBackend, AdminRefusal> {
        found(self.booking.as_deref(), "no Booking Service is simulated here")
    }

    fn realtime(&self) -> Result<&RealtimeBackend, AdminRefusal> {
        found(self.realtime.as_deref(), "no Realtime Service is simulated here")
    }

    fn injector(&self, service: SimulatedService) -> Result<&FaultInjector, AdminRefusal> {
        match service {
            SimulatedService::Booking => self.booking().map(BookingBackend::injector),
            SimulatedService::Realtime => self.realtime().map(RealtimeBackend::injector),
            SimulatedService::TicketService => {
                found(self.ticket_service.as_deref(), "no Ticket Service is simulated here")
            }
        }
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum SimulatedService {
    #[default]
    Booking,
    #[serde(rename = "ticket")] // Ticket Service
    TicketService,
    Realtime,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ServiceQuery {
    #[serde(default)]
    service: SimulatedService,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PauseQuery {
    #[serde(default)]
    service: SimulatedService,
    r#for: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct PageQuery {
    from: usize,
    limit: usize,
}

impl Default for PageQuery {
    fn default() -> Self {
        Self { from: 0, limit: PAGE }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct StockQuery {
    /// Empty: what is booked without an item.
    #[serde(default)]
    item: String,
    quantity: u64,
}

type QueryOf<T> = Result<Query<T>, QueryRejection>;

async fn ledger(State(state): State<AdminState>) -> AdminAnswer {
    Ok(Json(json!(state.booking()?.ledger().totals())))
}

async fn items(State(state): State<AdminState>) -> AdminAnswer {
    Ok(Json(json!(state.booking()?.ledger().items())))
}

async fn restock(State(state): State<AdminState>, query: QueryOf<StockQuery>) -> AdminAnswer {
    let Query(StockQuery { item, quantity }) = query?;
    let mut ledger = state.booking()?.ledger();
    ledger.restock(&item, quantity);
    Ok(Json(json!(ledger.items().get(item.as_str()))))
}

async fn withdraw(State(state): State<AdminState>, query: QueryOf<StockQuery>) -> AdminAnswer {
    let Query(StockQuery { item, quantity }) = query?;
    let mut ledger = state.booking()?.ledger();
    ledger.withdraw(&item, quantity);
    Ok(Json(json!(ledger.items().get(item.as_str()))))
}

async fn bookings(State(state): State<AdminState>, page: QueryOf<PageQuery>) -> AdminAnswer {
    let Query(PageQuery { from, limit }) = page?;
    let ledger = state.booking()?.ledger();
    let entries = ledger.entries();
    let page: Vec<_> = entries.iter().skip(from).take(limit.min(MAX_PAGE)).collect();
    Ok(Json(json!({ "total": entries.len(), "from": from, "bookings": page })))
}

async fn booking(State(state): State<AdminState>, Path(id): Path<String>) -> AdminAnswer {
    let ledger = state.booking()?.ledger();
    Ok(Json(json!(found(ledger.entry(&id), "the ledger has no such booking")?)))
}

async fn overlaps(State(state): State<AdminState>) -> AdminAnswer {
    Ok(Json(json!(state.booking()?.ledger().overlaps())))
}

async fn client(State(state): State<AdminState>, Path(id): Path<String>) -> AdminAnswer {
    let deliveries = state.realtime()?.deliveries();
    Ok(Json(json!(found(deliveries.client(&id), "this client received no update")?)))
}

async fn stats(State(state): State<AdminState>) -> AdminAnswer {
    let deliveries = state.realtime()?.deliveries();
    Ok(Json(json!({ "deliveries": deliveries.totals(), "tick": deliveries.tick() })))
}

async fn faults(State(state): State<AdminState>, query: QueryOf<ServiceQuery>) -> AdminAnswer {
    show_faults(&state, query?.0.service)
}

fn show_faults(state: &AdminState, service: SimulatedService) -> AdminAnswer {
    let faults = state.injector(service)?.faults();
    if service != SimulatedService::Booking {
        return Ok(Json(json!(faults)));
    }
    Ok(Json(json!(BookingFaults { faults, refusals: state.booking()?.refusals() })))
}

#[derive(Debug, Serialize)]
struct BookingFaults {
    #[serde(flatten)]
    faults: Faults,
    #[serde(flatten)]
    refusals: Refusals,
}

/// Changes all of the body's keys, or none if one of them is wrong. The content type is ignored:
/// neither `curl --data` nor `kubectl replace --raw` sends the one of JSON.
async fn set_faults(
    State(state): State<AdminState>,
    query: QueryOf<ServiceQuery>,
    body: Bytes,
) -> AdminAnswer {
    let service = query?.0.service;
    let body: BTreeMap<String, Value> = serde_json::from_slice(&body).map_err(|error| {
        AdminRefusal::Invalid(format!("the body is not a JSON object: {error}"))
    })?;
    let mut faults = state.injector(service)?.faults();
    let mut refusals = state.booking.as_ref().map(|booking| booking.refusals()).unwrap_or_default();
    for (key, value) in &body {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let booking = service == SimulatedService::Booking;
        if !(faults.set(key, &value)? || booking && refusals.set(key, &value)?) {
            let allowed = if booking { BOOKING_FAULTS } else { SERVICE_FAULTS };
            return Err(Invalid::new("key", key, allowed).into());
        }
    }
    state.injector(service)?.set_faults(faults);
    if service == SimulatedService::Booking {
        state.booking()?.set_refusals(refusals);
    }
    show_faults(&state, service)
}

async fn pause(State(state): State<AdminState>, query: QueryOf<PauseQuery>) -> AdminAnswer {
    let Query(PauseQuery { service, r#for }) = query?;
    let injector = state.injector(service)?;
    match &r#for {
        Some(time) => injector.pause_for(parse_duration("for", time)?),
        None => injector.pause(),
    }
    Ok(Json(json!({ "paused": injector.is_paused() })))
}

async fn resume(State(state): State<AdminState>, query: QueryOf<ServiceQuery>) -> AdminAnswer {
    let injector = state.injector(query?.0.service)?;
    injector.resume();
    Ok(Json(json!({ "paused": injector.is_paused() })))
}
