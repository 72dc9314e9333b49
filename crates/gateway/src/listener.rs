//! A port for HTTP/1.1 and HTTP/2 with its own accept loop. `axum::serve` counts no connections,
//! bounds neither headers nor idle time, and does not wait for connections that were upgraded to a
//! WebSocket (axum issue 3831).
//!
//! ```text
//!   accept ─ place ─ TLS ─ connection (hyper)
//!              '─ given back when the stream is dropped, by who has it then
//! ```

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use bookingq_serve::ServeError;
use bookingq_serve::tls::{Alpn, RELOAD_EVERY, ReloadingTls, ServerTls};
use prometheus::IntGauge;
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_util::either::Either;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

use crate::connection::{ConnectionHandler, HEAD, SEND_BUFFER};
use crate::counted::Counted;

/// Files that connections leave for everything else: workers, keys, the other ports.
const SPARE_FILES: usize = 256;
/// Pause after a connection could not be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
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
            open,
            handler: ConnectionHandler::new(router, finishing.clone(), tasks.clone(), cut.clone()),
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

struct AcceptLoop {
    listener: TcpListener,
    tls: Option<ReloadingTls>,
    connections: ConnectionLimit,
    open: IntGauge,
    handler: ConnectionHandler,
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
            self.handler.spawn(async move {
                let stream = match acceptor {
                    None => Either::Left(counted),
                    // Boxed, so that no connection keeps the room for a handshake.
                    Some(acceptor) => match Box::pin(timeout(HEAD, acceptor.accept(counted))).await
                    {
                        Ok(Ok(stream)) => Either::Right(Box::new(stream)),
                        Ok(Err(error)) => return debug!(%error, "TLS handshake failed"),
                        Err(_) => return,
                    },
                };
                handler.serve(stream, peer).await;
            });
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
