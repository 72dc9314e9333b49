//! One try of a call, over HTTP.

use std::net::SocketAddr;
use std::sync::Arc;

use bookingq_core::{ClientId, QueueName};
use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use parking_lot::Mutex;
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::sync::{Semaphore, SemaphorePermit, watch};
use tonic::Status;

use super::GatewayAccess;
use super::place::{JoinedView, PaymentView, PlaceView, status_of};
use crate::call::{BookingSnapshot, CallKind, malformed};
use crate::config::CrowdConfig;
use crate::demand::Wanted;

/// Idle connections kept for each gateway.
const IDLE: usize = 64;
/// An answer is one place.
const MAX_ANSWER: usize = 64 * 1024;

/// The connections of all clients.
#[derive(Debug)]
pub struct GatewayPool {
    http: Client<HttpConnector, Full<Bytes>>,
    /// The gateways' public ports.
    gateways: watch::Receiver<Vec<SocketAddr>>,
    access: GatewayAccess,
    calls: Semaphore,
}

impl GatewayPool {
    /// Connects when it is used.
    pub fn new(
        gateways: watch::Receiver<Vec<SocketAddr>>,
        access: GatewayAccess,
        calls_at_once: usize,
    ) -> Arc<Self> {
        let http = Client::builder(TokioExecutor::new())
            .pool_max_idle_per_host(IDLE)
            .build(HttpConnector::new());
        let calls = Semaphore::new(calls_at_once.clamp(1, Semaphore::MAX_PERMITS));
        Arc::new(Self { http, gateways, access, calls })
    }
}

/// One client's calls.
#[derive(Debug, Clone)]
pub struct GatewayClient {
    pool: Arc<GatewayPool>,
    /// The place token, once the client has joined.
    pub(super) token: Arc<Mutex<Option<Arc<str>>>>,
    turn: usize,
}

impl GatewayClient {
    /// Clients with different seeds begin at different gateways.
    pub fn new(pool: Arc<GatewayPool>, seed: u64) -> Self {
        Self { pool, token: Arc::default(), turn: seed as usize }
    }

    /// The place token, without which a client cannot follow anything.
    pub(super) fn place_token(&self) -> Result<Arc<str>, Status> {
        let token = self.token.lock().clone();
        token.ok_or_else(|| Status::failed_precondition("the client has not joined"))
    }

    /// The public port of the gateway whose turn it is.
    pub(super) fn next_gateway(&mut self) -> Result<SocketAddr, Status> {
        next(&mut self.turn, &self.pool.gateways)
    }

    /// The connections that it shares.
    pub fn pool(&self) -> Arc<GatewayPool> {
        self.pool.clone()
    }

    /// Waits until the call may be sent.
    pub async fn permit(pool: &GatewayPool) -> Option<SemaphorePermit<'_>> {
        // Never closed.
        pool.calls.acquire().await.ok()
    }

    /// One try.
    ///
    /// # Errors
    /// The refusal, or what came instead of an answer.
    pub async fn send(
        &mut self,
        config: &CrowdConfig,
        client: &ClientId,
        wanted: &Wanted,
        kind: &CallKind,
    ) -> Result<BookingSnapshot, Status> {
        let queue = &config.queue;
        let me = format!("/v1/queues/{queue}/places/me");
        match kind {
            CallKind::Enqueue { request } => {
                let signed = self
                    .pool
                    .access
                    .enqueue_token(queue, client)
                    .map_err(|error| unsigned(&error))?;
                let body = json!({
                    "item": &*wanted.item, "quantity": wanted.quantity.get(),
                    "enqueueToken": signed,
                });
                let request = Request::builder()
                    .method(Method::POST)
                    .uri(self.public(&format!("/v1/queues/{queue}/places"))?)
                    .header("idempotency-key", request.as_str());
                let (status, joined): (_, JoinedView) = self.exchange(request, Some(body)).await?;
                *self.token.lock() = Some(joined.token.into());
                joined.place.snapshot(status == StatusCode::OK).ok_or_else(malformed)
            }
            CallKind::Status | CallKind::Watch => self.of_place(Method::GET, &me).await,
            CallKind::Cancel { .. } => self.of_place(Method::DELETE, &me).await,
            CallKind::Pay { of, payment, reacquire } => {
                let signed =
                    self.pool.access.backend_token(queue).map_err(|error| unsigned(&error))?;
                let body = json!({
                    "clientId": client.as_str(), "bookingId": of.to_string(),
                    "paymentId": payment.as_str(), "reacquire": reacquire,
                });
                let backend = next(&mut self.turn, &self.pool.access.backends)?;
                let request = Request::builder()
                    .method(Method::POST)
                    .uri(format!("http://{backend}/v1/queues/{queue}/payments"))
                    .header(header::AUTHORIZATION, format!("Bearer {signed}"));
                let (_, paid): (_, PaymentView) = self.exchange(request, Some(body)).await?;
                paid.place.snapshot(false).ok_or_else(malformed)
            }
        }
    }

    /// Whether the gateway serves the queue.
    pub(super) async fn queue(&mut self, queue: &QueueName) -> Result<(), Status> {
        let request = Request::builder().uri(self.public(&format!("/v1/queues/{queue}"))?);
        self.exchange::<serde_json::Value>(request, None).await.map(drop)
    }

    /// A call with the place token.
    async fn of_place(&mut self, method: Method, path: &str) -> Result<BookingSnapshot, Status> {
        let request = Request::builder()
            .method(method)
            .uri(self.public(path)?)
            .header(header::AUTHORIZATION, format!("Bearer {}", self.place_token()?));
        let (_, place): (_, PlaceView) = self.exchange(request, None).await?;
        place.snapshot(false).ok_or_else(malformed)
    }

    fn public(&mut self, path: &str) -> Result<String, Status> {
        let gateway = self.next_gateway()?;
        Ok(format!("http://{gateway}{path}"))
    }

    async fn exchange<T: DeserializeOwned>(
        &self,
        request: http::request::Builder,
        body: Option<serde_json::Value>,
    ) -> Result<(StatusCode, T), Status> {
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        let request = request
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::from(body))
            .map_err(|error| Status::failed_precondition(error.to_string()))?;
        let failed = |error: &dyn std::fmt::Display| Status::unknown(error.to_string());
        let response = self.pool.http.request(request).await.map_err(|error| failed(&error))?;
        let (status, answer) = (response.status(), response.into_body());
        let answer = Limited::new(answer, MAX_ANSWER).collect().await;
        let answer = answer.map_err(|error| failed(&error))?.to_bytes();
        if !status.is_success() {
            return Err(status_of(status, &answer));
        }
        Ok((status, serde_json::from_slice(&answer).map_err(|_| malformed())?))
    }
}

/// The address whose turn it is.
fn next(
    turn: &mut usize,
    addresses: &watch::Receiver<Vec<SocketAddr>>,
) -> Result<SocketAddr, Status> {
    *turn = turn.wrapping_add(1);
    let addresses = addresses.borrow();
    let index = turn.checked_rem(addresses.len());
    index.map(|index| addresses[index]).ok_or_else(|| Status::unknown("there is no gateway"))
}

fn unsigned(error: &bookingq_identity::SignError) -> Status {
    Status::failed_precondition(error.to_string())
}
