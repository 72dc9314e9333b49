//! A small worker service for a crowd: it reserves everything at once, and misbehaves as
//! configured.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use bookingq_core::{BookingId, BookingState, Refusal};
use bookingq_proto::error::ApiError;
use bookingq_proto::v1;
use bookingq_proto::v1::booking_worker_service_server::{
    BookingWorkerService, BookingWorkerServiceServer,
};
use futures::stream::BoxStream;
use tokio::sync::watch;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::{TcpListenerStream, WatchStream};
use tonic::{Request, Response, Status};

/// What the fake does wrong, if anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    None,
    /// The store does not answer every other call.
    Shaky,
    /// Each watch ends after one update.
    ShortWatches,
    /// A repeated request becomes another booking.
    ForgetsRequests,
    /// The position grows once.
    MovesBack,
    /// Payments are refused as too late, always.
    RefusesPayments,
    /// Payments are taken, always.
    TakesLatePayments,
}

/// The store all fake workers share.
#[derive(Debug)]
pub struct FakeLine {
    flaw: Flaw,
    hold: Duration,
    calls: AtomicU64,
    bookings: Mutex<HashMap<String, watch::Sender<v1::Booking>>>,
}

type Answer<T> = Result<Response<T>, Status>;

impl FakeLine {
    pub fn new(flaw: Flaw, hold: Duration) -> Arc<Self> {
        Arc::new(Self { flaw, hold, calls: AtomicU64::new(0), bookings: Mutex::default() })
    }

    /// Starts one worker; it stops when the task is aborted.
    pub async fn serve(self: &Arc<Self>) -> (SocketAddr, tokio::task::JoinHandle<()>) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let service = BookingWorkerServiceServer::from_arc(self.clone());
        let server = tonic::transport::Server::builder().add_service(service);
        let task = tokio::spawn(async move {
            server.serve_with_incoming(TcpListenerStream::new(listener)).await.unwrap();
        });
        (address, task)
    }

    fn answers(&self) -> Result<(), Status> {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        if self.flaw == Flaw::Shaky && call.is_multiple_of(2) {
            return Err(ApiError::StoreUnavailable { cause: "shaky".into() }.into());
        }
        Ok(())
    }

    fn booking(&self, client: &str) -> Result<watch::Sender<v1::Booking>, Status> {
        let found = self.bookings.lock().unwrap().get(client).cloned();
        found.ok_or_else(|| ApiError::from(Refusal::BookingNotFound).into())
    }
}

/// Reserves at once, and expires when the hold ends.
fn begin(flaw: Flaw, hold: Duration, booking: v1::Booking) -> watch::Sender<v1::Booking> {
    let sender = watch::Sender::new(booking);
    let booking = sender.clone();
    tokio::spawn(async move {
        if flaw == Flaw::MovesBack {
            for position in [3, 5] {
                tokio::time::sleep(Duration::from_millis(60)).await;
                booking.send_modify(|booking| booking.position = position);
            }
            tokio::time::sleep(Duration::from_millis(60)).await;
        }
        let deadline = SystemTime::now() + hold;
        booking.send_modify(|booking| {
            if booking.state() == v1::BookingState::Queued {
                booking.set_state(v1::BookingState::Reserved);
                booking.position = 0;
                booking.deadline = Some(deadline.into());
            }
        });
        tokio::time::sleep(hold).await;
        change(&booking, v1::BookingState::Reserved, v1::BookingState::Expired);
    });
    sender
}

/// Moves from one state to another; what it was before.
fn change(
    booking: &watch::Sender<v1::Booking>,
    from: v1::BookingState,
    to: v1::BookingState,
) -> v1::BookingState {
    let mut before = v1::BookingState::Unspecified;
    booking.send_modify(|booking| {
        before = booking.state();
        if before == from {
            booking.set_state(to);
        }
    });
    before
}

#[tonic::async_trait]
impl BookingWorkerService for FakeLine {
    async fn enqueue(&self, request: Request<v1::EnqueueRequest>) -> Answer<v1::EnqueueResponse> {
        self.answers()?;
        let request = request.into_inner();
        let mut bookings = self.bookings.lock().unwrap();
        if self.flaw != Flaw::ForgetsRequests
            && let Some(existing) = bookings.get(&request.client_id)
        {
            let booking = Some(existing.borrow().clone());
            return Ok(Response::new(v1::EnqueueResponse { booking, existing: true }));
        }
        let booking = v1::Booking {
            queue: request.queue,
            client_id: request.client_id.clone(),
            booking_id: BookingId::generate().to_string(),
            request_id: request.request_id,
            state: v1::BookingState::Queued.into(),
            queue_number: bookings.len() as u64 + 1,
            position: 4,
            ..Default::default()
        };
        bookings.insert(request.client_id, begin(self.flaw, self.hold, booking.clone()));
        Ok(Response::new(v1::EnqueueResponse { booking: Some(booking), existing: false }))
    }

    async fn enqueue_batch(
        &self,
        _: Request<v1::EnqueueBatchRequest>,
    ) -> Answer<v1::EnqueueBatchResponse> {
        Err(Status::unimplemented("the crowd never asks"))
    }

    async fn get_status(
        &self,
        request: Request<v1::GetStatusRequest>,
    ) -> Answer<v1::GetStatusResponse> {
        self.answers()?;
        let booking = self.booking(&request.into_inner().client_id)?.borrow().clone();
        Ok(Response::new(v1::GetStatusResponse { booking: Some(booking) }))
    }

    type WatchStatusStream = BoxStream<'static, Result<v1::WatchStatusResponse, Status>>;

    async fn watch_status(
        &self,
        request: Request<v1::WatchStatusRequest>,
    ) -> Answer<Self::WatchStatusStream> {
        self.answers()?;
        let booking = self.booking(&request.into_inner().client_id)?;
        let updates = WatchStream::new(booking.subscribe())
            .map(|booking| Ok(v1::WatchStatusResponse { booking: Some(booking) }));
        let most = if self.flaw == Flaw::ShortWatches { 1 } else { usize::MAX };
        Ok(Response::new(Box::pin(updates.take(most))))
    }

    async fn get_status_batch(
        &self,
        _: Request<v1::GetStatusBatchRequest>,
    ) -> Result<Response<v1::GetStatusBatchResponse>, Status> {
        Err(Status::unimplemented("the crowd never asks"))
    }

    type FollowQueueStream = tokio_stream::Empty<Result<v1::PublishRequest, Status>>;

    async fn follow_queue(
        &self,
        _: Request<v1::FollowQueueRequest>,
    ) -> Result<Response<Self::FollowQueueStream>, Status> {
        Err(Status::unimplemented("the crowd never asks"))
    }

    async fn cancel(&self, request: Request<v1::CancelRequest>) -> Answer<v1::CancelResponse> {
        self.answers()?;
        let booking = self.booking(&request.into_inner().client_id)?;
        for from in [v1::BookingState::Queued, v1::BookingState::Reserved] {
            change(&booking, from, v1::BookingState::Cancelled);
        }
        let now = booking.borrow().clone();
        if now.state() != v1::BookingState::Cancelled {
            return Err(ApiError::from(Refusal::AlreadyFinal(BookingState::Expired)).into());
        }
        Ok(Response::new(v1::CancelResponse { booking: Some(now) }))
    }

    async fn confirm_payment(
        &self,
        request: Request<v1::ConfirmPaymentRequest>,
    ) -> Answer<v1::ConfirmPaymentResponse> {
        self.answers()?;
        let booking = self.booking(&request.into_inner().client_id)?;
        if self.flaw == Flaw::RefusesPayments {
            return Err(ApiError::from(Refusal::HoldExpired).into());
        }
        let before = change(&booking, v1::BookingState::Reserved, v1::BookingState::Confirmed);
        if before == v1::BookingState::Expired && self.flaw != Flaw::TakesLatePayments {
            return Err(ApiError::from(Refusal::HoldExpired).into());
        }
        let now = booking.borrow().clone();
        Ok(Response::new(v1::ConfirmPaymentResponse {
            booking: Some(now),
            ..v1::ConfirmPaymentResponse::default()
        }))
    }

    async fn get_queue(&self, _: Request<v1::GetQueueRequest>) -> Answer<v1::GetQueueResponse> {
        Err(Status::unimplemented("the crowd never asks"))
    }

    async fn set_outflow(
        &self,
        _: Request<v1::SetOutflowRequest>,
    ) -> Result<Response<v1::SetOutflowResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn restocked(
        &self,
        _: Request<v1::RestockedRequest>,
    ) -> Result<Response<v1::RestockedResponse>, Status> {
        Err(Status::unimplemented(""))
    }
}
