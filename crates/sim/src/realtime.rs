//! The simulated Realtime Service: takes the news and records who was told what.

use std::net::SocketAddr;
use std::sync::Arc;

use bookingq_proto::v1;
use bookingq_proto::v1::realtime_service_server::{self, RealtimeService, RealtimeServiceServer};
use parking_lot::Mutex;
use tokio_stream::StreamExt as _;
use tonic::service::Routes;
use tonic::{Request, Response, Status, Streaming};

use crate::conduct::Conduct;
use crate::server::{Served, SimError, serve};
use crate::spec::ServiceSpec;
use crate::told::{ClientRecord, TickRecord, Told, ToldTotals};

/// The record: what the gRPC service writes, and everybody else reads.
#[derive(Debug, Default)]
pub struct Record(Mutex<Told>);

impl Record {
    /// What one client was told.
    pub fn client(&self, client: &str) -> Option<ClientRecord> {
        self.0.lock().client(client).cloned()
    }

    /// The line as it was last told.
    pub fn tick(&self) -> Option<TickRecord> {
        self.0.lock().tick().cloned()
    }

    /// All of it in numbers.
    pub fn totals(&self) -> ToldTotals {
        self.0.lock().totals()
    }
}

#[derive(Debug, Clone)]
struct Receiver {
    record: Arc<Record>,
    conduct: Arc<Conduct>,
}

#[tonic::async_trait]
impl RealtimeService for Receiver {
    /// Each batch is one call to the faults: an error or a lost reply ends the stream, and the
    /// batches are sent again.
    async fn publish(
        &self,
        request: Request<Streaming<v1::PublishRequest>>,
    ) -> Result<Response<v1::PublishResponse>, Status> {
        let mut batches = request.into_inner();
        let mut received = 0;
        while let Some(batch) = batches.next().await {
            let batch = batch?;
            received += batch.updates.len() as u64;
            let record = self.record.clone();
            self.conduct.treat(move || record.0.lock().record(&batch)).await?;
        }
        Ok(Response::new(v1::PublishResponse { received }))
    }
}

/// A running simulated Realtime Service. It stops when dropped.
#[derive(Debug)]
pub struct RealtimeSim {
    record: Arc<Record>,
    conduct: Arc<Conduct>,
    served: Served,
}

impl RealtimeSim {
    /// Listens at `listen` (port 0: any free one).
    ///
    /// # Errors
    /// [`SimError::Listen`] when the port cannot be had.
    pub async fn start(spec: ServiceSpec, listen: SocketAddr) -> Result<Self, SimError> {
        let (record, conduct) = (Arc::new(Record::default()), Conduct::new(spec));
        let receiver = Receiver { record: record.clone(), conduct: conduct.clone() };
        let routes = Routes::new(RealtimeServiceServer::new(receiver));
        let served = serve(listen, realtime_service_server::SERVICE_NAME, routes).await?;
        Ok(Self { record, conduct, served })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.served.address()
    }

    /// Who was told what.
    pub fn record(&self) -> &Arc<Record> {
        &self.record
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
