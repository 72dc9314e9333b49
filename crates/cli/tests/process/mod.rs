//! A worker process of a test, for the queue `concert`; killed at the end.
#![allow(dead_code, clippy::unwrap_used, reason = "each test binary uses a part of this")]

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bookingq_proto::v1::booking_worker_service_client::BookingWorkerServiceClient;
use tonic::transport::Channel;

pub type Client = BookingWorkerServiceClient<Channel>;

/// A port may take this long to open.
const START: Duration = Duration::from_secs(30);

pub struct Worker {
    child: Child,
    pub grpc: SocketAddr,
    pub admin: SocketAddr,
}

impl Worker {
    /// With these options beside the addresses.
    pub fn start(redis: &str, booking: &str, options: &[&str]) -> Self {
        let (grpc, admin) = (free_address(), free_address());
        let child = Command::new(env!("CARGO_BIN_EXE_bookingq"))
            .args(["worker", "--queue=concert", "--booking", booking, "--redis", redis])
            .args([format!("--listen={grpc}"), format!("--admin-listen={admin}")])
            .args(options)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self { child, grpc, admin }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
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

impl Drop for Worker {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

pub fn free_address() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}
