//! A worker process of a test, for the queue `concert`; killed at the end.
#![allow(dead_code, clippy::unwrap_used, reason = "each test binary uses a part of this")]

use std::net::SocketAddr;
use std::time::Duration;

use bookingq_harness::port::free_addresses;
use bookingq_harness::{Process, ProcessSpec};
use bookingq_proto::v1::booking_worker_service_client::BookingWorkerServiceClient;
use tonic::transport::Channel;

pub type Client = BookingWorkerServiceClient<Channel>;

/// A port may take this long to open.
const START: Duration = Duration::from_secs(30);

pub struct Worker {
    pub process: Process,
    pub grpc: SocketAddr,
    pub admin: SocketAddr,
}

impl Worker {
    /// With these options beside the addresses.
    pub fn start(redis: &str, booking: &str, options: &[&str]) -> Self {
        let [grpc, admin] = free_addresses().unwrap();
        let spec = ProcessSpec::new("worker", env!("CARGO_BIN_EXE_bookingq"))
            .arguments(["worker", "--queue=concert", "--booking", booking, "--redis", redis])
            .arguments([format!("--listen={grpc}"), format!("--admin-listen={admin}")])
            .arguments(options);
        Self { process: Process::start(spec).unwrap(), grpc, admin }
    }

    /// Connects, as soon as its port is open.
    pub async fn connect(&self) -> Client {
        let endpoint = Channel::from_shared(format!("http://{}", self.grpc)).unwrap();
        let connected = tokio::time::timeout(START, async {
            loop {
                if let Ok(channel) = endpoint.connect().await {
                    return Client::new(channel);
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        connected.await.expect("the worker does not open its port")
    }
}
