//! Whether a connection is in use, and whether its client reads: a request is answered, or the body
//! of an answer is sent.
//!
//! hyper asks a body for more only when the connection has begun to take what it gave before. So a
//! body that is not asked has a client that does not read. On HTTP/1.1 the kernel notices. On
//! HTTP/2 the client closes the window of the one stream and answers pings, so nothing else would
//! ever end it.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::response::Response;
use http_body::{Body as HttpBody, Frame, SizeHint};
use parking_lot::Mutex;
use tokio::time::Instant;

/// The requests of one connection.
#[derive(Debug, Default)]
pub(crate) struct Activity(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    begun: AtomicU64,
    /// Those begun when idleness was last checked.
    seen: AtomicU64,
    requests: Mutex<Requests>,
}

#[derive(Debug, Default)]
struct Requests {
    busy: usize,
    /// The bodies that are being sent.
    bodies: Vec<Arc<SentBody>>,
}

/// A request in progress, until it is dropped.
#[derive(Debug)]
pub(crate) struct Busy(Arc<Counts>);

/// A body that is being sent.
#[derive(Debug)]
struct SentBody(Mutex<BodyState>);

#[derive(Debug)]
struct BodyState {
    /// `None` once it was given up.
    body: Option<Body>,
    /// What it gave has not been written since; `None` while it is asked for more.
    unread: Option<Instant>,
}

impl Activity {
    /// A request begins.
    pub(crate) fn begin(&self) -> Busy {
        self.0.begun.fetch_add(1, Ordering::Relaxed);
        self.0.requests.lock().busy += 1;
        Busy(Arc::clone(&self.0))
    }

    /// Whether there was no request yet.
    pub(crate) fn is_new(&self) -> bool {
        self.0.begun.load(Ordering::Relaxed) == 0
    }

    /// Whether there was no request but one.
    pub(crate) fn is_first(&self) -> bool {
        self.0.begun.load(Ordering::Relaxed) == 1
    }

    /// Whether no request is in progress, and none began since the last check.
    pub(crate) fn is_idle(&self) -> bool {
        let begun = self.0.begun.load(Ordering::Relaxed);
        let seen = self.0.seen.swap(begun, Ordering::Relaxed);
        begun == seen && self.0.requests.lock().busy == 0
    }

    /// Gives up the bodies of which nothing was read for this long, with all that they hold.
    /// Returns whether nothing else is in progress, so that the connection is of no use.
    pub(crate) fn give_up_unread(&self, limit: Duration) -> bool {
        let (busy, bodies) = {
            let requests = self.0.requests.lock();
            (requests.busy, requests.bodies.clone())
        };
        let given_up = bodies.iter().filter(|body| body.give_up_unread(limit)).count();
        busy > 0 && given_up == busy
    }
}

impl Busy {
    /// The request is in progress until the body of its answer is sent.
    pub(crate) fn hold(self, answer: Response) -> Response {
        answer.map(|body| {
            // Without a body the answer is its head.
            if body.is_end_stream() {
                return body;
            }
            let state = BodyState { body: Some(body), unread: Some(Instant::now()) };
            let sent = Arc::new(SentBody(Mutex::new(state)));
            self.0.requests.lock().bodies.push(Arc::clone(&sent));
            Body::new(BusyBody { sent, busy: self })
        })
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.requests.lock().busy -= 1;
    }
}

impl SentBody {
    /// Returns whether it has been given up, now or before.
    fn give_up_unread(&self, limit: Duration) -> bool {
        let mut state = self.0.lock();
        if state.unread.is_some_and(|since| since.elapsed() >= limit) {
            let body = state.body.take();
            drop(state);
            // It may end the session of a place: not under the lock.
            drop(body);
            return true;
        }
        false
    }
}

struct BusyBody {
    sent: Arc<SentBody>,
    busy: Busy,
}

impl Drop for BusyBody {
    fn drop(&mut self) {
        let bodies = &mut self.busy.0.requests.lock().bodies;
        bodies.retain(|body| !Arc::ptr_eq(body, &self.sent));
    }
}

impl HttpBody for BusyBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let mut state = self.sent.0.lock();
        let Some(body) = &mut state.body else {
            let late = std::io::Error::from(std::io::ErrorKind::TimedOut);
            return Poll::Ready(Some(Err(axum::Error::new(late))));
        };
        let frame = Pin::new(body).poll_frame(context);
        state.unread = frame.is_ready().then(Instant::now);
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.sent.0.lock().body.as_ref().is_some_and(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.sent.0.lock().body.as_ref().map_or_else(SizeHint::default, HttpBody::size_hint)
    }
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt as _, StreamExt as _};
    use http_body_util::BodyExt as _;

    use super::*;

    #[test]
    fn a_connection_is_idle_after_a_whole_interval_without_a_request() {
        let activity = Activity::default();
        assert!(activity.is_new());
        let busy = activity.begin();
        assert!(!activity.is_new());
        assert!(!activity.is_idle(), "one began since the last check");
        assert!(!activity.is_idle(), "it is in progress");
        let answer = busy.hold(Response::new(Body::from("text")));
        assert!(!activity.is_idle(), "its body is not sent yet");
        drop(answer);
        assert!(activity.is_idle());
    }

    #[tokio::test]
    async fn a_body_that_is_not_read_is_given_up_with_all_that_it_holds() {
        let activity = Activity::default();
        let held = Arc::new(());
        let stream = |held: Arc<()>| {
            let frames = futures::stream::once(async { Ok::<_, axum::Error>("frame") });
            let frames = frames.chain(futures::stream::pending());
            Body::from_stream(frames.inspect(move |_| drop(Arc::clone(&held))))
        };
        let answer = activity.begin().hold(Response::new(stream(Arc::clone(&held))));
        let other = activity.begin().hold(Response::new(stream(Arc::default())));
        let (mut unread, mut read) = (answer.into_body(), other.into_body());
        // Both have given a frame, and one of them is asked for more: what it gave was written.
        assert!(unread.frame().await.unwrap().is_ok());
        assert!(read.frame().await.unwrap().is_ok());
        assert!(read.frame().now_or_never().is_none());
        assert!(!activity.give_up_unread(Duration::from_secs(60)));
        assert_eq!(Arc::strong_count(&held), 2, "not yet");
        assert!(!activity.give_up_unread(Duration::ZERO), "the other one is read");
        assert_eq!(Arc::strong_count(&held), 1, "the body has ended");
        assert!(unread.frame().await.unwrap().is_err(), "it ends by an error, not as if complete");
        drop(read);
        assert!(activity.give_up_unread(Duration::ZERO), "nothing is left that is read");
        drop(unread);
        assert!(!activity.give_up_unread(Duration::ZERO), "nothing is in progress");
        assert!(!activity.is_idle() && activity.is_idle(), "both requests have ended");
    }
}
