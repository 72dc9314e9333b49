//! The gRPC port: TLS, bounds, health, reflection, and connections that can be counted and cut.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bookingq_proto::FILE_DESCRIPTOR_SET;
use bookingq_proto::v1::booking_worker_service_server::BookingWorkerServiceServer;
use bookingq_serve::tls::{Alpn, RELOAD_EVERY, ReloadingTls};
use prometheus::IntGauge;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Sleep, sleep, timeout};
use tokio_rustls::server::TlsStream;
use tokio_util::either::Either;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::transport::Server;
use tonic::transport::server::{Connected, TcpConnectInfo};
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;
use tracing::{debug, warn};

use crate::WorkerError;
use crate::body_budget::BodyBudget;
use crate::config::{ServerLimits, WorkerConfig};
use crate::metrics::WorkerMetrics;
use crate::service::WorkerService;

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
        let handlers = BookingWorkerServiceServer::new(service)
            .max_decoding_message_size(limits.message_bytes)
            .max_encoding_message_size(limits.message_bytes);
        let reflection_failed =
            |error: tonic_reflection::server::Error| WorkerError::Serve(error.to_string());
        let router = builder(limits)
            .layer(BodyBudget::new(
                limits.intake_bytes,
                metrics.server.body_budget_refusals.clone(),
            ))
            .add_service(handlers)
            .add_service(health_service)
            .add_service(reflection().build_v1().map_err(reflection_failed)?)
            .add_service(reflection().build_v1alpha().map_err(reflection_failed)?);
        let tls =
            config.tls.clone().map(|files| ReloadingTls::start(files, Alpn::Grpc, RELOAD_EVERY));
        let (listener, address) = bookingq_serve::listen(config.listen).await?;
        let cut = CancellationToken::new();
        let connections = metrics.server.connections.clone();
        let acceptor = Acceptor::new(listener, tls.transpose()?, connections, cut.clone());
        let incoming = Box::pin(futures::stream::unfold(acceptor, async |mut acceptor| {
            let connection = acceptor.next().await;
            Some((Ok::<_, std::io::Error>(connection), acceptor))
        }));
        let task = tokio::spawn(async move {
            let served = router.serve_with_incoming_shutdown(incoming, draining.cancelled_owned());
            served.await.map_err(|error| WorkerError::Serve(error.to_string()))
        });
        Ok(Self { address, health, cut, task })
    }
}

fn builder(limits: &ServerLimits) -> Server {
    Server::builder()
        .max_concurrent_streams(limits.streams_per_connection)
        .initial_stream_window_size(WINDOWS.0)
        .initial_connection_window_size(WINDOWS.1)
        .max_connection_age(limits.connection_age)
        .max_connection_age_grace(AGE_GRACE)
        .http2_keepalive_interval(Some(KEEPALIVE.0))
        .http2_keepalive_timeout(Some(KEEPALIVE.1))
        .http2_max_header_list_size(16 * 1024)
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

/// Accepts connections up to the limit, and completes their TLS handshakes.
struct Acceptor {
    listener: TcpListener,
    tls: Option<ReloadingTls>,
    places: Arc<Semaphore>,
    handshakes: JoinSet<Option<Connection>>,
    gauge: IntGauge,
    cut: CancellationToken,
}

impl Acceptor {
    fn new(
        listener: TcpListener,
        tls: Option<ReloadingTls>,
        gauge: IntGauge,
        cut: CancellationToken,
    ) -> Self {
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
        let (places, handshakes) = (Arc::new(Semaphore::new(allowed)), JoinSet::new());
        Self { listener, tls, places, handshakes, gauge, cut }
    }

    /// The next connection that can carry requests.
    async fn next(&mut self) -> Connection {
        loop {
            let (stream, place) = tokio::select! {
                accepted = accept(&self.listener, &self.places) => accepted,
                Some(ended) = self.handshakes.join_next() => match ended {
                    Ok(Some(connection)) => return connection,
                    _ => continue,
                },
            };
            let (gauge, cut) = (self.gauge.clone(), self.cut.clone());
            let Some(tls) = &self.tls else {
                return Connection::new(Either::Left(stream), gauge, cut, place);
            };
            let handshake = tls.acceptor().accept(stream);
            self.handshakes.spawn(async move {
                let stream = timeout(PREFACE.1, handshake).await.ok()?;
                let stream = stream.inspect_err(|error| debug!(%error, "TLS handshake failed"));
                Some(Connection::new(Either::Right(Box::new(stream.ok()?)), gauge, cut, place))
            });
        }
    }
}

/// Accepts a TCP connection as soon as there is a place for one.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> (TcpStream, Option<OwnedSemaphorePermit>) {
    // The semaphore is never closed.
    let place = Arc::clone(places).acquire_owned().await.ok();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                if let Err(error) = stream.set_nodelay(true) {
                    warn!(%error, "cannot set TCP_NODELAY");
                }
                return (stream, place);
            }
            // Out of file descriptors, or the peer has gone: the listener itself is fine. In the
            // first case another accept would fail at once.
            Err(error) => {
                warn!(%error, "cannot accept a connection");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// A connection that is counted, and that ends with the port's `cut` token.
struct Connection {
    stream: Either<TcpStream, Box<TlsStream<TcpStream>>>,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
    /// Bytes missing from the preface, and its deadline; `None` once it is complete.
    preface: Option<(usize, Pin<Box<Sleep>>)>,
    gauge: IntGauge,
    _place: Option<OwnedSemaphorePermit>,
}

impl Connection {
    fn new(
        stream: Either<TcpStream, Box<TlsStream<TcpStream>>>,
        gauge: IntGauge,
        cut: CancellationToken,
        place: Option<OwnedSemaphorePermit>,
    ) -> Self {
        gauge.inc();
        let cut = Box::pin(cut.cancelled_owned());
        let preface = Some((PREFACE.0, Box::pin(sleep(PREFACE.1))));
        Self { stream, cut, preface, gauge, _place: place }
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
        match &self.stream {
            Either::Left(stream) => stream.connect_info(),
            Either::Right(stream) => stream.get_ref().0.connect_info(),
        }
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
        if let Some((missing, _)) = &mut self.preface {
            *missing = missing.saturating_sub(buffer.filled().len() - before);
            if *missing == 0 {
                self.preface = None;
            }
        }
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
