//! The gRPC port: TLS, bounds, health, reflection, and connections that can be counted and cut.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bookingq_proto::FILE_DESCRIPTOR_SET;
use bookingq_proto::v1::booking_worker_service_server::BookingWorkerServiceServer;
use bookingq_serve::tls::ServerTls;
use futures::Stream;
use prometheus::IntGauge;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;
use tokio::time::Sleep;
use tokio_util::sync::{CancellationToken, PollSemaphore, WaitForCancellationFutureOwned};
use tonic::transport::Server;
use tonic::transport::server::{Connected, TcpConnectInfo};
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;
use tracing::warn;

use crate::WorkerError;
use crate::body_budget::BodyBudget;
use crate::config::{ServerLimits, WorkerConfig};
use crate::metrics::WorkerMetrics;
use crate::service::{Handlers, WorkerService};

/// Open connections; the next one waits in the kernel's backlog.
const CONNECTIONS: usize = 16_384;
/// Files that connections leave for everything else: Redis, the services, the admin port.
const SPARE_FILES: usize = 256;
/// Pause after a connection could not be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Bytes that a stream, and a whole connection, may send before the worker has read them. It reads
/// at once, so this limits unread data, not throughput: with half a millisecond between reads,
/// 512 MiB/s for each connection.
const WINDOWS: (u32, u32) = (64 * 1024, 256 * 1024);
/// How long a recycled connection may finish its calls. Longer streams are cut, and clients reopen
/// them elsewhere.
const AGE_GRACE: Duration = Duration::from_secs(10);
/// Half-open connections are found within the sum of these.
const KEEPALIVE: (Duration, Duration) = (Duration::from_secs(20), Duration::from_secs(10));

/// A connection that has not sent as many bytes as an HTTP/2 preface by then is dropped: it is no
/// gRPC client.
const PREFACE: (usize, Duration) = (24, Duration::from_secs(10));

/// The worker's name in the health service, beside the empty one.
pub const SERVICE_NAME: &str = "bookingqueue.v1.BookingWorkerService";

/// A running gRPC port.
pub(crate) struct GrpcServer {
    pub(crate) address: SocketAddr,
    pub(crate) health: HealthReporter,
    /// Drops every connection at once.
    pub(crate) cut: CancellationToken,
    pub(crate) task: JoinHandle<Result<(), WorkerError>>,
}

impl GrpcServer {
    /// Binds the port and serves, not yet healthy, until the service drains: then calls in progress
    /// finish.
    ///
    /// # Errors
    /// When the port cannot be bound or a TLS file cannot be read.
    pub(crate) async fn start(
        config: &WorkerConfig,
        service: WorkerService,
        metrics: &WorkerMetrics,
    ) -> Result<Self, WorkerError> {
        let limits = &config.limits;
        let draining = service.draining.clone();
        let (health, health_service) = tonic_health::server::health_reporter();
        set_serving(&health, ServingStatus::NotServing).await;
        let handlers = BookingWorkerServiceServer::new(Handlers::new(service))
            .max_decoding_message_size(limits.message_bytes)
            .max_encoding_message_size(limits.message_bytes);
        let reflection_failed =
            |error: tonic_reflection::server::Error| WorkerError::Serve(error.to_string());
        let router = builder(limits, config.tls.as_ref())?
            .layer(BodyBudget::new(
                limits.intake_bytes,
                metrics.server.body_budget_refusals.clone(),
            ))
            .add_service(handlers)
            .add_service(health_service)
            .add_service(reflection().build_v1().map_err(reflection_failed)?)
            .add_service(reflection().build_v1alpha().map_err(reflection_failed)?);
        let (listener, address) = bookingq_serve::listen(config.listen).await?;
        let cut = CancellationToken::new();
        let incoming = Incoming::new(listener, metrics.server.connections.clone(), cut.clone());
        let task = tokio::spawn(async move {
            let served = router.serve_with_incoming_shutdown(incoming, draining.cancelled_owned());
            served.await.map_err(|error| WorkerError::Serve(error.to_string()))
        });
        Ok(Self { address, health, cut, task })
    }
}

fn builder(limits: &ServerLimits, tls: Option<&ServerTls>) -> Result<Server, WorkerError> {
    let server = Server::builder()
        .max_concurrent_streams(limits.streams_per_connection)
        .initial_stream_window_size(WINDOWS.0)
        .initial_connection_window_size(WINDOWS.1)
        .max_connection_age(limits.connection_age)
        .max_connection_age_grace(AGE_GRACE)
        .http2_keepalive_interval(Some(KEEPALIVE.0))
        .http2_keepalive_timeout(Some(KEEPALIVE.1))
        .http2_max_header_list_size(16 * 1024);
    let Some(tls) = tls else { return Ok(server) };
    server.tls_config(tls.load()?).map_err(|error| WorkerError::Tls(error.to_string()))
}

/// Lists only what this port serves. The descriptors of the services that a worker calls, and of
/// the details of refusals, come along so that a client can name and read them.
fn reflection() -> tonic_reflection::server::Builder<'static> {
    tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
        .with_service_name(SERVICE_NAME)
        .with_service_name("grpc.health.v1.Health")
}

/// Sets the health of the port and of the service.
pub(crate) async fn set_serving(health: &HealthReporter, status: ServingStatus) {
    health.set_service_status("", status).await;
    health.set_service_status(SERVICE_NAME, status).await;
}

/// Accepts connections up to the limit.
struct Incoming {
    listener: TcpListener,
    places: PollSemaphore,
    place: Option<OwnedSemaphorePermit>,
    /// After a failure.
    pause: Option<Pin<Box<Sleep>>>,
    gauge: IntGauge,
    cut: CancellationToken,
}

impl Incoming {
    fn new(listener: TcpListener, gauge: IntGauge, cut: CancellationToken) -> Self {
        let files = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        let files =
            files.map_or(CONNECTIONS, |files| usize::try_from(files).unwrap_or(CONNECTIONS));
        let allowed = files.saturating_sub(SPARE_FILES).clamp(1, CONNECTIONS);
        if allowed < CONNECTIONS {
            warn!(
                files,
                connections = allowed,
                "the limit of open files reduces the number of connections"
            );
        }
        let places = PollSemaphore::new(Arc::new(Semaphore::new(allowed)));
        Self { listener, places, place: None, pause: None, gauge, cut }
    }
}

impl Stream for Incoming {
    type Item = std::io::Result<Connection>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(pause) = &mut self.pause {
            std::task::ready!(pause.as_mut().poll(context));
            self.pause = None;
        }
        if self.place.is_none() {
            match self.places.poll_acquire(context) {
                Poll::Ready(place) => self.place = place,
                Poll::Pending => return Poll::Pending,
            }
        }
        match self.listener.poll_accept(context) {
            Poll::Ready(Ok((stream, _))) => {
                if let Err(error) = stream.set_nodelay(true) {
                    warn!(%error, "cannot set TCP_NODELAY");
                }
                let place = self.place.take();
                let cut = Box::pin(self.cut.clone().cancelled_owned());
                Poll::Ready(Some(Ok(Connection::new(stream, cut, self.gauge.clone(), place))))
            }
            // Out of file descriptors, or the peer has gone: the listener itself is fine. In the
            // first case another accept would fail at once.
            Poll::Ready(Err(error)) => {
                warn!(%error, "cannot accept a connection");
                let mut pause = Box::pin(tokio::time::sleep(ACCEPT_PAUSE));
                // Registers the waker; the pause cannot be over yet.
                let _ = pause.as_mut().poll(context);
                self.pause = Some(pause);
                Poll::Pending
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

/// A TCP connection that is counted, and that ends with the port's `cut` token.
struct Connection {
    stream: TcpStream,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
    /// Bytes missing from the preface, and its deadline; `None` once it is complete.
    preface: Option<(usize, Pin<Box<Sleep>>)>,
    gauge: IntGauge,
    _place: Option<OwnedSemaphorePermit>,
}

impl Connection {
    fn new(
        stream: TcpStream,
        cut: Pin<Box<WaitForCancellationFutureOwned>>,
        gauge: IntGauge,
        place: Option<OwnedSemaphorePermit>,
    ) -> Self {
        gauge.inc();
        let preface = Some((PREFACE.0, Box::pin(tokio::time::sleep(PREFACE.1))));
        Self { stream, cut, preface, gauge, _place: place }
    }

    /// Counts bytes read towards the preface.
    fn has_read(&mut self, bytes: usize) {
        if let Some((missing, _)) = &mut self.preface {
            *missing = missing.saturating_sub(bytes);
            if *missing == 0 {
                self.preface = None;
            }
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.gauge.dec();
    }
}

impl Connected for Connection {
    type ConnectInfo = TcpConnectInfo;
    fn connect_info(&self) -> TcpConnectInfo {
        self.stream.connect_info()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        if self.cut.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(std::io::ErrorKind::ConnectionAborted.into()));
        }
        if let Some((_, deadline)) = &mut self.preface
            && deadline.as_mut().poll(context).is_ready()
        {
            return Poll::Ready(Err(std::io::ErrorKind::TimedOut.into()));
        }
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(context, buffer);
        self.has_read(buffer.filled().len() - before);
        polled
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, data)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
