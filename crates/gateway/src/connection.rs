//! The requests of one connection, by hyper.
//!
//! ```text
//!   hyper (HTTP/1.1 or 2) ─ router
//!     |─ upgraded: the WebSocket takes the stream
//!     |─ an answer that lasts, on HTTP/1.1: it takes the stream, and hyper's buffers go
//!     '─ no request for a while, or an answer that is not read: ended
//! ```

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::response::Response;
use http::Version;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::{Builder, UpgradeableConnection};
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};
use tokio_rustls::server::TlsStream;
use tokio_util::either::Either;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::Service as _;
use tracing::debug;

use crate::activity::Activity;
use crate::counted::Counted;
use crate::lasting::{LastingAnswer, LastingBody};
use crate::lent::lend;

/// For the TLS handshake, for the head of a request, and between two requests of HTTP/1.1.
pub(crate) const HEAD: Duration = Duration::from_secs(15);
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
pub(crate) const SEND_BUFFER: usize = 16 * 1024;

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

/// The stream of a connection.
pub(crate) type PlainOrTls = Either<Counted, Box<TlsStream<Counted>>>;

/// Serves the requests of a connection.
#[derive(Clone)]
pub(crate) struct ConnectionHandler {
    router: Router,
    http: Builder<TokioExecutor>,
    finishing: CancellationToken,
    tasks: TaskTracker,
    cut: CancellationToken,
}

impl ConnectionHandler {
    /// Ends connections after their requests in progress once `finishing` is cancelled, and all of
    /// its `tasks` once `cut` is.
    pub(crate) fn new(
        router: Router,
        finishing: CancellationToken,
        tasks: TaskTracker,
        cut: CancellationToken,
    ) -> Self {
        Self { router, http: builder(), finishing, tasks, cut }
    }

    /// Runs until the port is killed.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(self.cut.clone().run_until_cancelled_owned(task));
    }

    /// Serves until the connection ends, is upgraded, has an answer that lasts, or is idle for too
    /// long.
    pub(crate) async fn serve(&self, stream: PlainOrTls, peer: SocketAddr) {
        let (lent, lender) = lend(stream);
        let (sender, lasting) = oneshot::channel();
        let (activity, lasts) = (Activity::default(), Mutex::new(Some(sender)));
        let service = service_fn(|mut request: hyper::Request<Incoming>| {
            let busy = activity.begin();
            // On HTTP/1.1 nothing has been written before the answer to the first request.
            let alone = request.version() == Version::HTTP_11 && activity.is_first();
            let sender = if alone { lasts.lock().take() } else { None };
            request.extensions_mut().insert(ConnectInfo(peer));
            let mut router = self.router.clone();
            async move {
                let answer = router.call(request.map(Body::new)).await?;
                match sender {
                    Some(sender) if answer.extensions().get::<LastingBody>().is_some() => {
                        // hyper is dropped without the answer.
                        let _ = sender.send(answer);
                        std::future::pending().await
                    }
                    _ => Ok::<_, Infallible>(busy.hold(answer)),
                }
            }
        });
        let stream = TokioIo::new(lent);
        let connection = Box::pin(self.http.serve_connection_with_upgrades(stream, service));
        tokio::select! {
            () = self.watch(connection, &activity) => {}
            Ok(answer) = lasting => if let Some(stream) = lender.take_back() {
                // In a task of its own: this one has room for everything.
                self.spawn(LastingAnswer::new(stream, answer, UNREAD));
            }
        }
    }

    /// Drives a connection until it ends, or is idle for too long.
    async fn watch<I, S>(
        &self,
        mut connection: Pin<Box<UpgradeableConnection<'_, I, S, TokioExecutor>>>,
        activity: &Activity,
    ) where
        I: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
        S: hyper::service::Service<hyper::Request<Incoming>, Response = Response>,
        S::Future: Send + 'static,
        S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
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
