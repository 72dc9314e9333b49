//! Worker and sweeper processes of a test, for the queue `concert`; killed at the end.
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

/// Starts `bookingq ROLE` with these options.
pub fn start(role: &str, redis: &str, booking: &str, options: &[&str]) -> Process {
    let spec = ProcessSpec::new(role, env!("CARGO_BIN_EXE_bookingq"))
        .arguments([role, "--queue=concert", "--booking", booking, "--redis", redis])
        .arguments(options);
    Process::start(spec).unwrap()
}

pub struct Worker {
    pub process: Process,
    pub grpc: SocketAddr,
    pub admin: SocketAddr,
}

impl Worker {
    /// Starts it on free ports, with these further options.
    pub fn start(redis: &str, booking: &str, options: &[&str]) -> Self {
        let [grpc, admin] = free_addresses().unwrap();
        let ports = [format!("--listen={grpc}"), format!("--admin-listen={admin}")];
        let options = [options, &ports.each_ref().map(String::as_str)].concat();
        Self { process: start("worker", redis, booking, &options), grpc, admin }
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
