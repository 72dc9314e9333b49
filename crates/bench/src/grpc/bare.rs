//! The yardstick for a worker: a unary server with the same messages that only answers.

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

/// A running server. It ends when dropped.
pub struct BareServer {
    address: SocketAddr,
    task: AbortHandle,
}

impl BareServer {
    pub fn start() -> Result<Self> {
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let incoming = TcpIncoming::bind(listen)?.with_nodelay(Some(true));
        let address = incoming.local_addr()?;
        let serve = Server::builder()
            .add_service(BookingWorkerServiceServer::new(Bare))
            .serve_with_incoming(incoming);
        Ok(Self { address, task: tokio::spawn(serve).abort_handle() })
    }
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for BareServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Answers Enqueue with a booking as large as a real one.
struct Bare;

macro_rules! bare_service {
    ($($unmeasured:ident: $request:ident => $response:ty,)*) => {
        #[tonic::async_trait]
        impl BookingWorkerService for Bare {
            type WatchStatusStream = tokio_stream::Empty<Result<v1::WatchStatusResponse, Status>>;
            type FollowQueueStream = tokio_stream::Empty<Result<v1::PublishRequest, Status>>;

            async fn enqueue(
                &self,
                request: Request<v1::EnqueueRequest>,
            ) -> Result<Response<v1::EnqueueResponse>, Status> {
                Ok(Response::new(answer(request.into_inner())))
            }

            $(async fn $unmeasured(
                &self,
                _: Request<v1::$request>,
            ) -> Result<Response<$response>, Status> {
                Err(Status::unimplemented("only Enqueue is measured here"))
            })*
        }
    };
}

bare_service! {
    enqueue_batch: EnqueueBatchRequest => v1::EnqueueBatchResponse,
    get_status: GetStatusRequest => v1::GetStatusResponse,
    get_status_batch: GetStatusBatchRequest => v1::GetStatusBatchResponse,
    follow_queue: FollowQueueRequest => Self::FollowQueueStream,
    watch_status: WatchStatusRequest => Self::WatchStatusStream,
    cancel: CancelRequest => v1::CancelResponse,
    confirm_payment: ConfirmPaymentRequest => v1::ConfirmPaymentResponse,
    get_queue: GetQueueRequest => v1::GetQueueResponse,
    set_outflow: SetOutflowRequest => v1::SetOutflowResponse,
    restocked: RestockedRequest => v1::RestockedResponse,
}

fn answer(request: v1::EnqueueRequest) -> v1::EnqueueResponse {
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
    v1::EnqueueResponse { booking: Some(booking), existing: false }
}
