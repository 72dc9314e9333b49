//! Whether a connection is in use: a request is answered, or the body of an answer is sent.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use axum::response::Response;
use http_body::{Body as HttpBody, Frame, SizeHint};

/// The requests of one connection.
#[derive(Debug, Default)]
pub(crate) struct Activity(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    begun: AtomicU64,
    /// Those begun when idleness was last checked.
    seen: AtomicU64,
    busy: AtomicUsize,
}

/// A request in progress, until it is dropped.
#[derive(Debug)]
pub(crate) struct Busy(Arc<Counts>);

impl Activity {
    /// A request begins.
    pub(crate) fn begin(&self) -> Busy {
        self.0.begun.fetch_add(1, Ordering::Relaxed);
        self.0.busy.fetch_add(1, Ordering::Relaxed);
        Busy(Arc::clone(&self.0))
    }

    /// Whether there was no request yet.
    pub(crate) fn is_new(&self) -> bool {
        self.0.begun.load(Ordering::Relaxed) == 0
    }

    /// Whether no request is in progress, and none began since the last check.
    pub(crate) fn is_idle(&self) -> bool {
        let begun = self.0.begun.load(Ordering::Relaxed);
        let seen = self.0.seen.swap(begun, Ordering::Relaxed);
        begun == seen && self.0.busy.load(Ordering::Relaxed) == 0
    }
}

impl Busy {
    /// The request is in progress until the body of its answer is sent.
    pub(crate) fn hold(self, answer: Response) -> Response {
        answer.map(|body| {
            // A known end needs no watching: it is sent with the head.
            if body.is_end_stream() { body } else { Body::new(BusyBody { body, _busy: self }) }
        })
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.busy.fetch_sub(1, Ordering::Relaxed);
    }
}

struct BusyBody {
    body: Body,
    _busy: Busy,
}

impl HttpBody for BusyBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
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
}
