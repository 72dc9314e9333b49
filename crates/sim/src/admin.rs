//! The HTTP port: look into the ledger and the record, and make trouble.
//!
//! | request | what |
//! |---|---|
//! | `GET /ledger` | the ledger in numbers |
//! | `GET /ledger/bookings?from=0&limit=1000` | its entries, in the order of their first call; at most 10,000 at once |
//! | `GET /ledger/bookings/{id}` | one entry |
//! | `GET /ledger/overlaps` | the first clients that held two reservations at once |
//! | `GET /clients/{id}` | what the Realtime Service was told for a client |
//! | `GET /stats` | all it was told, in numbers, and the last tick |
//! | `GET /faults?service=booking` | the faults now |
//! | `PUT /faults?service=booking` | changes the keys in the JSON body: `{"errors":"5%","latency":"20ms"}` |
//! | `POST /pause?service=booking&for=30s` | calls hang, for a time or until resumed |
//! | `POST /resume?service=booking` | calls go through again |
//! | `GET /healthz` | 200 |
//!
//! `service` is booking (when not said), ticket or realtime.

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
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::booking::Shop;
use crate::conduct::Conduct;
use crate::realtime::Record;
use crate::server::{Served, SimError};
use crate::spec::parse_duration;

const PAGE: usize = 1000;
const LARGEST_PAGE: usize = 10_000;
const BOOKING_FAULTS: &str = "latency, jitter, errors, lost_replies, rejects, confirm_rejects";
const SERVICE_FAULTS: &str = "latency, jitter, errors, lost_replies";

/// What can be looked at and changed. What is absent does not run.
#[derive(Debug, Clone)]
pub(crate) struct Desk {
    pub(crate) shop: Option<Arc<Shop>>,
    pub(crate) ticket: Option<Arc<Conduct>>,
    pub(crate) realtime: Option<Arc<Conduct>>,
    pub(crate) record: Option<Arc<Record>>,
}

/// Opens the port (0: any free one).
pub(crate) async fn serve(listen: SocketAddr, desk: Desk) -> Result<Served, SimError> {
    let refused = |source| SimError::Listen { address: listen, source };
    let listener = TcpListener::bind(listen).await.map_err(refused)?;
    let address = listener.local_addr().map_err(refused)?;
    let router = Router::new()
        .route("/healthz", get(|| async { "ok" }))
        .route("/ledger", get(ledger))
        .route("/ledger/bookings", get(bookings))
        .route("/ledger/bookings/{id}", get(booking))
        .route("/ledger/overlaps", get(overlaps))
        .route("/clients/{id}", get(client))
        .route("/stats", get(stats))
        .route("/faults", get(faults).put(set_faults))
        .route("/pause", post(pause))
        .route("/resume", post(resume))
        .with_state(desk);
    Ok(Served::spawn(address, |stop| async move {
        let server = axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned());
        if let Err(error) = server.await {
            tracing::error!(%address, %error, "the simulator's HTTP port closed");
        }
    }))
}

/// Why a request was refused: always a JSON object with `error`.
enum Refused {
    NotFound(&'static str),
    Invalid(String),
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let (status, error) = match self {
            Self::NotFound(what) => (StatusCode::NOT_FOUND, what.to_owned()),
            Self::Invalid(what) => (StatusCode::BAD_REQUEST, what),
        };
        (status, Json(json!({ "error": error }))).into_response()
    }
}

impl From<Invalid> for Refused {
    fn from(invalid: Invalid) -> Self {
        Self::Invalid(invalid.to_string())
    }
}

impl From<QueryRejection> for Refused {
    fn from(rejection: QueryRejection) -> Self {
        Self::Invalid(rejection.body_text())
    }
}

type Answer = Result<Json<Value>, Refused>;

impl Desk {
    fn shop(&self) -> Result<&Arc<Shop>, Refused> {
        self.shop.as_ref().ok_or(Refused::NotFound("no Booking Service is simulated here"))
    }

    fn record(&self) -> Result<&Arc<Record>, Refused> {
        self.record.as_ref().ok_or(Refused::NotFound("no Realtime Service is simulated here"))
    }

    fn conduct(&self, service: Service) -> Result<&Conduct, Refused> {
        let conduct = match service {
            Service::Booking => return self.shop().map(|shop| shop.conduct()),
            Service::Ticket => self.ticket.as_deref(),
            Service::Realtime => self.realtime.as_deref(),
        };
        conduct.ok_or(Refused::NotFound("this service is not simulated here"))
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Service {
    #[default]
    Booking,
    Ticket,
    Realtime,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Which {
    #[serde(default)]
    service: Service,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pause {
    #[serde(default)]
    service: Service,
    r#for: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Page {
    from: usize,
    limit: usize,
}

impl Default for Page {
    fn default() -> Self {
        Self { from: 0, limit: PAGE }
    }
}

async fn ledger(State(desk): State<Desk>) -> Answer {
    Ok(Json(json!(desk.shop()?.totals())))
}

async fn bookings(State(desk): State<Desk>, page: Result<Query<Page>, QueryRejection>) -> Answer {
    let Query(Page { from, limit }) = page?;
    let (total, bookings) = desk.shop()?.page(from, limit.min(LARGEST_PAGE));
    Ok(Json(json!({ "total": total, "from": from, "bookings": bookings })))
}

async fn booking(State(desk): State<Desk>, Path(id): Path<String>) -> Answer {
    let entry =
        desk.shop()?.entry(&id).ok_or(Refused::NotFound("the ledger has no such booking"))?;
    Ok(Json(json!(entry)))
}

async fn overlaps(State(desk): State<Desk>) -> Answer {
    Ok(Json(json!(desk.shop()?.overlaps())))
}

async fn client(State(desk): State<Desk>, Path(id): Path<String>) -> Answer {
    let record =
        desk.record()?.client(&id).ok_or(Refused::NotFound("this client was told nothing"))?;
    Ok(Json(json!(record)))
}

async fn stats(State(desk): State<Desk>) -> Answer {
    let record = desk.record()?;
    Ok(Json(json!({ "told": record.totals(), "tick": record.tick() })))
}

async fn faults(State(desk): State<Desk>, which: Result<Query<Which>, QueryRejection>) -> Answer {
    let Query(Which { service }) = which?;
    shown_faults(&desk, service)
}

fn shown_faults(desk: &Desk, service: Service) -> Answer {
    let mut shown = json!(desk.conduct(service)?.faults());
    if service == Service::Booking {
        let refusals = desk.shop()?.refusals();
        shown["rejects"] = json!(refusals.rejects);
        shown["confirm_rejects"] = json!(refusals.confirm_rejects);
    }
    Ok(Json(shown))
}

/// Changes all of the body's keys, or none when one of them is wrong. What type the body says it
/// has does not matter: neither `curl --data` nor `kubectl replace --raw` says that it is JSON.
async fn set_faults(
    State(desk): State<Desk>,
    which: Result<Query<Which>, QueryRejection>,
    body: Bytes,
) -> Answer {
    let Query(Which { service }) = which?;
    let body: BTreeMap<String, Value> = serde_json::from_slice(&body)
        .map_err(|error| Refused::Invalid(format!("the body is not a JSON object: {error}")))?;
    let mut faults = desk.conduct(service)?.faults();
    let mut refusals = desk.shop.as_ref().map(|shop| shop.refusals()).unwrap_or_default();
    for (key, value) in &body {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let booking = service == Service::Booking;
        if !(faults.set(key, &value)? || booking && refusals.set(key, &value)?) {
            let allowed = if booking { BOOKING_FAULTS } else { SERVICE_FAULTS };
            return Err(Invalid::new("key", key, allowed).into());
        }
    }
    desk.conduct(service)?.set_faults(faults);
    if service == Service::Booking {
        desk.shop()?.set_refusals(refusals);
    }
    shown_faults(&desk, service)
}

async fn pause(State(desk): State<Desk>, pause: Result<Query<Pause>, QueryRejection>) -> Answer {
    let Query(Pause { service, r#for }) = pause?;
    let conduct = desk.conduct(service)?;
    match &r#for {
        Some(time) => conduct.pause_for(parse_duration("for", time)?),
        None => conduct.pause(),
    }
    Ok(Json(json!({ "paused": conduct.is_paused() })))
}

async fn resume(State(desk): State<Desk>, which: Result<Query<Which>, QueryRejection>) -> Answer {
    let Query(Which { service }) = which?;
    let conduct = desk.conduct(service)?;
    conduct.resume();
    Ok(Json(json!({ "paused": conduct.is_paused() })))
}
