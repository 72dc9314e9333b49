//! Server-sent events: the same frames as a WebSocket, for networks that let no WebSocket pass.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use bookingq_core::ClientId;
use bytes::Bytes;
use http::{HeaderValue, header};
use rand::Rng as _;

use crate::close::CloseReason;
use crate::feed::PlaceFeed;
use crate::frames::{self, EVENT_PING};
use crate::lasting::LastingBody;
use crate::metrics::{OPENED, Transport};
use crate::session::{PlaceSession, SessionStep};

/// Opens an event stream of a client's place.
pub fn stream(feed: Arc<PlaceFeed>, client: ClientId) -> Response {
    feed.fanout.metrics.handshake(Transport::Events, OPENED);
    let session = PlaceSession::new(feed, client, Transport::Events);
    let mut response = Body::new(EventBody { session, phase: EventPhase::Begin }).into_response();
    response.extensions_mut().insert(LastingBody);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // nginx would collect the frames.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

struct EventBody {
    session: PlaceSession,
    phase: EventPhase,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum EventPhase {
    Begin,
    Open,
    End,
}

impl EventBody {
    /// When the browser connects again: the field that it obeys.
    fn retry(&self, reason: CloseReason) -> Bytes {
        let open = self.session.feed().fanout.open();
        let (low, high) = reason.after(open).unwrap_or_default();
        let after = rand::rng().random_range(low..=high.max(low)).as_millis().max(1000);
        Bytes::from(format!("retry: {after}\n\n"))
    }

    fn close(&mut self, reason: CloseReason) -> Option<Bytes> {
        self.phase = EventPhase::End;
        if reason == CloseReason::Cut {
            return None;
        }
        let fanout = &self.session.feed().fanout;
        fanout.metrics.closed(reason);
        let bye = frames::bye(reason, fanout.open());
        fanout.metrics.sent(&bye);
        Some(Bytes::from([self.retry(reason), bye.event()].concat()))
    }

    fn poll_bytes(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        match self.phase {
            EventPhase::Begin => {
                self.phase = EventPhase::Open;
                return Poll::Ready(Some(self.retry(CloseReason::Rotate)));
            }
            EventPhase::Open => {}
            EventPhase::End => return Poll::Ready(None),
        }
        Poll::Ready(match ready!(self.session.poll_next(context)) {
            SessionStep::Send(frame) => {
                self.session.feed().fanout.metrics.sent(&frame);
                Some(frame.event())
            }
            SessionStep::Ping => Some(EVENT_PING),
            SessionStep::Close(reason) => self.close(reason),
        })
    }
}

impl http_body::Body for EventBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, Infallible>>> {
        let bytes = self.get_mut().poll_bytes(context);
        bytes.map(|bytes| bytes.map(|bytes| Ok(http_body::Frame::data(bytes))))
    }
}
