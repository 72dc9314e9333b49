//! A gRPC port with health and reflection: how each simulated service is served.

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic_health::ServingStatus;

/// Calls that hang when the service is stopped are cut off after this.
const LAST_ANSWERS: Duration = Duration::from_millis(500);
/// Calls one connection may have open at once.
const STREAMS: u32 = 4096;

/// A simulated service could not be started.
#[derive(Debug, thiserror::Error)]
pub enum SimError {
    /// The port is taken, or not ours to take.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The wanted address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// The descriptors built into the program cannot be read.
    #[error("the service descriptors cannot be served: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
    /// A Ticket Service looks into the stock of the Booking Service beside it.
    #[error(
        "a simulated Ticket Service needs a simulated Booking Service, whose stock it looks at"
    )]
    TicketWithoutBooking,
}

/// Something that listens until it is stopped or dropped.
#[derive(Debug)]
pub(crate) struct Served {
    address: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Served {
    /// Runs `serve` until its token is cancelled.
    pub(crate) fn spawn<F: Future<Output = ()> + Send + 'static>(
        address: SocketAddr,
        serve: impl FnOnce(CancellationToken) -> F,
    ) -> Self {
        let stop = CancellationToken::new();
        let task = tokio::spawn(serve(stop.clone()));
        Self { address, stop, task }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Lets calls that can be answered at once be answered, cuts off the others, and closes the
    /// port.
    pub(crate) async fn stop(mut self) {
        self.stop.cancel();
        if tokio::time::timeout(LAST_ANSWERS, &mut self.task).await.is_err() {
            self.task.abort();
            // The port is free once the task is gone; that it was aborted is no news.
            let _aborted = (&mut self.task).await;
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.stop.cancel();
        self.task.abort();
    }
}

/// Serves one service named `name` at `listen` (port 0: any free one), with health and reflection
/// beside it.
pub(crate) async fn serve(
    listen: SocketAddr,
    name: &'static str,
    routes: Routes,
) -> Result<Served, SimError> {
    let refused = |source| SimError::Listen { address: listen, source };
    let incoming = TcpIncoming::bind(listen).map_err(refused)?.with_nodelay(Some(true));
    let address = incoming.local_addr().map_err(refused)?;
    let (health, health_service) = tonic_health::server::health_reporter();
    health.set_service_status(name, ServingStatus::Serving).await;
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(bookingq_proto::FILE_DESCRIPTOR_SET)
        .with_service_name(name)
        .build_v1()?;
    let routes = routes.add_service(health_service).add_service(reflection);
    let served = Served::spawn(address, |stop| async move {
        let server = Server::builder().max_concurrent_streams(Some(STREAMS)).add_routes(routes);
        if let Err(error) =
            server.serve_with_incoming_shutdown(incoming, stop.cancelled_owned()).await
        {
            tracing::error!(%address, service = name, %error, "the simulated service stopped");
        }
    });
    tracing::info!(%address, service = name, "simulated service is listening");
    Ok(served)
}
