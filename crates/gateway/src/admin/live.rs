//! The figures as server-sent events: one reading a second for all pages that are open, and none
//! while there is none.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures::{Stream, StreamExt as _, stream};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until};

use super::figures::AdminJson;
use crate::place_json::to_json;
use crate::state::GatewayState;

/// How long an event is the newest one for all pages.
const FRESH: Duration = Duration::from_secs(1);
/// Between two events of a page: longer, so that it is not sent the same event twice, nor the same
/// reading of a queue, which is kept for a second too.
const EVERY: Duration = Duration::from_millis(1100);
/// When a page connects again, in milliseconds.
const RETRY: &str = "retry: 2000\n\n";
/// Pages that are sent events at once.
pub(super) const PAGES: usize = 32;
/// Then a page connects again, so that one whose reader has gone does not stay.
const LIFETIME: Duration = Duration::from_secs(15 * 60);

/// Sends the figures to pages.
pub(super) struct LiveFigures {
    gateway: Arc<str>,
    state: Arc<GatewayState>,
    /// When the last event was made, and the event.
    last: Mutex<Option<(Instant, Bytes)>>,
    pages: AtomicUsize,
}

/// A page that is sent events.
struct LivePage {
    figures: Arc<LiveFigures>,
    ends: Instant,
    next: Instant,
}

impl LiveFigures {
    pub(super) fn new(gateway: &str, state: Arc<GatewayState>) -> Arc<Self> {
        let (last, pages) = (Mutex::default(), AtomicUsize::new(0));
        Arc::new(Self { gateway: gateway.into(), state, last, pages })
    }

    /// The figures now, as JSON.
    pub(super) async fn json(&self) -> String {
        to_json(&AdminJson::read(&self.gateway, &self.state).await)
    }

    /// The events of one more page; `None` if too many are open.
    pub(super) fn events(self: Arc<Self>) -> Option<Body> {
        let page = LivePage::open(self)?;
        let events = stream::once(async { RETRY.into() }).chain(page.events());
        Some(Body::from_stream(events.map(Ok::<Bytes, Infallible>)))
    }

    /// The newest event, made at most once in [`FRESH`] for all pages.
    async fn event(&self) -> Bytes {
        let asked = Instant::now();
        let mut last = self.last.lock().await;
        // Pages that waited for a slow reading share it.
        if let Some((at, event)) = &*last
            && asked.saturating_duration_since(*at) < FRESH
        {
            return event.clone();
        }
        let at = Instant::now();
        let event = Bytes::from(format!("data: {}\n\n", self.json().await));
        *last = Some((at, event.clone()));
        event
    }
}

impl LivePage {
    fn open(figures: Arc<LiveFigures>) -> Option<Self> {
        let open = |open| (open < PAGES).then_some(open + 1);
        figures.pages.fetch_update(Ordering::Relaxed, Ordering::Relaxed, open).ok()?;
        let now = Instant::now();
        Some(Self { figures, ends: now + LIFETIME, next: now })
    }

    /// An event a second. A page that reads slowly gets fewer, never old ones.
    fn events(self) -> impl Stream<Item = Bytes> {
        stream::unfold(self, async |mut page| {
            sleep_until(page.next).await;
            if page.next >= page.ends {
                return None;
            }
            let event = page.figures.event().await;
            page.next = Instant::now().max(page.next + EVERY);
            Some((event, page))
        })
    }
}

impl Drop for LivePage {
    fn drop(&mut self) {
        self.figures.pages.fetch_sub(1, Ordering::Relaxed);
    }
}
