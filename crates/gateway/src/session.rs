//! What one connection of a place is sent, and when: the same for WebSockets and event streams.
//!
//! ```text
//!   read the booking ──> hello ──> ticks when they are due, news at once ──> bye
//!        ^                  '── updates missing, other data, too many news: sync ──┐
//!        '─────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! A session is polled by its connection when that can write. It joins the hub before it reads the
//! booking, so no news are lost in between; what was part of the booking already is left out.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bookingq_client::WorkerCallError;
use bookingq_core::ClientId;
use bookingq_core::backoff::Backoff;
use bookingq_proto::v1;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use rand::Rng as _;

use crate::close::CloseReason;
use crate::fanout::OpenConnection;
use crate::feed::PlaceFeed;
use crate::frames::{self, FrameKind, ReadyFrame};
use crate::hello;
use crate::metrics::{ResyncCause, Transport};
use crate::segments::{ASIDE_INTERVAL, interval};
use crate::shown::{NewsUse, Shown};
use crate::snapshots::{PlaceSnapshot, SnapshotError};
use crate::subscriber::{Order, PlaceSubscriber};

/// How long a connection waits for its booking: first, and later, when it shows what it has.
const FIRST_READING: u64 = 15_000;
const NEXT_READING: u64 = 60_000;
const BACKOFF: Backoff =
    Backoff { initial: Duration::from_millis(500), max: Duration::from_secs(5) };
/// Wait in ms, and readings, until a worker has noticed that the store has other data.
const OTHER_DATA: u64 = 500;
const OTHER_READINGS: u32 = 6;
/// First wait for a tick that has not arrived when it was due, in ms.
const LATE_TICK: u64 = 250;
const NEVER: u64 = u64::MAX;

/// A connection of a place.
pub(crate) struct PlaceSession {
    feed: Arc<PlaceFeed>,
    subscriber: Arc<PlaceSubscriber>,
    _open: OpenConnection,
    phase: Phase,
    /// What the client has been shown, since its last hello.
    shown: Option<Shown>,
    /// Failed readings in a row, and when to give up.
    failures: u32,
    give_up: u64,
    next_tick: u64,
    /// The wait for a late tick.
    late: u64,
    next_ping: u64,
    ends: u64,
    /// The wheel wakes this connection then.
    armed: u64,
}

enum Phase {
    Reading(BoxFuture<'static, Result<PlaceSnapshot, SnapshotError>>),
    /// A reading failed; the next one begins then.
    Waiting(u64),
    Live,
}

/// What a connection does next.
#[derive(Debug)]
pub(crate) enum SessionStep {
    Send(ReadyFrame),
    Ping,
    Close(CloseReason),
}

impl PlaceSession {
    /// A new connection of a client.
    pub(crate) fn new(feed: Arc<PlaceFeed>, client: ClientId, transport: Transport) -> Self {
        let fanout = &feed.fanout;
        let (now, settings) = (fanout.now(), &fanout.settings);
        let (life, spread) =
            (settings.lifetime.as_millis() as u64, settings.lifetime_spread.as_millis() as u64);
        let ends = now + (life + rand::rng().random_range(0..=2 * spread)).saturating_sub(spread);
        let open = fanout.opened(transport);
        let subscriber = feed.hub.join(client);
        if fanout.is_draining() {
            subscriber.close(CloseReason::Drain);
        }
        let mut session = Self {
            feed,
            subscriber,
            _open: open,
            phase: Phase::Live,
            shown: None,
            failures: 0,
            give_up: now + FIRST_READING,
            next_tick: NEVER,
            late: LATE_TICK,
            next_ping: 0,
            ends,
            armed: 0,
        };
        session.next_ping = now + session.ping_pause();
        session.phase = session.read();
        session
    }

    pub(crate) fn feed(&self) -> &PlaceFeed {
        &self.feed
    }

    /// Ends the connection at the next step.
    pub(crate) fn close(&self, reason: CloseReason) {
        self.subscriber.close(reason);
    }

    /// The next step. Pending: the task is woken when there is one.
    pub(crate) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<SessionStep> {
        self.subscriber.register(context);
        match self.subscriber.take_order() {
            Some(Order::Close(reason)) => return Poll::Ready(SessionStep::Close(reason)),
            Some(Order::Resync(cause)) if self.resync(cause) => {
                return Poll::Ready(SessionStep::Send(frames::sync()));
            }
            Some(Order::Resync(_)) | None => {}
        }
        let now = self.feed.fanout.now();
        if now >= self.ends {
            return Poll::Ready(SessionStep::Close(CloseReason::Rotate));
        }
        if let Some(step) = self.poll_reading(context, now) {
            return Poll::Ready(step);
        }
        if now >= self.next_ping {
            self.next_ping = now + self.ping_pause();
            return Poll::Ready(SessionStep::Ping);
        }
        let next = match self.phase {
            Phase::Live => match self.news(now).or_else(|| self.tick(now)) {
                Some(frame) => return Poll::Ready(SessionStep::Send(frame)),
                None => self.next_tick,
            },
            Phase::Waiting(until) => until,
            Phase::Reading(_) => NEVER,
        };
        self.arm(now, next.min(self.next_ping).min(self.ends));
        Poll::Pending
    }

    /// For a connection that cannot write now: wakes it at `until`. Returns whether it shall end
    /// without a word.
    pub(crate) fn wait_until(&mut self, context: &mut Context<'_>, until: u64) -> bool {
        self.subscriber.register(context);
        let now = self.feed.fanout.now();
        self.arm(now, until);
        matches!(self.subscriber.take_order(), Some(Order::Close(CloseReason::Cut)))
    }

    fn arm(&mut self, now: u64, at: u64) {
        let is_armed = self.armed > now && self.armed <= at;
        if !is_armed {
            self.armed = self.feed.fanout.wheel.arm(&self.subscriber, at);
        }
    }

    fn ping_pause(&self) -> u64 {
        let pause = self.feed.fanout.settings.ping.as_millis() as f64;
        (pause * rand::rng().random_range(0.8..1.2)) as u64
    }

    fn read(&self) -> Phase {
        let (snapshots, client) = (self.feed.snapshots.clone(), self.subscriber.client().clone());
        Phase::Reading(async move { snapshots.get(client).await }.boxed())
    }

    /// Reads the booking again. Returns whether the client has to know.
    fn resync(&mut self, cause: ResyncCause) -> bool {
        self.feed.fanout.metrics.resynced(cause);
        self.phase = self.read();
        if self.shown.take().is_none() {
            return false;
        }
        self.give_up = self.feed.fanout.now() + NEXT_READING;
        self.failures = 0;
        true
    }

    fn poll_reading(&mut self, context: &mut Context<'_>, now: u64) -> Option<SessionStep> {
        loop {
            match &mut self.phase {
                Phase::Live => return None,
                Phase::Waiting(until) if now < *until => return None,
                Phase::Waiting(_) => self.phase = self.read(),
                Phase::Reading(reading) => match reading.poll_unpin(context) {
                    Poll::Pending => return None,
                    Poll::Ready(Ok(snapshot)) if self.is_of_other_data(&snapshot) => {
                        self.failures += 1;
                        self.phase = Phase::Waiting(now + OTHER_DATA);
                        return None;
                    }
                    Poll::Ready(Ok(snapshot)) => return Some(self.greet(&snapshot, now)),
                    Poll::Ready(Err(error)) => {
                        self.failed(&error, now);
                        return None;
                    }
                },
            }
        }
    }

    /// Whether the worker that was asked, or the one that is followed, has not noticed yet that the
    /// store has lost data: a client would see both epochs, one after the other. After some
    /// readings the snapshot counts: perhaps no worker is followed at the moment.
    fn is_of_other_data(&self, snapshot: &PlaceSnapshot) -> bool {
        let line = self.feed.view.load();
        !line.epoch.is_empty() && *line.epoch != *snapshot.epoch && self.failures < OTHER_READINGS
    }

    /// A reading failed: waits, or ends the connection.
    fn failed(&mut self, error: &WorkerCallError, now: u64) {
        tracing::debug!(%error, "cannot read a booking");
        self.failures += 1;
        let final_answer = matches!(error, WorkerCallError::Refused(_));
        if final_answer || now >= self.give_up {
            self.subscriber.close(CloseReason::Unavailable);
        }
        let pause = BACKOFF.delay(self.failures, rand::random()).as_millis() as u64;
        self.phase = Phase::Waiting(now + pause);
    }

    /// Sends the snapshot.
    fn greet(&mut self, snapshot: &PlaceSnapshot, now: u64) -> SessionStep {
        self.phase = Phase::Live;
        let Some(booking) = &snapshot.booking else {
            return SessionStep::Close(CloseReason::Gone);
        };
        let item = (!booking.item.is_empty()).then(|| Arc::from(booking.item.as_str()));
        self.subscriber.set_item(item);
        // Which item this is was not known while the booking was read.
        let missed = self.feed.view.changed_item(&booking.item, snapshot.item_changes);
        if let Some(status) = missed {
            self.subscriber.item_missed(&status.item, frames::item(&status));
        }
        let (ping, line) = (self.feed.fanout.settings.ping, self.feed.view.current());
        let hello = hello::frame(booking, snapshot, &line, ping);
        self.shown = Some(Shown::new(booking, snapshot));
        self.failures = 0;
        // Spread, so that a crowd that came at once is not served at once.
        let pause = match booking.state() {
            v1::BookingState::Queued if !booking.parked => interval(booking.position),
            _ => ASIDE_INTERVAL,
        };
        self.next_tick = now + rand::rng().random_range(0..=pause);
        self.late = LATE_TICK;
        SessionStep::Send(hello)
    }

    /// The next change of the booking or of its item.
    fn news(&mut self, now: u64) -> Option<ReadyFrame> {
        let metrics = &self.feed.fanout.metrics;
        while let Some(news) = self.subscriber.take_news() {
            match self.shown.as_mut()?.apply(&news) {
                NewsUse::Known => {}
                // The order wakes this session again.
                NewsUse::OtherBooking => self.subscriber.resync(ResyncCause::Booking),
                NewsUse::Send => {
                    metrics.lag(FrameKind::News, now.saturating_sub(news.received));
                    return Some(news.frame.clone());
                }
            }
        }
        self.subscriber.take_item_frame()
    }

    /// The tick, when it is due and has arrived.
    fn tick(&mut self, now: u64) -> Option<ReadyFrame> {
        let shown = self.shown.as_mut()?;
        if now < self.next_tick {
            return None;
        }
        let line = self.feed.view.load();
        let due = line
            .segments
            .as_ref()
            .filter(|_| line.generation == shown.generation && line.at > shown.ticked);
        let due = due.and_then(|segments| shown.segment(segments));
        let Some(segment) = due else {
            self.next_tick = if shown.is_final() { NEVER } else { now + self.late };
            self.late = (self.late * 2).min(ASIDE_INTERVAL);
            return None;
        };
        let since = self.next_tick.max(line.received);
        self.feed.fanout.metrics.lag(FrameKind::Tick, now.saturating_sub(since));
        shown.ticked = line.at;
        self.next_tick = now + segment.interval;
        self.late = LATE_TICK;
        Some(segment.frame.clone())
    }
}

impl Drop for PlaceSession {
    fn drop(&mut self) {
        self.feed.hub.leave(&self.subscriber);
    }
}
