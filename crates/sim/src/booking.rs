//! The simulated Booking Service: the ledger behind a gRPC port, with faults.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bookingq_proto::v1;
use bookingq_proto::v1::booking_service_server::{self, BookingService, BookingServiceServer};
use parking_lot::{Mutex, MutexGuard, RwLock};
use tonic::service::Routes;
use tonic::{Request, Response, Status};

use crate::fault_injector::FaultInjector;
use crate::ledger::{ConfirmAnswer, Ledger, ReleaseAnswer, ReserveAnswer, Ruling};
use crate::server::{ServiceSim, SimError};
use crate::share::Share;
use crate::spec::{BookingSpec, Refusals, Scheduled, ServiceSpec};

/// The state of a Booking Service, which the Ticket Service and the HTTP port read too.
#[derive(Debug)]
pub struct BookingBackend {
    ledger: Mutex<Ledger>,
    injector: Arc<FaultInjector>,
    refusals: RwLock<Refusals>,
    counts: bool,
    keeps: Option<Duration>,
    seed: u64,
    /// Answers of the Ticket Service so far.
    checks: AtomicU64,
}

impl BookingBackend {
    /// A full stock with the faults of `spec`.
    pub fn new(spec: &BookingSpec) -> Arc<Self> {
        let mut ledger = if spec.items.is_empty() {
            Ledger::new(spec.stock)
        } else {
            Ledger::with_items(spec.stock, &spec.items)
        };
        for Scheduled { item, quantity, .. } in spec.returns.iter().filter(|_| spec.counts) {
            ledger.announce(item, *quantity);
        }
        Arc::new(Self {
            ledger: Mutex::new(ledger),
            injector: FaultInjector::new(ServiceSpec { faults: spec.faults, seed: spec.seed }),
            refusals: RwLock::new(spec.refusals),
            counts: spec.counts,
            keeps: spec.keeps,
            seed: spec.seed,
            checks: AtomicU64::new(0),
        })
    }

    /// The faults of its calls.
    pub fn injector(&self) -> &FaultInjector {
        &self.injector
    }

    /// The shares of refused bookings.
    pub fn refusals(&self) -> Refusals {
        *self.refusals.read()
    }

    /// Replaces the shares. Bookings that are already decided stay so.
    pub fn set_refusals(&self, refusals: Refusals) {
        *self.refusals.write() = refusals;
    }

    /// The ledger, locked: calls wait until the guard is dropped.
    pub fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock()
    }

    /// Tickets left of an item, as the Ticket Service says: a lie is the opposite for `quantity`.
    pub(crate) fn check_availability(&self, item: &str, quantity: u64) -> u64 {
        let number = self.checks.fetch_add(1, Ordering::Relaxed);
        let left = self.ledger().available(item);
        match self.takes(self.refusals().ticket_lies, "check", &number.to_string()) {
            false => left,
            true if left < quantity => quantity,
            true => 0,
        }
    }

    /// Whether a share takes a call, decided by an id so that every repeat gets the same answer.
    fn takes(&self, share: Share, call: &str, id: &str) -> bool {
        let mut hasher = DefaultHasher::new();
        (self.seed, call, id).hash(&mut hasher);
        share.takes(hasher.finish() as f64 / (u64::MAX as f64 + 1.0))
    }

    fn reserve(
        &self,
        request: &v1::ReserveRequest,
        quantity: u64,
    ) -> v1::reserve_response::Outcome {
        use v1::reserve_response::Outcome;
        let v1::ReserveRequest { booking_id, queue, client_id, item, .. } = request;
        let (refusals, mut ledger) = (self.refusals(), self.ledger());
        let calls = ledger.entry(booking_id).map_or(0, |entry| entry.calls.reserve);
        let ruling = if self.takes(refusals.rejects, "reserve", booking_id) {
            Ruling::Refuse
        } else if self.takes(refusals.lies, "lie", &format!("{booking_id} {calls}")) {
            Ruling::Lie
        } else {
            Ruling::Allow
        };
        let known = |count| self.counts.then_some(count);
        match ledger.reserve(booking_id, queue, client_id, item, quantity, ruling) {
            ReserveAnswer::Reserved { reservation, left } => Outcome::Reserved(v1::Reserved {
                reservation_id: reservation.as_ref().to_owned(),
                left: known(left),
            }),
            ReserveAnswer::SoldOut { left, held_elsewhere } => {
                Outcome::SoldOut(v1::SoldOut { left: known(left), held_elsewhere })
            }
            ReserveAnswer::Rejected(reason) => {
                Outcome::Rejected(v1::Rejected { reason: reason.to_owned() })
            }
        }
    }

    /// Lets a reservation time out if the spec says so. A repeated Reserve starts another timer,
    /// which is harmless.
    fn schedule_time_out(self: Arc<Self>, request: &v1::ReserveRequest) {
        let Some(keeps) = self.keeps else { return };
        let hold = request.hold.and_then(|hold| Duration::try_from(hold).ok()).unwrap_or_default();
        let booking = request.booking_id.clone();
        tokio::spawn(async move {
            tokio::time::sleep(hold + keeps).await;
            self.ledger().time_out(&booking);
        });
    }

    fn confirm(&self, request: &v1::ConfirmRequest) -> v1::confirm_response::Outcome {
        use v1::confirm_response::Outcome;
        let booking = &request.booking_id;
        let refuses = self.takes(self.refusals().confirm_rejects, "confirm", booking);
        let ruling = if refuses { Ruling::Refuse } else { Ruling::Allow };
        match self.ledger().confirm(booking, ruling) {
            ConfirmAnswer::Confirmed => Outcome::Confirmed(v1::Confirmed {}),
            ConfirmAnswer::Rejected(reason) => {
                Outcome::Rejected(v1::Rejected { reason: reason.to_owned() })
            }
        }
    }

    fn release(&self, request: &v1::ReleaseRequest) -> v1::ReleaseResponse {
        let v1::ReleaseRequest { booking_id, queue, client_id, .. } = request;
        let answer = self.ledger().release(booking_id, queue, client_id);
        v1::ReleaseResponse { confirmed: answer == ReleaseAnswer::Confirmed }
    }
}

#[derive(Debug, Clone)]
struct BookingApi(Arc<BookingBackend>);

#[tonic::async_trait]
impl BookingService for BookingApi {
    async fn reserve(
        &self,
        request: Request<v1::ReserveRequest>,
    ) -> Result<Response<v1::ReserveResponse>, Status> {
        let (backend, request) = (self.0.clone(), request.into_inner());
        require_id(&request.booking_id)?;
        let quantity = u64::try_from(request.quantity).ok().filter(|&quantity| quantity > 0);
        let quantity =
            quantity.ok_or_else(|| Status::invalid_argument("quantity must be at least 1"))?;
        let outcome = self.0.injector.run(move || {
            let outcome = backend.reserve(&request, quantity);
            if matches!(outcome, v1::reserve_response::Outcome::Reserved(_)) {
                backend.schedule_time_out(&request);
            }
            outcome
        });
        Ok(Response::new(v1::ReserveResponse { outcome: Some(outcome.await?) }))
    }

    async fn confirm(
        &self,
        request: Request<v1::ConfirmRequest>,
    ) -> Result<Response<v1::ConfirmResponse>, Status> {
        let (backend, request) = (self.0.clone(), request.into_inner());
        require_id(&request.booking_id)?;
        let outcome = self.0.injector.run(move || backend.confirm(&request)).await?;
        Ok(Response::new(v1::ConfirmResponse { outcome: Some(outcome) }))
    }

    async fn release(
        &self,
        request: Request<v1::ReleaseRequest>,
    ) -> Result<Response<v1::ReleaseResponse>, Status> {
        let (backend, request) = (self.0.clone(), request.into_inner());
        require_id(&request.booking_id)?;
        Ok(Response::new(self.0.injector.run(move || backend.release(&request)).await?))
    }
}

/// Changes the stock at the time of the schedule, unless the service is gone by then.
fn at_its_time(
    backend: &Arc<BookingBackend>,
    scheduled: Scheduled,
    change: fn(&mut Ledger, &str, u64),
) {
    let backend = Arc::downgrade(backend);
    tokio::spawn(async move {
        tokio::time::sleep(scheduled.after).await;
        if let Some(backend) = backend.upgrade() {
            change(&mut backend.ledger(), &scheduled.item, scheduled.quantity);
        }
    });
}

fn require_id(booking: &str) -> Result<(), Status> {
    if booking.is_empty() { Err(Status::invalid_argument("booking_id is empty")) } else { Ok(()) }
}

/// A running simulated Booking Service.
pub type BookingSim = ServiceSim<BookingBackend>;

impl BookingSim {
    /// Listens at `listen` (port 0: any free one).
    ///
    /// # Errors
    /// [`SimError::Serve`] if the port is taken.
    pub async fn start(spec: BookingSpec, listen: SocketAddr) -> Result<Self, SimError> {
        let backend = BookingBackend::new(&spec);
        spec.returns.into_iter().for_each(|back| at_its_time(&backend, back, Ledger::restock));
        spec.sales.into_iter().for_each(|sold| {
            at_its_time(&backend, sold, |ledger, item, quantity| {
                ledger.withdraw(item, quantity);
            });
        });
        let routes = Routes::new(BookingServiceServer::new(BookingApi(backend.clone())));
        Self::serve(backend, listen, booking_service_server::SERVICE_NAME, routes).await
    }

    /// The stock, the ledger and the faults.
    pub fn backend(&self) -> &Arc<BookingBackend> {
        &self.state
    }

    /// The ledger, locked: calls wait until the guard is dropped.
    pub fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.state.ledger()
    }

    /// The faults of its calls.
    pub fn injector(&self) -> &FaultInjector {
        &self.state.injector
    }
}
