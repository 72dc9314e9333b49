//! A worker that answers by a script, over a real socket.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bookingq_proto::v1::booking_worker_service_server::{
    BookingWorkerService, BookingWorkerServiceServer,
};
use bookingq_proto::v1::{self, BookingState};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

/// The answer to one call.
// A few of them for each test: their size does not matter.
#[allow(clippy::large_enum_variant)]
pub enum Answer {
    /// This booking.
    Booking(v1::Booking),
    /// This refusal.
    Refusal(Status),
    /// These changes, and then the stream ends.
    Stream(Vec<v1::Booking>),
}

/// Ann's booking in a state.
pub fn booking(state: BookingState) -> v1::Booking {
    let queued = state == BookingState::Queued;
    v1::Booking {
        queue: "concert".into(),
        client_id: "ann".into(),
        booking_id: "01a2055d-b424-775c-9d22-cd5bd9778cbe".into(),
        request_id: "order-17".into(),
        state: state.into(),
        queue_number: 42,
        position: if queued { 7 } else { 0 },
        eta: queued.then_some(prost_types::Duration { seconds: 90, nanos: 0 }),
        ..v1::Booking::default()
    }
}

/// The stalls, of which twelve reservations are unpaid.
pub fn sold_out_stalls() -> v1::ItemStatus {
    v1::ItemStatus {
        item: "stalls".into(),
        availability: v1::ItemAvailability::SoldOutAtTheMoment.into(),
        sold_out_from: 1,
        unsettled: 12,
        waiting: 45,
        left: Some(0),
    }
}

#[derive(Default)]
struct Script {
    answers: Mutex<VecDeque<Answer>>,
    enqueued: Mutex<Vec<v1::EnqueueRequest>>,
}

/// The worker. It stops when dropped.
pub struct FakeWorker {
    address: SocketAddr,
    script: Arc<Script>,
    server: Option<JoinHandle<()>>,
}

impl FakeWorker {
    /// Starts it; each call takes the next answer.
    pub async fn start(answers: impl IntoIterator<Item = Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let script = Arc::new(Script {
            answers: Mutex::new(answers.into_iter().collect()),
            ..Script::default()
        });
        let service = BookingWorkerServiceServer::new(Service(script.clone()));
        let server = tokio::spawn(async move {
            let incoming = TcpListenerStream::new(listener);
            tonic::transport::Server::builder()
                .add_service(service)
                .serve_with_incoming(incoming)
                .await
                .unwrap();
        });
        Self { address, script, server: Some(server) }
    }

    /// An address that refuses connections.
    pub async fn absent() -> Self {
        let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        Self { address, script: Arc::default(), server: None }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The Enqueue requests so far.
    pub fn enqueued(&self) -> Vec<v1::EnqueueRequest> {
        self.script.enqueued.lock().unwrap().clone()
    }
}

impl Drop for FakeWorker {
    fn drop(&mut self) {
        if let Some(server) = &self.server {
            server.abort();
        }
    }
}

struct Service(Arc<Script>);

impl Service {
    fn next(&self) -> Result<Option<v1::Booking>, Status> {
        match self.0.answers.lock().unwrap().pop_front() {
            Some(Answer::Booking(booking)) => Ok(Some(booking)),
            Some(Answer::Refusal(status)) => Err(status),
            Some(Answer::Stream(_)) | None => {
                Err(Status::internal("the test's script does not fit the calls"))
            }
        }
    }
}

#[tonic::async_trait]
impl BookingWorkerService for Service {
    type WatchStatusStream =
        tokio_stream::Iter<std::vec::IntoIter<Result<v1::WatchStatusResponse, Status>>>;

    async fn enqueue(
        &self,
        request: Request<v1::EnqueueRequest>,
    ) -> Result<Response<v1::EnqueueResponse>, Status> {
        self.0.enqueued.lock().unwrap().push(request.into_inner());
        Ok(Response::new(v1::EnqueueResponse { booking: self.next()?, existing: false }))
    }

    async fn enqueue_batch(
        &self,
        _: Request<v1::EnqueueBatchRequest>,
    ) -> Result<Response<v1::EnqueueBatchResponse>, Status> {
        Err(Status::unimplemented("no command calls it"))
    }

    async fn get_status(
        &self,
        _: Request<v1::GetStatusRequest>,
    ) -> Result<Response<v1::GetStatusResponse>, Status> {
        Ok(Response::new(v1::GetStatusResponse { booking: self.next()? }))
    }

    async fn watch_status(
        &self,
        _: Request<v1::WatchStatusRequest>,
    ) -> Result<Response<Self::WatchStatusStream>, Status> {
        match self.0.answers.lock().unwrap().pop_front() {
            Some(Answer::Stream(bookings)) => {
                let update = |booking| Ok(v1::WatchStatusResponse { booking: Some(booking) });
                let updates: Vec<_> = bookings.into_iter().map(update).collect();
                Ok(Response::new(tokio_stream::iter(updates)))
            }
            Some(Answer::Refusal(status)) => Err(status),
            Some(Answer::Booking(_)) | None => {
                Err(Status::internal("the test's script does not fit the calls"))
            }
        }
    }

    async fn get_status_batch(
        &self,
        _: Request<v1::GetStatusBatchRequest>,
    ) -> Result<Response<v1::GetStatusBatchResponse>, Status> {
        Err(Status::unimplemented("no command calls it"))
    }

    type FollowQueueStream = tokio_stream::Empty<Result<v1::PublishRequest, Status>>;

    async fn follow_queue(
        &self,
        _: Request<v1::FollowQueueRequest>,
    ) -> Result<Response<Self::FollowQueueStream>, Status> {
        Err(Status::unimplemented("no command calls it"))
    }

    async fn cancel(
        &self,
        _: Request<v1::CancelRequest>,
    ) -> Result<Response<v1::CancelResponse>, Status> {
        Ok(Response::new(v1::CancelResponse { booking: self.next()? }))
    }

    async fn confirm_payment(
        &self,
        request: Request<v1::ConfirmPaymentRequest>,
    ) -> Result<Response<v1::ConfirmPaymentResponse>, Status> {
        Ok(Response::new(v1::ConfirmPaymentResponse {
            booking: self.next()?,
            reacquired_for: if request.into_inner().reacquire {
                "old".into()
            } else {
                String::new()
            },
        }))
    }

    async fn get_queue(
        &self,
        _: Request<v1::GetQueueRequest>,
    ) -> Result<Response<v1::GetQueueResponse>, Status> {
        Ok(Response::new(v1::GetQueueResponse {
            queue: "concert".into(),
            admission: v1::Admission::Paused.into(),
            backlog: 1200,
            in_flight: 3,
            holds: 9,
            now_serving: 55,
            oldest_wait: Some(prost_types::Duration { seconds: 1, nanos: 500_000_000 }),
            rate: 12.5,
            totals: Some(v1::QueueTotals { confirmed: 8, ..v1::QueueTotals::default() }),
            parked: 45,
            opens_at: Some(prost_types::Timestamp { seconds: 1_763_846_400, nanos: 0 }),
            opens_in: Some(prost_types::Duration { seconds: 250, nanos: 0 }),
            outflow: Some(v1::Outflow { per_minute: 600, ..v1::Outflow::default() }),
            items: vec![sold_out_stalls()],
            eta_unknown: v1::EtaUnknown::Paused.into(),
            workforce: Some(v1::Workforce { wanted: 3, ready: 2, last_scaling: None }),
            chances: vec![v1::ItemChance {
                item: "balcony".into(),
                chance: v1::Chance::Likely.into(),
            }],
            ..v1::GetQueueResponse::default()
        }))
    }

    async fn set_outflow(
        &self,
        request: Request<v1::SetOutflowRequest>,
    ) -> Result<Response<v1::SetOutflowResponse>, Status> {
        let outflow = request.into_inner().outflow;
        Ok(Response::new(v1::SetOutflowResponse { outflow }))
    }

    async fn restocked(
        &self,
        request: Request<v1::RestockedRequest>,
    ) -> Result<Response<v1::RestockedResponse>, Status> {
        let v1::RestockedRequest { item, left, .. } = request.into_inner();
        let availability = v1::ItemAvailability::Open.into();
        let item = v1::ItemStatus { item, left, availability, ..v1::ItemStatus::default() };
        Ok(Response::new(v1::RestockedResponse { item: Some(item) }))
    }
}
