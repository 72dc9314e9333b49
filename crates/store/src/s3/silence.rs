//! A call ends when nothing moves for too long, however much there is to send.

use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use parking_lot::Mutex;
use tokio::time::{Instant, timeout_at};

use super::error::S3Fault;

/// Bytes that are handed to the connection at once.
const PIECE: usize = 64 << 10;

/// When something moved last.
#[derive(Clone)]
pub(super) struct LastMove(Arc<Mutex<Instant>>);

impl LastMove {
    /// Now.
    pub(super) fn now() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }

    fn renew(&self) {
        *self.0.lock() = Instant::now();
    }

    /// Waits for `work`, as long as something moved within `silence`.
    pub(super) async fn watch<T>(
        &self,
        silence: Duration,
        work: impl Future<Output = T>,
    ) -> Result<T, S3Fault> {
        let mut work = pin!(work);
        loop {
            let end = *self.0.lock() + silence;
            if let Ok(done) = timeout_at(end, &mut work).await {
                return Ok(done);
            }
            if *self.0.lock() + silence <= end {
                return Err(S3Fault::Silent(silence));
            }
        }
    }
}

/// What is sent, in pieces. Each piece that the connection takes is a move.
pub(super) struct CallBody {
    rest: Bytes,
    moved: LastMove,
}

impl CallBody {
    pub(super) fn new(rest: Bytes, moved: LastMove) -> Self {
        Self { rest, moved }
    }
}

impl Body for CallBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.rest.is_empty() {
            return Poll::Ready(None);
        }
        self.moved.renew();
        let length = self.rest.len().min(PIECE);
        Poll::Ready(Some(Ok(Frame::data(self.rest.split_to(length)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use tokio::time::sleep;

    use super::*;

    const SILENCE: Duration = Duration::from_secs(10);

    #[tokio::test(start_paused = true)]
    async fn work_that_moves_may_take_long_and_work_that_does_not_ends() {
        let moved = LastMove::now();
        let works = async {
            for _ in 0..5 {
                sleep(SILENCE - Duration::from_secs(1)).await;
                moved.renew();
            }
            "done"
        };
        assert_eq!(moved.watch(SILENCE, works).await.unwrap(), "done");
        let start = Instant::now();
        moved.renew();
        let hangs = moved.watch(SILENCE, std::future::pending::<()>()).await;
        assert!(matches!(hangs, Err(S3Fault::Silent(SILENCE))), "{hangs:?}");
        assert_eq!(start.elapsed(), SILENCE);
    }
}
