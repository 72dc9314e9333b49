//! A port for HTTP/1.1 and HTTP/2 with its own accept loop. `axum::serve` counts no connections,
//! bounds neither headers nor idle time, and does not wait for connections that were upgraded to a
//! WebSocket (axum issue 3831).
//!
//! ```text
//!   accept ─ place ─ TLS ─ hyper (HTTP/1.1 or 2) ─ router
//!              |                     '─ upgraded: the WebSocket takes the stream with its place
//!              '─ given back when the stream is dropped: by hyper, or by the WebSocket
//! ```

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use bookingq_serve::ServeError;
use bookingq_serve::tls::{Alpn, RELOAD_EVERY, ReloadingTls, ServerTls};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use prometheus::IntGauge;
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::server::TlsStream;
use tokio_util::either::Either;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::Service as _;
use tracing::{debug, warn};

use crate::activity::Activity;
use crate::counted::Counted;

/// Files that connections leave for everything else: workers, keys, the other ports.
const SPARE_FILES: usize = 256;
/// Pause after a connection could not be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// For the TLS handshake, for the head of a request, and between two requests of HTTP/1.1.
const HEAD: Duration = Duration::from_secs(15);
/// An HTTP/2 connection without a request for this long is closed.
const IDLE: Duration = Duration::from_secs(60);
/// An answer of which nothing is read for this long ends: within 30 s, as it is looked for every
/// [`LOOK`].
const UNREAD: Duration = Duration::from_secs(25);
/// Time between two looks at a connection.
const LOOK: Duration = Duration::from_secs(5);
/// Half-open HTTP/2 connections are found within the sum of these.
const KEEPALIVE: (Duration, Duration) = (Duration::from_secs(20), Duration::from_secs(10));
/// Largest head of a request, in bytes. A place token is below 3 KiB.
const HEAD_BYTES: usize = 16 * 1024;
/// Requests at once on one HTTP/2 connection.
const STREAMS: u32 = 64;
/// Bytes that an HTTP/2 stream and a connection may send before they are read: bodies are small.
const WINDOWS: (u32, u32) = (16 * 1024, 64 * 1024);
/// Bytes that the kernel keeps for a client that does not read. The default grows to megabytes.
const SEND_BUFFER: usize = 16 * 1024;
/// Sent data that stays unacknowledged for this long ends the connection.
#[cfg(target_os = "linux")]
const UNACKNOWLEDGED: Duration = Duration::from_secs(30);

/// How many connections a port may have.
#[derive(Debug, Clone)]
pub struct ConnectionLimit {
    /// Every connection has one of these.
    places: Arc<Semaphore>,
    /// Open connections, upgraded ones included.
    open: TaskTracker,
    streams: usize,
}

impl ConnectionLimit {
    /// At most `streams` WebSockets and event streams, and a sixteenth more connections, so that
    /// pages and polls are answered when the streams are used up. The limit of open files may lower
    /// both.
    pub fn new(streams: usize) -> Self {
        let files = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        let files = files.map_or(usize::MAX, |files| usize::try_from(files).unwrap_or(usize::MAX));
        let wanted = streams + reserve(streams);
        let allowed = files.saturating_sub(SPARE_FILES).clamp(2, wanted);
        if allowed < wanted {
            warn!(files, connections = allowed, "the limit of open files lowers --max-connections");
        }
        Self {
            places: Arc::new(Semaphore::new(allowed)),
            open: TaskTracker::new(),
            streams: streams.min(allowed - reserve(allowed)),
        }
    }

    /// WebSockets and event streams that may be open at once.
    pub fn streams(&self) -> usize {
        self.streams
    }

    /// Number of open connections, upgraded ones included.
    pub fn count(&self) -> usize {
        self.open.len()
    }
}

fn reserve(streams: usize) -> usize {
    (streams / 16).clamp(1, 4096)
}

/// A running port.
#[derive(Debug)]
pub struct HttpPort {
    address: SocketAddr,
    connections: ConnectionLimit,
    /// No more connections are accepted.
    closed: CancellationToken,
    /// The port is unbound.
    unbound: CancellationToken,
    /// Requests in progress finish, and then connections that are not upgraded end.
    finishing: CancellationToken,
    task: JoinHandle<()>,
    /// The tasks of connections that are not upgraded.
    tasks: TaskTracker,
    cut: CancellationToken,
}

impl HttpPort {
    /// Binds the port and serves.
    ///
    /// # Errors
    /// When the port cannot be bound or a TLS file cannot be read.
    pub async fn start(
        listen: SocketAddr,
        tls: Option<ServerTls>,
        connections: ConnectionLimit,
        router: Router,
        open: IntGauge,
    ) -> Result<Self, ServeError> {
        let tls = tls.map(|files| ReloadingTls::start(files, Alpn::Http, RELOAD_EVERY));
        let tls = tls.transpose()?;
        let (listener, address) = bookingq_serve::listen(listen).await?;
        let (closed, finishing) = (CancellationToken::new(), CancellationToken::new());
        let (tasks, cut) = (TaskTracker::new(), CancellationToken::new());
        let accept = AcceptLoop {
            listener,
            tls,
            connections: connections.clone(),
            tasks: tasks.clone(),
            open,
            handler: Handler { router, http: builder(), finishing: finishing.clone() },
            cut: cut.clone(),
        };
        let accepting = closed.clone().run_until_cancelled_owned(accept.run());
        let unbound = CancellationToken::new();
        let ended = unbound.clone().drop_guard();
        let task = tokio::spawn(async move {
            accepting.await;
            drop(ended);
        });
        Ok(Self { address, connections, closed, unbound, finishing, task, tasks, cut })
    }

    /// The bound address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its connections.
    pub fn connections(&self) -> &ConnectionLimit {
        &self.connections
    }

    /// Closes the port: further connections are refused. Those that are open stay.
    pub fn stop_accepting(&self) {
        self.closed.cancel();
    }

    /// Ends each connection after its requests in progress. Upgraded ones are not affected.
    pub fn finish(&self) {
        self.closed.cancel();
        self.finishing.cancel();
    }

    /// Waits until the port is unbound and no connection is open, upgraded ones included.
    pub async fn empty(&self) {
        self.unbound.cancelled().await;
        self.connections.open.close();
        self.connections.open.wait().await;
    }

    /// Ends every connection that is not upgraded at once.
    pub fn kill(&self) {
        self.closed.cancel();
        self.cut.cancel();
        self.task.abort();
        self.tasks.close();
    }
}

/// A gateway that fails to start leaves no port open.
impl Drop for HttpPort {
    fn drop(&mut self) {
        self.kill();
    }
}

fn builder() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(HEAD_BYTES)
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .initial_stream_window_size(WINDOWS.0)
        .initial_connection_window_size(WINDOWS.1)
        .max_header_list_size(HEAD_BYTES as u32)
        .max_send_buf_size(SEND_BUFFER)
        .keep_alive_interval(KEEPALIVE.0)
        .keep_alive_timeout(KEEPALIVE.1);
    builder
}

struct AcceptLoop {
    listener: TcpListener,
    tls: Option<ReloadingTls>,
    connections: ConnectionLimit,
    tasks: TaskTracker,
    open: IntGauge,
    handler: Handler,
    cut: CancellationToken,
}

impl AcceptLoop {
    async fn run(self) {
        loop {
            // The semaphore is never closed. Without a place, connections wait in the kernel.
            let Ok(place) = Arc::clone(&self.connections.places).acquire_owned().await else {
                return;
            };
            let (stream, peer) = self.accept().await;
            self.open.inc();
            let open = self.connections.open.token();
            let counted = Counted::new(stream, place, open, self.open.clone());
            let acceptor = self.tls.as_ref().map(ReloadingTls::acceptor);
            let handler = self.handler.clone();
            let serve = async move {
                let stream = match acceptor {
                    None => Either::Left(counted),
                    Some(acceptor) => match timeout(HEAD, acceptor.accept(counted)).await {
                        Ok(Ok(stream)) => Either::Right(Box::new(stream)),
                        Ok(Err(error)) => return debug!(%error, "TLS handshake failed"),
                        Err(_) => return,
                    },
                };
                handler.serve(stream, peer).await;
            };
            self.tasks.spawn(self.cut.clone().run_until_cancelled_owned(serve));
        }
    }

    async fn accept(&self) -> (TcpStream, SocketAddr) {
        loop {
            match self.listener.accept().await {
                Ok((stream, peer)) => {
                    if let Err(error) = set_options(&stream) {
                        debug!(%error, "cannot set socket options");
                    }
                    return (stream, peer);
                }
                // Out of file descriptors, or the peer has gone: the listener itself is fine. In
                // the first case another accept would fail at once.
                Err(error) => {
                    warn!(%error, "cannot accept a connection");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

fn set_options(stream: &TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    socket.set_send_buffer_size(SEND_BUFFER)?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED))?;
    Ok(())
}

type PlainOrTls = Either<Counted, Box<TlsStream<Counted>>>;

/// Serves the requests of a connection.
#[derive(Clone)]
struct Handler {
    router: Router,
    http: Builder<TokioExecutor>,
    finishing: CancellationToken,
}

impl Handler {
    /// Serves until the connection ends, is upgraded, or is idle for too long.
    async fn serve(&self, stream: PlainOrTls, peer: SocketAddr) {
        let activity = Activity::default();
        let service = service_fn(|mut request: hyper::Request<Incoming>| {
            let busy = activity.begin();
            request.extensions_mut().insert(ConnectInfo(peer));
            let mut router = self.router.clone();
            async move { router.call(request.map(Body::new)).await.map(|answer| busy.hold(answer)) }
        });
        let stream = TokioIo::new(stream);
        let mut connection =
            std::pin::pin!(self.http.serve_connection_with_upgrades(stream, service));
        let (mut finishing, began) = (false, Instant::now());
        let mut idle_since = began;
        loop {
            tokio::select! {
                ended = connection.as_mut() => {
                    if let Err(error) = ended {
                        debug!(%error, "connection ended");
                    }
                    return;
                }
                () = self.finishing.cancelled(), if !finishing => finishing = true,
                () = sleep(LOOK) => {
                    // The first head has little time. hyper limits the further ones of HTTP/1.1.
                    let no_head = activity.is_new() && began.elapsed() >= HEAD;
                    if no_head || activity.give_up_unread(UNREAD) {
                        return;
                    }
                    if idle_since.elapsed() >= IDLE {
                        idle_since = Instant::now();
                        let idle = activity.is_idle();
                        if finishing && idle {
                            // What HTTP/2 still holds of an answer, the client does not read.
                            return;
                        }
                        finishing = finishing || idle;
                    }
                }
            }
            if finishing {
                connection.as_mut().graceful_shutdown();
            }
        }
    }
}
