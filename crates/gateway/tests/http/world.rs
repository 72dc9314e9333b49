//! A queue with its Booking Service, its worker and a gateway.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bookingq_api::args::AccessLog;
use bookingq_core::QueueName;
use bookingq_gateway::config::{BackendConfig, QueueConfig, WorkersAt};
use bookingq_gateway::{Gateway, GatewayConfig, GatewayHandle};
use bookingq_proto::v1;
use bookingq_proto::v1::booking_worker_service_client::BookingWorkerServiceClient;
use bookingq_sim::booking::BookingSim;
use bookingq_store::{Store, StoreConfig};
use bookingq_worker::config::{Downstream, TaskConfig};
use bookingq_worker::{Worker, WorkerConfig, WorkerHandle};
use serde_json::Value;
use uuid::Uuid;

use crate::client::{Answer, Ask, LIMIT, get, post, send};

pub const PLACES: &str = "/v1/queues/concert/places";
pub const ME: &str = "/v1/queues/concert/places/me";

pub fn local() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

pub struct World {
    pub gateway: GatewayHandle,
    pub worker: WorkerHandle,
    pub booking: BookingSim,
    pub store: Arc<dyn Store>,
}

impl World {
    /// With a Booking Service of these settings.
    pub async fn new(booking: &str) -> Self {
        Self::with(booking, |_| {}).await
    }

    /// A queue in which every client waits: the only task at a time takes an hour.
    pub async fn waiting() -> Self {
        Self::new("stock=1000,latency=1h").await
    }

    pub async fn with(booking: &str, change: impl FnOnce(&mut GatewayConfig)) -> Self {
        let queue = QueueName::new("concert").unwrap();
        let store = bookingq_store::open(StoreConfig::memory(queue.clone())).unwrap();
        let (worker, sim) = start_worker(booking, Arc::clone(&store)).await;
        let url = format!("http://{}", worker.grpc_addr());
        let queue = QueueConfig::new(queue, WorkersAt::Url(url.parse().unwrap()));
        let mut config = GatewayConfig::new("g", local(), vec![queue]);
        config.access_log = AccessLog::Off;
        config.linger = Duration::from_millis(50);
        config.drain = Duration::from_millis(200);
        config.backend = Some(BackendConfig { listen: local(), tls: None });
        change(&mut config);
        let gateway = Gateway::start(config).await.unwrap();
        Self { gateway, worker, booking: sim, store }
    }

    pub fn public(&self) -> SocketAddr {
        self.gateway.public_addr()
    }

    pub fn host(&self) -> String {
        self.public().to_string()
    }

    pub async fn send(&self, ask: Ask) -> Answer {
        send(self.public(), ask).await
    }

    /// An anonymous client joins.
    pub async fn join(&self, body: &str) -> Answer {
        let answer = self.send(join(body, &Uuid::new_v4().to_string())).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        answer
    }

    /// Waits until the place with this cookie is in this state.
    pub async fn until(&self, cookie: &str, state: &str) -> Value {
        let reached = async {
            loop {
                let place = self.send(get(ME).with("cookie", cookie)).await.json();
                if place["state"] == state {
                    return place;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let reached = tokio::time::timeout(LIMIT, reached).await;
        reached.unwrap_or_else(|_| panic!("not {state} in time"))
    }

    /// Bookings that were ever made.
    pub async fn bookings(&self) -> u64 {
        let url = format!("http://{}", self.worker.grpc_addr());
        let mut client = BookingWorkerServiceClient::connect(url).await.unwrap();
        let request = v1::GetQueueRequest { queue: "concert".to_owned() };
        let queue = client.get_queue(request).await.unwrap().into_inner();
        queue.totals.unwrap().enqueued
    }
}

pub fn join(body: &str, key: &str) -> Ask {
    post(PLACES, body).with("idempotency-key", key)
}

async fn start_worker(booking: &str, store: Arc<dyn Store>) -> (WorkerHandle, BookingSim) {
    let sim = BookingSim::start(booking.parse().unwrap(), local()).await.unwrap();
    let service = format!("http://{}", sim.address());
    let tasks = TaskConfig {
        concurrency: 1,
        hold: Duration::from_secs(60),
        ..TaskConfig::new(Downstream { timeout: LIMIT * 3, ..Downstream::new(&service) })
    };
    let config = WorkerConfig {
        tasks,
        linger: Duration::from_millis(50),
        grace: Duration::from_secs(5),
        ..WorkerConfig::new("w", local(), service)
    };
    (Worker::start(config, store).await.unwrap(), sim)
}
