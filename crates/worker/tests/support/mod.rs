//! A queue on the embedded store, its simulated services, and a real gRPC client: what every test
//! of this folder needs.

#![allow(dead_code, missing_docs, clippy::unwrap_used, reason = "each test uses a part of it")]

pub mod stock;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bookingq_core::QueueName;
use bookingq_core::backoff::Backoff;
use bookingq_core::backoff::RetryPolicy;
use bookingq_proto::error::reason_of;
use bookingq_proto::v1;
use bookingq_proto::v1::booking_worker_service_client::BookingWorkerServiceClient;
use bookingq_sim::booking::BookingSim;
use bookingq_sim::spec::BookingSpec;
use bookingq_store::Store;
use bookingq_store::StoreConfig;
use bookingq_worker::config::{Downstream, TaskConfig};
use bookingq_worker::{Worker, WorkerConfig, WorkerHandle};
use tonic::Status;
use tonic::transport::Channel;

pub type Client = BookingWorkerServiceClient<Channel>;

/// Longer than anything here takes on a busy machine.
pub const LIMIT: Duration = Duration::from_secs(20);

pub fn local() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

pub fn downstream(address: SocketAddr) -> Downstream {
    let timeout = Duration::from_millis(300);
    Downstream { timeout, ..Downstream::new(format!("http://{address}")) }
}

/// One queue with everything around it.
pub struct World {
    pub store: Arc<dyn Store>,
    pub booking: BookingSim,
}

impl World {
    pub async fn new(spec: &str) -> Self {
        let spec = spec.parse::<BookingSpec>().unwrap();
        let queue = QueueName::new("concert").unwrap();
        Self {
            store: bookingq_store::open(StoreConfig::memory(queue)).unwrap(),
            booking: BookingSim::start(spec, local()).await.unwrap(),
        }
    }

    pub fn config(&self, id: &str) -> WorkerConfig {
        let backoff =
            Backoff { initial: Duration::from_millis(10), max: Duration::from_millis(50) };
        let tasks = TaskConfig {
            hold: Duration::from_secs(60),
            lease: Duration::from_secs(1),
            retry: RetryPolicy { attempts: 3, backoff },
            ..TaskConfig::new(downstream(self.booking.address()))
        };
        WorkerConfig {
            tasks,
            linger: Duration::from_millis(50),
            grace: Duration::from_secs(5),
            ..WorkerConfig::new(id, local(), String::new())
        }
    }

    pub async fn worker(&self, id: &str) -> WorkerHandle {
        self.worker_with(self.config(id)).await
    }

    pub async fn worker_with(&self, config: WorkerConfig) -> WorkerHandle {
        Worker::start(config, Arc::clone(&self.store)).await.unwrap()
    }
}

pub async fn connect(worker: &WorkerHandle) -> Client {
    Client::connect(format!("http://{}", worker.grpc_addr())).await.unwrap()
}

pub async fn enqueue(
    client: &mut Client,
    who: &str,
    request: &str,
) -> Result<v1::EnqueueResponse, Status> {
    let request = v1::EnqueueRequest {
        queue: "concert".into(),
        client_id: who.into(),
        request_id: request.into(),
        ..Default::default()
    };
    client.enqueue(request).await.map(tonic::Response::into_inner)
}

pub async fn status(client: &mut Client, who: &str) -> v1::Booking {
    let request = v1::GetStatusRequest { queue: "concert".into(), client_id: who.into() };
    client.get_status(request).await.unwrap().into_inner().booking.unwrap()
}

pub async fn pay(client: &mut Client, who: &str, payment: &str) -> Result<v1::Booking, Status> {
    let request = v1::ConfirmPaymentRequest {
        queue: "concert".into(),
        client_id: who.into(),
        payment_id: payment.into(),
        ..Default::default()
    };
    client.confirm_payment(request).await.map(|response| response.into_inner().booking.unwrap())
}

pub async fn cancel(client: &mut Client, who: &str) -> Result<v1::Booking, Status> {
    let request =
        v1::CancelRequest { queue: "concert".into(), client_id: who.into(), ..Default::default() };
    client.cancel(request).await.map(|response| response.into_inner().booking.unwrap())
}

pub fn reason(status: &Status) -> v1::ErrorReason {
    reason_of(status).unwrap_or_else(|| panic!("not one of our refusals: {status:?}"))
}

/// Waits for something to become true, at most [`LIMIT`].
pub async fn eventually<F: Future<Output = bool>>(what: &str, mut check: impl FnMut() -> F) {
    let all = async {
        while !check().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    assert!(tokio::time::timeout(LIMIT, all).await.is_ok(), "not within {LIMIT:?}: {what}");
}

pub async fn until_state(client: &Client, who: &str, state: v1::BookingState) -> v1::Booking {
    let booking = Arc::new(parking_lot::Mutex::new(None));
    eventually(&format!("{who} becomes {state:?}"), || {
        let (mut client, booking) = (client.clone(), Arc::clone(&booking));
        async move {
            let now = status(&mut client, who).await;
            let reached = now.state() == state;
            *booking.lock() = Some(now);
            reached
        }
    })
    .await;
    let booking = booking.lock().take();
    booking.unwrap()
}
