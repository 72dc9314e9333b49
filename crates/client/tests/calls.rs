//! Calls and watches against workers that answer by a script, over real sockets.
#![allow(clippy::unwrap_used)]

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bookingq_client::{
    CallEvent, CallPolicy, ChannelConfig, ChannelPool, StatusWatch, WorkerCallError, WorkerClient,
};
use bookingq_core::backoff::Backoff;
use bookingq_proto::error::ApiError;
use bookingq_proto::v1;
use bookingq_proto::v1::booking_worker_service_server::{
    BookingWorkerService, BookingWorkerServiceServer,
};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

type Update = Result<v1::WatchStatusResponse, Status>;

/// Each GetQueue takes the next answer, and each WatchStatus the next stream.
#[derive(Default)]
struct Script {
    answers: Mutex<VecDeque<Result<(), Status>>>,
    streams: Mutex<VecDeque<Vec<Update>>>,
}

struct FakeWorker(Arc<Script>);

async fn listen(script: Script) -> (SocketAddr, Arc<Script>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let script = Arc::new(script);
    let service = BookingWorkerServiceServer::new(FakeWorker(script.clone()));
    let server = tonic::transport::Server::builder().add_service(service);
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    (address, script)
}

/// An address that refuses connections.
async fn absent() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

fn client(workers: &[SocketAddr], limit: Option<Duration>) -> (WorkerClient, CancellationToken) {
    client_of(watch::channel(workers.to_vec()).1, limit)
}

fn client_of(
    addresses: watch::Receiver<Vec<SocketAddr>>,
    limit: Option<Duration>,
) -> (WorkerClient, CancellationToken) {
    client_with(ChannelPool::new(ChannelConfig::default(), addresses), limit)
}

fn client_with(
    pool: Arc<ChannelPool>,
    limit: Option<Duration>,
) -> (WorkerClient, CancellationToken) {
    let stop = CancellationToken::new();
    let backoff = Backoff { initial: Duration::from_millis(20), max: Duration::from_millis(100) };
    let deadline = Duration::from_secs(5);
    let policy = CallPolicy { deadline, limit, backoff, stop: stop.clone() };
    (WorkerClient::new(pool, Arc::new(policy), 0), stop)
}

/// Calls GetQueue; returns for each failed try whether it was redirected, and the answer.
async fn get_queue(client: &mut WorkerClient) -> (Vec<bool>, Result<(), WorkerCallError>) {
    let mut failures = Vec::new();
    let answer = client
        .call_observed(v1::GetQueueRequest::default(), |event| {
            if let CallEvent::Answered { answer: Err(_), redirected } = event {
                failures.push(redirected);
            }
        })
        .await;
    (failures, answer.map(|_| ()))
}

#[tokio::test]
async fn a_worker_that_refuses_connections_costs_no_failure_while_another_lives() {
    let (live, _) = listen(Script::default()).await;
    let (mut client, _) = client(&[absent().await, live], None);
    let (failures, answer) = get_queue(&mut client).await;
    answer.unwrap();
    assert_eq!(failures, [true]);
}

#[tokio::test]
async fn without_a_live_worker_the_call_fails_at_its_limit() {
    let workers = [absent().await, absent().await];
    let (mut client, _) = client(&workers, Some(Duration::from_millis(200)));
    let (failures, answer) = get_queue(&mut client).await;
    assert!(matches!(answer, Err(WorkerCallError::NoAnswer(_))), "{answer:?}");
    assert_eq!(failures[..2], [true, false], "each worker was tried, and then it counts");
}

#[tokio::test]
async fn a_call_waits_for_the_first_worker_without_a_failure() {
    let (live, _) = listen(Script::default()).await;
    let (sender, addresses) = watch::channel(Vec::new());
    let (mut client, _) = client_of(addresses, None);
    let call = tokio::spawn(async move { get_queue(&mut client).await });
    tokio::time::sleep(Duration::from_millis(50)).await;
    sender.send_replace(vec![live]);
    let (failures, answer) = call.await.unwrap();
    answer.unwrap();
    assert!(failures.is_empty(), "{failures:?}");
    let (mut client, _) = client_of(watch::channel(Vec::new()).1, Some(Duration::from_millis(50)));
    let (failures, answer) = get_queue(&mut client).await;
    assert!(matches!(answer, Err(WorkerCallError::NoAnswer(_))), "{answer:?}");
    assert!(failures.is_empty(), "{failures:?}");
}

#[tokio::test]
async fn a_call_that_waits_for_others_ends_at_its_limit_or_with_its_caller() {
    let one_call = ChannelConfig { calls_at_once: 1, ..ChannelConfig::default() };
    let (_sender, addresses) = watch::channel(Vec::new());
    let pool = ChannelPool::new(one_call, addresses);
    let (mut first, _) = client_with(pool.clone(), None);
    let waiting = tokio::spawn(async move { get_queue(&mut first).await });
    // The runtime has one thread: the first call runs now, and takes the only permit.
    tokio::task::yield_now().await;
    let (mut limited, _) = client_with(pool.clone(), Some(Duration::from_millis(50)));
    let answer = get_queue(&mut limited).await.1;
    assert!(matches!(answer, Err(WorkerCallError::NoAnswer(_))), "{answer:?}");
    let (mut stopped, stop) = client_with(pool, None);
    let call = tokio::spawn(async move { get_queue(&mut stopped).await.1 });
    stop.cancel();
    assert!(matches!(call.await.unwrap(), Err(WorkerCallError::Stopped)));
    waiting.abort();
}

#[tokio::test]
async fn overload_is_retried_and_a_refusal_is_not() {
    let retry_after = Duration::from_millis(10);
    let script = Script::default();
    script.answers.lock().unwrap().extend([
        Err(ApiError::Overloaded { retry_after }.into()),
        Ok(()),
        Err(ApiError::from(bookingq_core::Refusal::QueueClosed).into()),
    ]);
    let (worker, _) = listen(script).await;
    let (mut client, _) = client(&[worker], None);
    let (failures, answer) = get_queue(&mut client).await;
    answer.unwrap();
    assert_eq!(failures, [false]);
    let (failures, answer) = get_queue(&mut client).await;
    assert!(matches!(answer, Err(WorkerCallError::Refused(_))), "{answer:?}");
    assert_eq!(failures, [false]);
}

#[tokio::test]
async fn a_stopped_caller_tries_no_more() {
    let (mut client, stop) = client(&[absent().await], None);
    let caller = tokio::spawn(async move { get_queue(&mut client).await.1 });
    tokio::time::sleep(Duration::from_millis(50)).await;
    stop.cancel();
    assert!(matches!(caller.await.unwrap(), Err(WorkerCallError::Stopped)));
}

#[tokio::test]
async fn a_watch_goes_on_at_another_worker_when_one_leaves_and_counts_only_failures() {
    let update = |position| {
        let booking = v1::Booking { position, ..Default::default() };
        Ok(v1::WatchStatusResponse { booking: Some(booking) })
    };
    let script = Script::default();
    script.streams.lock().unwrap().extend([
        vec![update(9), Err(Status::unavailable("this worker is leaving"))],
        vec![update(8)],
        vec![update(7), Err(Status::internal("broken"))],
        vec![update(6)],
    ]);
    let (worker, _) = listen(script).await;
    // Shorter than the watch lives: the limit counts from the interruption.
    let (mut client, _) = client(&[worker], Some(Duration::from_millis(300)));
    let mut watch = StatusWatch::new(&client, v1::WatchStatusRequest::default());
    let mut failures = Vec::new();
    for position in [9, 8, 7, 6] {
        tokio::time::sleep(Duration::from_millis(150)).await;
        let update = watch.next(&mut client, |status| failures.push(status.code())).await.unwrap();
        assert_eq!((update.booking.position, update.is_first), (position, true));
    }
    assert_eq!(failures, [tonic::Code::Internal]);
}

#[tonic::async_trait]
impl BookingWorkerService for FakeWorker {
    type WatchStatusStream = tokio_stream::Iter<std::vec::IntoIter<Update>>;

    async fn get_queue(
        &self,
        _: Request<v1::GetQueueRequest>,
    ) -> Result<Response<v1::GetQueueResponse>, Status> {
        let answer = self.0.answers.lock().unwrap().pop_front().unwrap_or(Ok(()));
        answer.map(|()| Response::new(v1::GetQueueResponse::default()))
    }

    async fn watch_status(
        &self,
        _: Request<v1::WatchStatusRequest>,
    ) -> Result<Response<Self::WatchStatusStream>, Status> {
        let updates = self.0.streams.lock().unwrap().pop_front().unwrap_or_default();
        Ok(Response::new(tokio_stream::iter(updates)))
    }

    async fn enqueue(
        &self,
        _: Request<v1::EnqueueRequest>,
    ) -> Result<Response<v1::EnqueueResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn enqueue_batch(
        &self,
        _: Request<v1::EnqueueBatchRequest>,
    ) -> Result<Response<v1::EnqueueBatchResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn get_status(
        &self,
        _: Request<v1::GetStatusRequest>,
    ) -> Result<Response<v1::GetStatusResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn get_status_batch(
        &self,
        _: Request<v1::GetStatusBatchRequest>,
    ) -> Result<Response<v1::GetStatusBatchResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    type FollowQueueStream = tokio_stream::Empty<Result<v1::PublishRequest, Status>>;

    async fn follow_queue(
        &self,
        _: Request<v1::FollowQueueRequest>,
    ) -> Result<Response<Self::FollowQueueStream>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn cancel(
        &self,
        _: Request<v1::CancelRequest>,
    ) -> Result<Response<v1::CancelResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn confirm_payment(
        &self,
        _: Request<v1::ConfirmPaymentRequest>,
    ) -> Result<Response<v1::ConfirmPaymentResponse>, Status> {
        Err(Status::unimplemented(""))
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
