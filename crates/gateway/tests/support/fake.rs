//! A worker that answers GetStatusBatch from a table and sends its followers what a test says.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use bookingq_core::Timestamp;
use bookingq_proto::convert::timestamp;
use bookingq_proto::v1;
use bookingq_proto::v1::booking_worker_service_server::{
    BookingWorkerService, BookingWorkerServiceServer,
};
use futures::stream::{BoxStream, StreamExt as _};
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::sync::broadcast;
use tokio_stream::wrappers::{BroadcastStream, TcpListenerStream};
use tonic::{Request, Response, Status};

/// The store's clock of the fake.
pub const NOW: u64 = 1_800_000_000_000;

#[derive(Clone)]
pub struct FakeWorker(Arc<FakeState>);

pub struct FakeState {
    pub bookings: Mutex<HashMap<String, v1::Booking>>,
    pub epoch: Mutex<String>,
    /// The first message of each new follower.
    first: Mutex<v1::PublishRequest>,
    /// `None`: the worker leaves.
    messages: broadcast::Sender<Option<v1::PublishRequest>>,
    /// What followers asked for.
    pub follows: Mutex<Vec<v1::FollowQueueRequest>>,
    /// The sizes of the batches.
    pub batches: Mutex<Vec<usize>>,
    /// Answers to GetStatusBatch wait while a test holds this.
    pub answers: tokio::sync::RwLock<()>,
    pub address: SocketAddr,
}

impl FakeWorker {
    pub async fn start() -> Arc<FakeState> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let state = Arc::new(FakeState {
            bookings: Mutex::default(),
            epoch: Mutex::new("e1".to_owned()),
            first: Mutex::new(message("e1", Some(tick(NOW, &[])))),
            messages: broadcast::channel(1024).0,
            follows: Mutex::default(),
            batches: Mutex::default(),
            answers: tokio::sync::RwLock::default(),
            address: listener.local_addr().unwrap(),
        });
        let service = BookingWorkerServiceServer::new(Self(Arc::clone(&state)));
        let server = tonic::transport::Server::builder().add_service(service);
        tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        state
    }
}

impl FakeState {
    /// A booking in the line.
    pub fn queue(&self, client: &str, number: u64, position: u64) {
        self.put(client, booking(client, number, position));
    }

    pub fn put(&self, client: &str, booking: v1::Booking) {
        self.bookings.lock().insert(client.to_owned(), booking);
    }

    /// Sends a message to all followers. Without followers it is lost.
    pub fn send(&self, message: v1::PublishRequest) {
        let _ = self.messages.send(Some(message));
    }

    /// Ends the streams of all followers, as a worker does that leaves.
    pub fn end_follows(&self) {
        let _ = self.messages.send(None);
    }

    /// Other data from now on.
    pub fn lose_data(&self, epoch: &str) {
        epoch.clone_into(&mut self.epoch.lock());
        *self.first.lock() = message(epoch, Some(tick(NOW, &[])));
    }
}

pub fn booking(client: &str, number: u64, position: u64) -> v1::Booking {
    v1::Booking {
        queue: "concert".to_owned(),
        client_id: client.to_owned(),
        booking_id: format!("booking-of-{client}"),
        state: v1::BookingState::Queued.into(),
        queue_number: number,
        position,
        item: "stalls".to_owned(),
        quantity: 1,
        ..Default::default()
    }
}

pub fn message(epoch: &str, tick: Option<v1::QueueTick>) -> v1::PublishRequest {
    v1::PublishRequest {
        queue: "concert".to_owned(),
        epoch: epoch.to_owned(),
        tick,
        ..Default::default()
    }
}

/// A tick with these `(queue number, position)`.
pub fn tick(at: u64, boundaries: &[(u64, u64)]) -> v1::QueueTick {
    let boundary = |&(queue_number, position): &(u64, u64)| v1::Boundary { queue_number, position };
    v1::QueueTick {
        at: Some(timestamp(Timestamp(at))),
        backlog: 1000,
        boundaries: boundaries.iter().map(boundary).collect(),
        admission: v1::Admission::Open.into(),
        ..Default::default()
    }
}

pub fn update(client: &str, number: u64, ms: u64, state: v1::BookingState) -> v1::BookingUpdate {
    v1::BookingUpdate {
        sequence_ms: ms,
        sequence_number: 1 << 16,
        client_id: client.to_owned(),
        booking_id: format!("booking-of-{client}"),
        queue_number: number,
        state: state.into(),
        ..Default::default()
    }
}

pub fn updates(epoch: &str, updates: Vec<v1::BookingUpdate>) -> v1::PublishRequest {
    let (through_ms, through_number) =
        updates.last().map_or((0, 0), |last| (last.sequence_ms, last.sequence_number));
    v1::PublishRequest { updates, through_ms, through_number, ..message(epoch, None) }
}

fn unimplemented<T>() -> Result<Response<T>, Status> {
    Err(Status::unimplemented("not in this test"))
}

macro_rules! not_here {
    ($($method:ident: $request:ident => $response:ident;)*) => {
        #[tonic::async_trait]
        impl BookingWorkerService for FakeWorker {
            $(
                async fn $method(
                    &self,
                    _: Request<v1::$request>,
                ) -> Result<Response<v1::$response>, Status> {
                    unimplemented()
                }
            )*

            type WatchStatusStream = BoxStream<'static, Result<v1::WatchStatusResponse, Status>>;

            async fn watch_status(
                &self,
                _: Request<v1::WatchStatusRequest>,
            ) -> Result<Response<Self::WatchStatusStream>, Status> {
                unimplemented()
            }

            type FollowQueueStream = BoxStream<'static, Result<v1::PublishRequest, Status>>;

            async fn follow_queue(
                &self,
                request: Request<v1::FollowQueueRequest>,
            ) -> Result<Response<Self::FollowQueueStream>, Status> {
                let state = &self.0;
                let messages = BroadcastStream::new(state.messages.subscribe());
                let first = futures::stream::iter([Ok(state.first.lock().clone())]);
                state.follows.lock().push(request.into_inner());
                let next = messages.map(|one| match one {
                    Ok(Some(message)) => Ok(message),
                    Ok(None) => Err(Status::unavailable("the worker leaves")),
                    Err(lagged) => Err(Status::data_loss(lagged.to_string())),
                });
                Ok(Response::new(first.chain(next).boxed()))
            }

            async fn get_status_batch(
                &self,
                request: Request<v1::GetStatusBatchRequest>,
            ) -> Result<Response<v1::GetStatusBatchResponse>, Status> {
                let clients = request.into_inner().client_ids;
                self.0.batches.lock().push(clients.len());
                let results = {
                    let bookings = self.0.bookings.lock();
                    let result =
                        |client| v1::GetStatusResult { booking: bookings.get(client).cloned() };
                    clients.iter().map(result).collect()
                };
                let answer = v1::GetStatusBatchResponse {
                    results,
                    epoch: self.0.epoch.lock().clone(),
                    now: Some(timestamp(Timestamp(NOW))),
                };
                let _may_answer = self.0.answers.read().await;
                Ok(Response::new(answer))
            }
        }
    };
}

not_here! {
    enqueue: EnqueueRequest => EnqueueResponse;
    enqueue_batch: EnqueueBatchRequest => EnqueueBatchResponse;
    get_status: GetStatusRequest => GetStatusResponse;
    cancel: CancelRequest => CancelResponse;
    confirm_payment: ConfirmPaymentRequest => ConfirmPaymentResponse;
    get_queue: GetQueueRequest => GetQueueResponse;
    set_outflow: SetOutflowRequest => SetOutflowResponse;
    restocked: RestockedRequest => RestockedResponse;
}
