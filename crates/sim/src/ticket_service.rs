//! The simulated Ticket Service: reports the remaining stock of the Booking Service beside it.

use std::net::SocketAddr;
use std::sync::Arc;

use bookingq_proto::v1;
use bookingq_proto::v1::ticket_service_server::{self, TicketService, TicketServiceServer};
use tonic::service::Routes;
use tonic::{Request, Response, Status};

use crate::booking::BookingBackend;
use crate::fault_injector::FaultInjector;
use crate::server::{ServiceSim, SimError};
use crate::spec::ServiceSpec;

#[derive(Debug)]
struct AvailabilityApi {
    backend: Arc<BookingBackend>,
    injector: Arc<FaultInjector>,
}

#[tonic::async_trait]
impl TicketService for AvailabilityApi {
    async fn check_availability(
        &self,
        request: Request<v1::CheckAvailabilityRequest>,
    ) -> Result<Response<v1::CheckAvailabilityResponse>, Status> {
        let (backend, request) = (self.backend.clone(), request.into_inner());
        let quantity = u64::from(request.quantity.max(1).unsigned_abs());
        let check = move || backend.check_availability(&request.item, quantity);
        let remaining = self.injector.run(check).await?;
        Ok(Response::new(v1::CheckAvailabilityResponse {
            available: remaining >= quantity,
            remaining: i64::try_from(remaining).unwrap_or(i64::MAX),
        }))
    }
}

/// A running simulated Ticket Service.
pub type TicketServiceSim = ServiceSim<FaultInjector>;

impl TicketServiceSim {
    /// Listens at `listen` (port 0: any free one) and reports the stock of `backend`.
    ///
    /// # Errors
    /// [`SimError::Serve`] if the port is taken.
    pub async fn start(
        spec: ServiceSpec,
        backend: Arc<BookingBackend>,
        listen: SocketAddr,
    ) -> Result<Self, SimError> {
        let injector = FaultInjector::new(spec);
        let api = AvailabilityApi { backend, injector: injector.clone() };
        let routes = Routes::new(TicketServiceServer::new(api));
        Self::serve(injector, listen, ticket_service_server::SERVICE_NAME, routes).await
    }

    /// The faults of its calls.
    pub fn injector(&self) -> &Arc<FaultInjector> {
        &self.state
    }
}
