//! WebSockets: one task for each, written by hand, so that an idle one holds nothing but its
//! buffers and its session.
//!
//! Reads and writes never wait for each other. A frame is taken from the session only when the
//! frame before has been written, so a slow client gets the newest tick and no queue of old ones.

use std::error::Error as _;
use std::io::ErrorKind;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use bookingq_core::ClientId;
use bytes::Bytes;
use futures::{SinkExt as _, StreamExt as _};
use serde::Deserialize;
use serde_json::Number;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Error as WsError;
use tokio_tungstenite::tungstenite::error::ProtocolError;

use crate::close::CloseReason;
use crate::feed::PlaceFeed;
use crate::frames::{self, ReadyFrame};
use crate::metrics::{OPENED, Transport};
use crate::session::{PlaceSession, SessionStep};

/// The subprotocol.
pub const PROTOCOL: &str = "bq1";
/// What a client may send in one message.
const MESSAGE_BYTES: usize = 1024;
/// Written at once: nothing collects. The bound is above the largest hello.
const WRITE_BYTES: usize = 8 * 1024;
/// How long the client may take to answer a close.
const CLOSING: Duration = Duration::from_secs(5);
/// Pings without an answer after which the client counts as gone.
const UNANSWERED: u8 = 2;
/// Messages of a client: one in this many ms on average, and so many at once.
const MESSAGE_PAUSE: u64 = 1000;
const MESSAGE_BURST: u64 = 20;
/// Messages that are read before other tasks run.
const READS: usize = 8;

/// Accepts a WebSocket of a client's place. An `Err` is sent as `bye` with its close code, because
/// a browser shows its page no other answer.
pub fn upgrade(
    feed: Arc<PlaceFeed>,
    socket: WebSocketUpgrade,
    client: Result<ClientId, CloseReason>,
) -> Response {
    let socket = socket
        .protocols([PROTOCOL])
        .read_buffer_size(MESSAGE_BYTES)
        .write_buffer_size(0)
        .max_write_buffer_size(WRITE_BYTES)
        .max_message_size(MESSAGE_BYTES)
        .max_frame_size(MESSAGE_BYTES);
    let metrics = &feed.fanout.metrics;
    match client {
        Ok(client) => {
            metrics.handshake(Transport::Socket, OPENED);
            socket.on_upgrade(move |socket| {
                let session = PlaceSession::new(feed, client, Transport::Socket);
                SocketTask::new(socket, session)
            })
        }
        Err(reason) => {
            metrics.handshake(Transport::Socket, reason.as_str());
            metrics.closed(reason);
            let bye = frames::bye(reason, feed.fanout.open());
            socket.on_upgrade(move |socket| refuse(socket, reason, bye))
        }
    }
}

/// Says why, and waits until the client has closed.
async fn refuse(mut socket: WebSocket, reason: CloseReason, bye: ReadyFrame) {
    let refused = async {
        if socket.send(Message::Text(bye.text())).await.is_ok()
            && socket.send(close_message(reason)).await.is_ok()
        {
            while let Some(Ok(_)) = socket.next().await {}
        }
    };
    let _ = timeout(CLOSING, refused).await;
}

fn close_message(reason: CloseReason) -> Message {
    close_frame(reason.code(), reason.as_str())
}

fn close_frame(code: u16, word: &'static str) -> Message {
    Message::Close(Some(CloseFrame { code, reason: Utf8Bytes::from_static(word) }))
}

/// The close code of what could not be read (RFC 6455, section 7.4.1), and the word for the client,
/// empty if the client can read none.
fn read_failure(error: &axum::Error) -> (u16, &'static str) {
    match error.source().and_then(|cause| cause.downcast_ref()) {
        Some(WsError::Capacity(_)) => (1009, "too big"),
        Some(WsError::Utf8(_)) => (1007, "no UTF-8"),
        Some(WsError::Protocol(ProtocolError::ResetWithoutClosingHandshake)) => (1006, ""),
        Some(WsError::Protocol(_)) => (1002, "protocol error"),
        // The kernel has waited for the client to read, or to acknowledge.
        Some(WsError::Io(error)) if error.kind() == ErrorKind::TimedOut => (4408, ""),
        _ => (1006, ""),
    }
}

/// One WebSocket.
struct SocketTask {
    socket: WebSocket,
    session: PlaceSession,
    closing: SocketClosing,
    /// The client's number in its last ping, to be answered.
    pong: Option<Number>,
    /// Pings since the client last sent anything.
    unanswered: u8,
    /// When the messages so far will have been allowed.
    allowed_at: u64,
    /// The write that waits has waited since.
    blocked: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SocketClosing {
    No,
    /// The bye is sent, the close frame is next.
    Bye(CloseReason),
    /// The other side has until then.
    Sent(u64),
}

/// What a client may send.
#[derive(Deserialize)]
struct ClientMessage {
    t: String,
    c: Option<Number>,
}

/// The client's number in a ping; `None` for any other text, which is ignored.
pub fn pinged(text: &str) -> Option<Number> {
    let ClientMessage { t, c } = serde_json::from_str(text).ok()?;
    c.filter(|_| t == "ping")
}

impl SocketTask {
    fn new(socket: WebSocket, session: PlaceSession) -> Self {
        Self {
            socket,
            session,
            closing: SocketClosing::No,
            pong: None,
            unanswered: 0,
            allowed_at: 0,
            blocked: None,
        }
    }

    fn now(&self) -> u64 {
        self.session.feed().fanout.now()
    }

    /// Ready when the connection has ended.
    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<()> {
        for _ in 0..READS {
            match ready!(self.socket.poll_next_unpin(context)) {
                Some(Ok(message)) => self.received(message),
                Some(Err(error)) => return self.read_failed(&error, context),
                None => {
                    self.left(1006);
                    return Poll::Ready(());
                }
            }
        }
        // There may be more; other tasks first.
        context.waker().wake_by_ref();
        Poll::Pending
    }

    /// Counts a client that has left, unless this side has closed.
    fn left(&self, code: u16) {
        if self.closing == SocketClosing::No {
            self.session.feed().fanout.metrics.left(code);
        }
    }

    /// What the client sent cannot be read: says why, if the connection can still write.
    fn read_failed(&mut self, error: &axum::Error, context: &mut Context<'_>) -> Poll<()> {
        let (code, word) = read_failure(error);
        self.left(code);
        if self.closing == SocketClosing::No
            && !word.is_empty()
            && let Poll::Ready(Ok(())) = self.socket.poll_ready_unpin(context)
            && self.socket.start_send_unpin(close_frame(code, word)).is_ok()
        {
            // What cannot be written at once is not worth waiting for.
            let _ = self.socket.poll_flush_unpin(context);
        }
        Poll::Ready(())
    }

    fn received(&mut self, message: Message) {
        self.unanswered = 0;
        let now = self.now();
        match message {
            Message::Text(text) => {
                self.count_message(now);
                if let Some(number) = pinged(&text) {
                    self.pong = Some(number);
                }
            }
            Message::Binary(_) | Message::Ping(_) => self.count_message(now),
            Message::Pong(_) => {}
            Message::Close(frame) => {
                self.left(frame.map_or(1005, |frame| frame.code));
                // The library answers; the next read ends the connection.
                self.closing = SocketClosing::Sent(now + CLOSING.as_millis() as u64);
            }
        }
    }

    fn count_message(&mut self, now: u64) {
        self.allowed_at = self.allowed_at.max(now) + MESSAGE_PAUSE;
        if self.allowed_at > now + MESSAGE_PAUSE * MESSAGE_BURST {
            self.session.close(CloseReason::Limit);
        }
    }

    /// Ready when the connection shall end.
    fn poll_write(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            match self.socket.poll_ready_unpin(context) {
                Poll::Pending => return self.poll_blocked(context),
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                Poll::Ready(Ok(())) => {}
            }
            let message = match self.poll_message(context) {
                Poll::Pending => break,
                Poll::Ready(None) => return Poll::Ready(()),
                Poll::Ready(Some(message)) => message,
            };
            if self.socket.start_send_unpin(message).is_err() {
                return Poll::Ready(());
            }
        }
        match self.socket.poll_flush_unpin(context) {
            Poll::Pending => self.poll_blocked(context),
            Poll::Ready(Err(_)) => Poll::Ready(()),
            Poll::Ready(Ok(())) => {
                self.blocked = None;
                Poll::Pending
            }
        }
    }

    /// Ready when the client has not read for too long.
    fn poll_blocked(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let (now, slow) = (self.now(), self.session.feed().fanout.settings.slow);
        let since = *self.blocked.get_or_insert(now);
        let until = since + slow.as_millis() as u64;
        if now >= until {
            self.session.feed().fanout.metrics.closed(CloseReason::Slow);
            return Poll::Ready(());
        }
        if self.session.wait_until(context, until) { Poll::Ready(()) } else { Poll::Pending }
    }

    /// The next message to write; `None` when the connection shall end.
    fn poll_message(&mut self, context: &mut Context<'_>) -> Poll<Option<Message>> {
        match self.closing {
            SocketClosing::No => {}
            SocketClosing::Bye(reason) => {
                self.closing = SocketClosing::Sent(self.now() + CLOSING.as_millis() as u64);
                return Poll::Ready(Some(close_message(reason)));
            }
            SocketClosing::Sent(until) => {
                let ends = self.now() >= until || self.session.wait_until(context, until);
                return if ends { Poll::Ready(None) } else { Poll::Pending };
            }
        }
        if let Some(number) = self.pong.take() {
            let feed = self.session.feed();
            let pong = frames::pong(&number, feed.view.store_now(feed.fanout.now()).0);
            return Poll::Ready(Some(self.text(&pong)));
        }
        match ready!(self.session.poll_next(context)) {
            SessionStep::Send(frame) => Poll::Ready(Some(self.text(&frame))),
            SessionStep::Ping if self.unanswered < UNANSWERED => {
                self.unanswered += 1;
                Poll::Ready(Some(Message::Ping(Bytes::new())))
            }
            SessionStep::Ping => Poll::Ready(self.close(CloseReason::Slow)),
            SessionStep::Close(reason) => Poll::Ready(self.close(reason)),
        }
    }

    fn text(&self, frame: &ReadyFrame) -> Message {
        self.session.feed().fanout.metrics.sent(frame);
        Message::Text(frame.text())
    }

    /// Begins to close; returns the bye.
    fn close(&mut self, reason: CloseReason) -> Option<Message> {
        if reason == CloseReason::Cut {
            return None;
        }
        let fanout = &self.session.feed().fanout;
        fanout.metrics.closed(reason);
        let bye = frames::bye(reason, fanout.open());
        self.closing = SocketClosing::Bye(reason);
        Some(self.text(&bye))
    }
}

impl Future for SocketTask {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        if this.poll_read(context).is_ready() {
            return Poll::Ready(());
        }
        this.poll_write(context)
    }
}
