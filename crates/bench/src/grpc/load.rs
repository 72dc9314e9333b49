//! Many requests over a few connections, with the latency of each.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use bookingq_core::QueueName;
use bookingq_crowd::latency::Latency;
use bookingq_proto::v1;
use bookingq_proto::v1::booking_worker_service_client::BookingWorkerServiceClient;
use tokio::task::JoinSet;
use tonic::Status;
use tonic::transport::{Channel, Endpoint};

/// Connections for any number of requests in flight.
const CHANNELS: usize = 4;
const DEADLINE: Duration = Duration::from_secs(30);
pub type LoadClient = BookingWorkerServiceClient<Channel>;

/// Connections to one server.
#[derive(Clone)]
pub struct LoadChannels {
    clients: Vec<LoadClient>,
    pub in_flight: usize,
}

/// The time of many requests.
pub struct GrpcLoad {
    /// Of all requests.
    pub elapsed: Duration,
    /// Of each request.
    pub latency: Latency,
}

impl GrpcLoad {
    pub fn rate(&self) -> f64 {
        self.latency.summary().count as f64 / self.elapsed.as_secs_f64()
    }
}

impl LoadChannels {
    /// A few connections for so many requests in flight.
    pub async fn connect(address: SocketAddr, in_flight: usize) -> Result<Self> {
        Ok(Self { in_flight, ..Self::connect_many(address, CHANNELS).await? })
    }

    /// So many connections, with one request in flight on each.
    pub async fn connect_many(address: SocketAddr, connections: usize) -> Result<Self> {
        let endpoint = Endpoint::from_shared(format!("http://{address}"))?
            .tcp_nodelay(true)
            .connect_timeout(DEADLINE)
            .timeout(DEADLINE);
        let mut clients = Vec::with_capacity(connections);
        for _ in 0..connections {
            let channel =
                endpoint.connect().await.with_context(|| format!("cannot connect to {address}"))?;
            clients.push(LoadClient::new(channel));
        }
        Ok(Self { clients, in_flight: connections })
    }
    pub fn client(&self, turn: usize) -> LoadClient {
        self.clients[turn % self.clients.len()].clone()
    }

    /// Enqueues clients `from` to `from + count`, a new booking each.
    pub async fn enqueue(&self, queue: &QueueName, from: u64, count: u64) -> Result<GrpcLoad> {
        let (next, start) = (Arc::new(AtomicU64::new(from)), Instant::now());
        let mut lanes = JoinSet::new();
        for turn in 0..self.in_flight {
            let lane =
                enqueue_lane(self.client(turn), queue.to_string(), Arc::clone(&next), from + count);
            lanes.spawn(lane);
        }
        let mut latency = Latency::new();
        while let Some(lane) = lanes.join_next().await {
            latency.merge(&lane??);
        }
        Ok(GrpcLoad { elapsed: start.elapsed(), latency })
    }
}

async fn enqueue_lane(
    mut client: LoadClient,
    queue: String,
    next: Arc<AtomicU64>,
    end: u64,
) -> Result<Latency> {
    let mut latency = Latency::new();
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= end {
            return Ok(latency);
        }
        let request = v1::EnqueueRequest {
            queue: queue.clone(),
            client_id: format!("client-{number}"),
            request_id: format!("request-{number}"),
            item: "stalls".to_owned(),
            quantity: 1,
            payload: vec![b'x'; 64].into(),
        };
        let start = Instant::now();
        let answer =
            client.enqueue(request).await.map_err(|status| short_error(&status))?.into_inner();
        latency.record(start.elapsed());
        ensure!(!answer.existing, "a new client had a booking already");
    }
}

/// Code and message, without the binary details.
pub fn short_error(status: &Status) -> anyhow::Error {
    anyhow::anyhow!("the server answered {:?}: {}", status.code(), status.message())
}
