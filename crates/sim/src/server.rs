//! Serves a simulated service: one gRPC port with health and reflection.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bookingq_serve::ServeError;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic_health::ServingStatus;

/// A stopped service aborts the calls that still hang after this time.
const GRACE: Duration = Duration::from_millis(500);
/// Limit of concurrent calls on one connection.
const STREAMS: u32 = 4096;

/// Why a simulated service cannot start.
#[derive(Debug, thiserror::Error)]
pub enum SimError {
    /// A port is taken, or the process may not bind it.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// The descriptors built into the program cannot be read.
    #[error("the service descriptors cannot be served: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
    /// A Ticket Service reports the stock of the Booking Service beside it.
    #[error("a simulated Ticket Service needs a simulated Booking Service, whose stock it reports")]
    TicketServiceWithoutBooking,
}

/// A server on one port, until it is stopped or dropped.
#[derive(Debug)]
pub struct RunningServer {
    address: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl RunningServer {
    /// Runs `serve` until its token is cancelled.
    pub fn spawn<F: Future<Output = ()> + Send + 'static>(
        address: SocketAddr,
        serve: impl FnOnce(CancellationToken) -> F,
    ) -> Self {
        let stop = CancellationToken::new();
        let task = tokio::spawn(serve(stop.clone()));
        Self { address, stop, task }
    }

    /// The bound address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Closes the port, with a short grace for the calls in flight.
    pub async fn stop(mut self) {
        self.stop.cancel();
        if tokio::time::timeout(GRACE, &mut self.task).await.is_err() {
            self.task.abort();
            // The port is free once the task has ended.
            let _aborted = (&mut self.task).await;
        }
    }
}

impl Drop for RunningServer {
    fn drop(&mut self) {
        self.stop.cancel();
        self.task.abort();
    }
}

/// A running simulated service with the state behind it. It stops when dropped.
#[derive(Debug)]
pub struct ServiceSim<S> {
    pub(crate) state: Arc<S>,
    server: RunningServer,
}

impl<S> ServiceSim<S> {
    /// Serves the service `name` at `listen` (port 0: any free one), beside health and reflection.
    pub(crate) async fn serve(
        state: Arc<S>,
        listen: SocketAddr,
        name: &'static str,
        routes: Routes,
    ) -> Result<Self, SimError> {
        let (listener, address) = bookingq_serve::listen(listen).await?;
        let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
        let (health, health_service) = tonic_health::server::health_reporter();
        health.set_service_status(name, ServingStatus::Serving).await;
        let reflection = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(bookingq_proto::FILE_DESCRIPTOR_SET)
            .with_service_name(name)
            .build_v1()?;
        let routes = routes.add_service(health_service).add_service(reflection);
        let server = RunningServer::spawn(address, |stop| async move {
            let server = Server::builder().max_concurrent_streams(Some(STREAMS)).add_routes(routes);
            let serving = server.serve_with_incoming_shutdown(incoming, stop.cancelled_owned());
            if let Err(error) = serving.await {
                tracing::error!(%address, service = name, %error, "the simulated service stopped");
            }
        });
        tracing::info!(%address, service = name, "simulated service is listening");
        Ok(Self { state, server })
    }

    /// Its gRPC address.
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Closes the port. The state can still be read through its `Arc`.
    pub async fn shutdown(self) {
        self.server.stop().await;
    }

    pub(crate) fn into_server(self) -> RunningServer {
        self.server
    }
}
