//! The simulated Ticket Service: says whether the Booking Service beside it has anything left.

use std::net::SocketAddr;
use std::sync::Arc;

use bookingq_proto::v1;
use bookingq_proto::v1::ticket_service_server::{self, TicketService, TicketServiceServer};
use tonic::service::Routes;
use tonic::{Request, Response, Status};

use crate::booking::Shop;
use crate::conduct::Conduct;
use crate::server::{Served, SimError, serve};
use crate::spec::ServiceSpec;

#[derive(Debug, Clone)]
struct Window {
    shop: Arc<Shop>,
    conduct: Arc<Conduct>,
}

#[tonic::async_trait]
impl TicketService for Window {
    async fn check_availability(
        &self,
        request: Request<v1::CheckAvailabilityRequest>,
    ) -> Result<Response<v1::CheckAvailabilityResponse>, Status> {
        let (shop, quantity) =
            (self.shop.clone(), request.into_inner().quantity.max(1).unsigned_abs());
        let remaining = self.conduct.treat(move || shop.totals().available).await?;
        Ok(Response::new(v1::CheckAvailabilityResponse {
            available: remaining >= u64::from(quantity),
            remaining: i64::try_from(remaining).unwrap_or(i64::MAX),
        }))
    }
}

/// A running simulated Ticket Service. It stops when dropped.
#[derive(Debug)]
pub struct TicketSim {
    conduct: Arc<Conduct>,
    served: Served,
}

impl TicketSim {
    /// Listens at `listen` (port 0: any free one) and tells what `shop` has left.
    ///
    /// # Errors
    /// [`SimError::Listen`] when the port cannot be had.
    pub async fn start(
        spec: ServiceSpec,
        shop: Arc<Shop>,
        listen: SocketAddr,
    ) -> Result<Self, SimError> {
        let conduct = Conduct::new(spec);
        let routes =
            Routes::new(TicketServiceServer::new(Window { shop, conduct: conduct.clone() }));
        let served = serve(listen, ticket_service_server::SERVICE_NAME, routes).await?;
        Ok(Self { conduct, served })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.served.address()
    }

    /// How it treats its callers.
    pub fn conduct(&self) -> &Arc<Conduct> {
        &self.conduct
    }

    /// Closes the port.
    pub async fn shutdown(self) {
        self.served.stop().await;
    }
}
