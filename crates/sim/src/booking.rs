//! The simulated Booking Service: the ledger behind a gRPC port, with faults.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bookingq_proto::v1;
use bookingq_proto::v1::booking_service_server::{self, BookingService, BookingServiceServer};
use parking_lot::{Mutex, RwLock};
use tonic::service::Routes;
use tonic::{Request, Response, Status};

use crate::conduct::Conduct;
use crate::ledger::{
    ConfirmAnswer, Entry, Ledger, LedgerCopy, Overlap, ReleaseAnswer, ReserveAnswer, Ruling, Totals,
};
use crate::server::{Served, SimError, serve};
use crate::share::Share;
use crate::spec::{BookingSpec, Refusals, ServiceSpec};

/// The shop: what the gRPC service, the Ticket Service and the HTTP port all look at.
#[derive(Debug)]
pub struct Shop {
    ledger: Mutex<Ledger>,
    conduct: Arc<Conduct>,
    refusals: RwLock<Refusals>,
    keeps: Option<Duration>,
    seed: u64,
}

impl Shop {
    /// As the spec says.
    pub fn new(spec: BookingSpec) -> Arc<Self> {
        Arc::new(Self {
            ledger: Mutex::new(Ledger::new(spec.stock)),
            conduct: Conduct::new(ServiceSpec { faults: spec.faults, seed: spec.seed }),
            refusals: RwLock::new(spec.refusals),
            keeps: spec.keeps,
            seed: spec.seed,
        })
    }

    /// How it treats its callers.
    pub fn conduct(&self) -> &Conduct {
        &self.conduct
    }

    /// How often it says no.
    pub fn refusals(&self) -> Refusals {
        *self.refusals.read()
    }

    /// Says no more or less often from now on. Bookings it has decided stay decided.
    pub fn set_refusals(&self, refusals: Refusals) {
        *self.refusals.write() = refusals;
    }

    /// The ledger in numbers.
    pub fn totals(&self) -> Totals {
        self.ledger.lock().totals()
    }

    /// One booking.
    pub fn entry(&self, booking: &str) -> Option<Entry> {
        self.ledger.lock().entry(booking).cloned()
    }

    /// The whole ledger at this moment.
    pub fn copy(&self) -> LedgerCopy {
        self.ledger.lock().copy()
    }

    /// At most `limit` entries from the `from`-th (0 = first) on, and how many there are at all.
    pub fn page(&self, from: usize, limit: usize) -> (usize, Vec<Entry>) {
        let ledger = self.ledger.lock();
        let entries = ledger.entries();
        (entries.len(), entries.iter().skip(from).take(limit).cloned().collect())
    }

    /// The first clients that held two reservations at once.
    pub fn overlaps(&self) -> Vec<Overlap> {
        self.ledger.lock().overlaps().to_vec()
    }

    /// Decided by the booking's id, so that every repeat hears the same.
    fn ruling(&self, share: Share, question: &str, booking: &str) -> Ruling {
        let mut hasher = DefaultHasher::new();
        (self.seed, question, booking).hash(&mut hasher);
        let chance = hasher.finish() as f64 / (u64::MAX as f64 + 1.0);
        if share.takes(chance) { Ruling::Refuse } else { Ruling::Allow }
    }

    fn reserve(
        &self,
        request: &v1::ReserveRequest,
        quantity: u64,
    ) -> v1::reserve_response::Outcome {
        use v1::reserve_response::Outcome;
        let ruling = self.ruling(self.refusals().rejects, "reserve", &request.booking_id);
        let (booking, queue, client) = (&request.booking_id, &request.queue, &request.client_id);
        match self.ledger.lock().reserve(booking, queue, client, quantity, ruling) {
            ReserveAnswer::Reserved(name) => {
                Outcome::Reserved(v1::Reserved { reservation_id: name.as_ref().to_owned() })
            }
            ReserveAnswer::SoldOut => Outcome::SoldOut(v1::SoldOut {}),
            ReserveAnswer::Rejected(reason) => {
                Outcome::Rejected(v1::Rejected { reason: reason.to_owned() })
            }
        }
    }

    /// Sees to it that a reservation does not outlive its time to pay for ever. Repeats do so
    /// again, which does no harm.
    fn keep(self: Arc<Self>, request: &v1::ReserveRequest) {
        let Some(keeps) = self.keeps else { return };
        let hold = request.hold.and_then(|hold| Duration::try_from(hold).ok()).unwrap_or_default();
        let booking = request.booking_id.clone();
        tokio::spawn(async move {
            tokio::time::sleep(hold + keeps).await;
            self.ledger.lock().time_out(&booking);
        });
    }

    fn confirm(&self, request: &v1::ConfirmRequest) -> v1::confirm_response::Outcome {
        use v1::confirm_response::Outcome;
        let ruling = self.ruling(self.refusals().confirm_rejects, "confirm", &request.booking_id);
        match self.ledger.lock().confirm(&request.booking_id, ruling) {
            ConfirmAnswer::Confirmed => Outcome::Confirmed(v1::Confirmed {}),
            ConfirmAnswer::Rejected(reason) => {
                Outcome::Rejected(v1::Rejected { reason: reason.to_owned() })
            }
        }
    }

    fn release(&self, request: &v1::ReleaseRequest) -> v1::ReleaseResponse {
        let answer =
            self.ledger.lock().release(&request.booking_id, &request.queue, &request.client_id);
        v1::ReleaseResponse { confirmed: answer == ReleaseAnswer::Confirmed }
    }
}

/// The gRPC face of a [`Shop`].
#[derive(Debug, Clone)]
struct Counter(Arc<Shop>);

#[tonic::async_trait]
impl BookingService for Counter {
    async fn reserve(
        &self,
        request: Request<v1::ReserveRequest>,
    ) -> Result<Response<v1::ReserveResponse>, Status> {
        let (shop, request) = (self.0.clone(), request.into_inner());
        named(&request.booking_id)?;
        let quantity = u64::try_from(request.quantity).ok().filter(|&quantity| quantity > 0);
        let quantity =
            quantity.ok_or_else(|| Status::invalid_argument("quantity must be at least 1"))?;
        let outcome = self.0.conduct.treat(move || {
            let outcome = shop.reserve(&request, quantity);
            if matches!(outcome, v1::reserve_response::Outcome::Reserved(_)) {
                shop.keep(&request);
            }
            outcome
        });
        Ok(Response::new(v1::ReserveResponse { outcome: Some(outcome.await?) }))
    }

    async fn confirm(
        &self,
        request: Request<v1::ConfirmRequest>,
    ) -> Result<Response<v1::ConfirmResponse>, Status> {
        let (shop, request) = (self.0.clone(), request.into_inner());
        named(&request.booking_id)?;
        let outcome = self.0.conduct.treat(move || shop.confirm(&request)).await?;
        Ok(Response::new(v1::ConfirmResponse { outcome: Some(outcome) }))
    }

    async fn release(
        &self,
        request: Request<v1::ReleaseRequest>,
    ) -> Result<Response<v1::ReleaseResponse>, Status> {
        let (shop, request) = (self.0.clone(), request.into_inner());
        named(&request.booking_id)?;
        Ok(Response::new(self.0.conduct.treat(move || shop.release(&request)).await?))
    }
}

fn named(booking: &str) -> Result<(), Status> {
    if booking.is_empty() { Err(Status::invalid_argument("booking_id is empty")) } else { Ok(()) }
}

/// A running simulated Booking Service. It stops when dropped.
#[derive(Debug)]
pub struct BookingSim {
    shop: Arc<Shop>,
    served: Served,
}

impl BookingSim {
    /// Listens at `listen` (port 0: any free one).
    ///
    /// # Errors
    /// [`SimError::Listen`] when the port cannot be had.
    pub async fn start(spec: BookingSpec, listen: SocketAddr) -> Result<Self, SimError> {
        let shop = Shop::new(spec);
        let routes = Routes::new(BookingServiceServer::new(Counter(shop.clone())));
        let served = serve(listen, booking_service_server::SERVICE_NAME, routes).await?;
        Ok(Self { shop, served })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.served.address()
    }

    /// The stock, the ledger and the faults.
    pub fn shop(&self) -> &Arc<Shop> {
        &self.shop
    }

    /// Calls hang from now on.
    pub fn pause(&self) {
        self.shop.conduct.pause();
    }

    /// Calls hang for this long.
    pub fn pause_for(&self, time: Duration) {
        self.shop.conduct.pause_for(time);
    }

    /// Calls go through again.
    pub fn resume(&self) {
        self.shop.conduct.resume();
    }

    /// Closes the port. The ledger can still be read through [`Self::shop`]'s `Arc`.
    pub async fn shutdown(self) {
        self.served.stop().await;
    }
}
