//! A Booking Service and a Ticket Service made by hand: stock of each item that a test changes, and
//! a record of every Reserve and Release.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bookingq_proto::v1::booking_service_server::{BookingService, BookingServiceServer};
use bookingq_proto::v1::ticket_service_server::{TicketService, TicketServiceServer};
use bookingq_proto::v1::{self, confirm_response, reserve_response};
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

/// One Reserve.
#[derive(Debug, Clone)]
pub struct ReserveCall {
    pub client: String,
    pub item: String,
    pub reserved: bool,
    pub at: Instant,
}

#[derive(Debug, Default)]
pub struct StockState {
    /// Stock of each item.
    pub left: HashMap<String, u64>,
    /// Whether released stock is sold elsewhere at once.
    pub sells_elsewhere: bool,
    /// How long after its decision the next Reserve is answered.
    pub late: Option<Duration>,
    /// Every Reserve, in order.
    pub reserves: Vec<ReserveCall>,
    /// When each Release was answered, by client.
    pub released: HashMap<String, Instant>,
    /// Confirmed bookings, by payment.
    pub confirmed: HashMap<String, Vec<String>>,
    /// Questions to the Ticket Service.
    pub questions: u64,
    held: HashMap<String, (String, u64)>,
    gone: HashSet<String>,
}

impl StockState {
    fn reserve(&mut self, request: &v1::ReserveRequest) -> reserve_response::Outcome {
        let (booking, item) = (request.booking_id.clone(), request.item.clone());
        let quantity = request.quantity as u64;
        if self.gone.contains(&booking) {
            return reserve_response::Outcome::Rejected(v1::Rejected { reason: "released".into() });
        }
        let left = self.left.entry(item.clone()).or_default();
        let known = self.held.contains_key(&booking);
        let reserved = known || *left >= quantity;
        if reserved && !known {
            *left -= quantity;
        }
        let left = Some(*left);
        let client = request.client_id.clone();
        self.reserves.push(ReserveCall {
            client,
            item: item.clone(),
            reserved,
            at: Instant::now(),
        });
        if !reserved {
            let sold_out = v1::SoldOut { left, held_elsewhere: 0 };
            return reserve_response::Outcome::SoldOut(sold_out);
        }
        let reservation_id = format!("r-{booking}");
        self.held.insert(booking, (item, quantity));
        reserve_response::Outcome::Reserved(v1::Reserved { reservation_id, left })
    }

    fn confirm(&mut self, request: v1::ConfirmRequest) -> confirm_response::Outcome {
        if !self.held.contains_key(&request.booking_id) {
            return confirm_response::Outcome::Rejected(v1::Rejected { reason: "gone".into() });
        }
        let bookings = self.confirmed.entry(request.payment_id).or_default();
        if !bookings.contains(&request.booking_id) {
            bookings.push(request.booking_id);
        }
        confirm_response::Outcome::Confirmed(v1::Confirmed {})
    }

    fn release(&mut self, request: v1::ReleaseRequest) {
        if let Some((item, quantity)) = self.held.remove(&request.booking_id)
            && !self.sells_elsewhere
        {
            *self.left.entry(item).or_default() += quantity;
        }
        self.gone.insert(request.booking_id);
        self.released.insert(request.client_id, Instant::now());
    }

    /// The Reserves of an item.
    pub fn reserves_of(&self, item: &str) -> usize {
        self.reserves.iter().filter(|call| call.item == item).count()
    }
}

/// Both services at one address.
#[derive(Clone)]
pub struct StockService {
    pub state: Arc<Mutex<StockState>>,
    pub address: SocketAddr,
}

impl StockService {
    /// With this much of each item.
    pub async fn start(stock: &[(&str, u64)]) -> Self {
        let left = stock.iter().map(|(item, left)| ((*item).to_owned(), *left)).collect();
        let state = Arc::new(Mutex::new(StockState { left, ..StockState::default() }));
        let listener = TcpListener::bind(super::local()).await.unwrap();
        let service = Self { state, address: listener.local_addr().unwrap() };
        let server = tonic::transport::Server::builder()
            .add_service(BookingServiceServer::new(service.clone()))
            .add_service(TicketServiceServer::new(service.clone()))
            .serve_with_incoming(TcpListenerStream::new(listener));
        tokio::spawn(server);
        service
    }
}

#[tonic::async_trait]
impl BookingService for StockService {
    async fn reserve(
        &self,
        request: Request<v1::ReserveRequest>,
    ) -> Result<Response<v1::ReserveResponse>, Status> {
        let (outcome, late) = {
            let mut state = self.state.lock();
            (state.reserve(request.get_ref()), state.late.take())
        };
        if let Some(late) = late {
            tokio::time::sleep(late).await;
        }
        Ok(Response::new(v1::ReserveResponse { outcome: Some(outcome) }))
    }

    async fn confirm(
        &self,
        request: Request<v1::ConfirmRequest>,
    ) -> Result<Response<v1::ConfirmResponse>, Status> {
        let outcome = Some(self.state.lock().confirm(request.into_inner()));
        Ok(Response::new(v1::ConfirmResponse { outcome }))
    }

    async fn release(
        &self,
        request: Request<v1::ReleaseRequest>,
    ) -> Result<Response<v1::ReleaseResponse>, Status> {
        self.state.lock().release(request.into_inner());
        Ok(Response::new(v1::ReleaseResponse { confirmed: false }))
    }
}

#[tonic::async_trait]
impl TicketService for StockService {
    async fn check_availability(
        &self,
        request: Request<v1::CheckAvailabilityRequest>,
    ) -> Result<Response<v1::CheckAvailabilityResponse>, Status> {
        let request = request.into_inner();
        let mut state = self.state.lock();
        state.questions += 1;
        let left = state.left.get(&request.item).copied().unwrap_or_default();
        let available = left >= request.quantity as u64;
        Ok(Response::new(v1::CheckAvailabilityResponse { available, remaining: left as i64 }))
    }
}
