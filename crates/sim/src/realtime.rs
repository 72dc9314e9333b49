//! The simulated Realtime Service: records the updates that it receives for each client.

use std::net::SocketAddr;
use std::sync::Arc;

use bookingq_proto::v1;
use bookingq_proto::v1::realtime_service_server::{self, RealtimeService, RealtimeServiceServer};
use parking_lot::{Mutex, MutexGuard};
use tokio_stream::StreamExt as _;
use tonic::service::Routes;
use tonic::{Request, Response, Status, Streaming};

use crate::deliveries::Deliveries;
use crate::fault_injector::FaultInjector;
use crate::server::{ServiceSim, SimError};
use crate::spec::ServiceSpec;

/// The state of a Realtime Service, which the HTTP port reads too.
#[derive(Debug)]
pub struct RealtimeBackend {
    deliveries: Mutex<Deliveries>,
    injector: Arc<FaultInjector>,
}

impl RealtimeBackend {
    /// The received updates, locked: calls wait until the guard is dropped.
    pub fn deliveries(&self) -> MutexGuard<'_, Deliveries> {
        self.deliveries.lock()
    }

    /// The faults of its calls.
    pub fn injector(&self) -> &FaultInjector {
        &self.injector
    }
}

#[derive(Debug)]
struct RealtimeApi(Arc<RealtimeBackend>);

#[tonic::async_trait]
impl RealtimeService for RealtimeApi {
    /// Each batch is one call to the fault injector: an error or a lost reply ends the stream, and
    /// the batches are sent again.
    async fn publish(
        &self,
        request: Request<Streaming<v1::PublishRequest>>,
    ) -> Result<Response<v1::PublishResponse>, Status> {
        let mut batches = request.into_inner();
        let mut received = 0;
        while let Some(batch) = batches.next().await {
            let batch = batch?;
            received += batch.updates.len() as u64;
            let backend = self.0.clone();
            self.0.injector.run(move || backend.deliveries().record(&batch)).await?;
        }
        Ok(Response::new(v1::PublishResponse { received }))
    }
}

/// A running simulated Realtime Service.
pub type RealtimeSim = ServiceSim<RealtimeBackend>;

impl RealtimeSim {
    /// Listens at `listen` (port 0: any free one).
    ///
    /// # Errors
    /// [`SimError::Serve`] if the port is taken.
    pub async fn start(spec: ServiceSpec, listen: SocketAddr) -> Result<Self, SimError> {
        let (deliveries, injector) = (Mutex::default(), FaultInjector::new(spec));
        let backend = Arc::new(RealtimeBackend { deliveries, injector });
        let routes = Routes::new(RealtimeServiceServer::new(RealtimeApi(backend.clone())));
        Self::serve(backend, listen, realtime_service_server::SERVICE_NAME, routes).await
    }

    /// The received updates and the faults.
    pub fn backend(&self) -> &Arc<RealtimeBackend> {
        &self.state
    }
}
