//! The yardstick for a worker: a unary server that does nothing but answer, in the same words.

use std::net::SocketAddr;

use anyhow::Result;
use bookingq_proto::v1;
use bookingq_proto::v1::booking_worker_service_server::{
    BookingWorkerService, BookingWorkerServiceServer,
};
use tokio::task::AbortHandle;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

/// A running one. It ends when dropped.
pub struct BareServer {
    address: SocketAddr,
    task: AbortHandle,
}

impl BareServer {
    /// Listens at a free port.
    pub fn start() -> Result<Self> {
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let incoming = TcpIncoming::bind(listen)?.with_nodelay(Some(true));
        let address = incoming.local_addr()?;
        let serve = Server::builder()
            .add_service(BookingWorkerServiceServer::new(Bare))
            .serve_with_incoming(incoming);
        Ok(Self { address, task: tokio::spawn(serve).abort_handle() })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for BareServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Answers `Enqueue` with a booking as large as a real one, and nothing else.
struct Bare;

#[tonic::async_trait]
impl BookingWorkerService for Bare {
    async fn enqueue(
        &self,
        request: Request<v1::EnqueueRequest>,
    ) -> Result<Response<v1::EnqueueResponse>, Status> {
        let request = request.into_inner();
        let booking = v1::Booking {
            queue: request.queue,
            client_id: request.client_id,
            booking_id: "01940000-0000-7000-8000-000000000000".to_owned(),
            request_id: request.request_id,
            state: v1::BookingState::Queued.into(),
            queue_number: 1_000_000,
            position: 1000,
            ..v1::Booking::default()
        };
        Ok(Response::new(v1::EnqueueResponse { booking: Some(booking), existing: false }))
    }

    async fn enqueue_batch(
        &self,
        _: Request<v1::EnqueueBatchRequest>,
    ) -> Result<Response<v1::EnqueueBatchResponse>, Status> {
        Err(not_measured())
    }

    async fn get_status(
        &self,
        _: Request<v1::GetStatusRequest>,
    ) -> Result<Response<v1::GetStatusResponse>, Status> {
        Err(not_measured())
    }

    type WatchStatusStream = tokio_stream::Empty<Result<v1::WatchStatusResponse, Status>>;

    async fn watch_status(
        &self,
        _: Request<v1::WatchStatusRequest>,
    ) -> Result<Response<Self::WatchStatusStream>, Status> {
        Err(not_measured())
    }

    async fn cancel(
        &self,
        _: Request<v1::CancelRequest>,
    ) -> Result<Response<v1::CancelResponse>, Status> {
        Err(not_measured())
    }

    async fn confirm_payment(
        &self,
        _: Request<v1::ConfirmPaymentRequest>,
    ) -> Result<Response<v1::ConfirmPaymentResponse>, Status> {
        Err(not_measured())
    }

    async fn get_queue(
        &self,
        _: Request<v1::GetQueueRequest>,
    ) -> Result<Response<v1::GetQueueResponse>, Status> {
        Err(not_measured())
    }
}

fn not_measured() -> Status {
    Status::unimplemented("only Enqueue is measured here")
}
