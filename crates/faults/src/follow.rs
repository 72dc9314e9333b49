//! Reads the audit log while it grows: into the checker, into a file, and how long nothing moved.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use bookingq_core::EventSeq;
use bookingq_core::backoff::Backoff;
use bookingq_sim::History;
use bookingq_store::Store;
use parking_lot::Mutex;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use bookingq_faults::check::Clock;

/// Events asked for at once.
const PIECE: usize = 10_000;
/// How long to wait for the next one.
const WAIT: Duration = Duration::from_millis(500);
/// Between two tries to reach Redis.
const BACKOFF: Backoff =
    Backoff { initial: Duration::from_millis(50), max: Duration::from_secs(1) };

/// A reader of the audit log.
pub struct Follower {
    store: Arc<dyn Store>,
    state: Mutex<State>,
}

/// What was read.
pub struct State {
    /// The log's own checker.
    pub history: History,
    /// Redis's times.
    pub clock: Clock,
    /// Longest time without an event, and when the newest came.
    pub longest_stall: Duration,
    newest: Option<Instant>,
    next: EventSeq,
    file: BufWriter<File>,
}

impl Follower {
    /// From the first event on; each becomes a line of `file`.
    pub fn new(store: Arc<dyn Store>, clock: Clock, file: &Path) -> Result<Self> {
        let file =
            File::create(file).with_context(|| format!("cannot write {}", file.display()))?;
        let state = State {
            history: History::new(),
            clock,
            longest_stall: Duration::ZERO,
            newest: None,
            next: EventSeq::START,
            file: BufWriter::new(file),
        };
        Ok(Self { store, state: Mutex::new(state) })
    }

    /// Reads until told to stop.
    pub async fn follow(self: Arc<Self>, stop: CancellationToken) {
        let mut failures = 0;
        while !stop.is_cancelled() {
            match stop.run_until_cancelled(self.step(WAIT)).await {
                Some(Ok(_)) => failures = 0,
                Some(Err(_)) => {
                    failures += 1;
                    stop.run_until_cancelled(sleep(BACKOFF.delay(failures, rand::random()))).await;
                }
                None => return,
            }
        }
    }

    /// Reads to the end of the log.
    pub async fn catch_up(&self) -> Result<()> {
        while self.step(Duration::ZERO).await? > 0 {}
        self.state.lock().file.flush()?;
        Ok(())
    }

    /// How long nothing has moved.
    pub fn idle(&self) -> Duration {
        self.with(|state| state.newest.map_or(Duration::ZERO, |newest| newest.elapsed()))
    }

    /// Looks at what was read.
    pub fn with<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.state.lock())
    }

    async fn step(&self, wait: Duration) -> Result<usize> {
        let after = self.state.lock().next;
        let piece = self.store.events(after, PIECE, wait).await?;
        let mut state = self.state.lock();
        if piece.gap {
            state.history.note_gap();
        }
        if !piece.events.is_empty() {
            let now = Instant::now();
            let stall = state.newest.map_or(Duration::ZERO, |newest| now - newest);
            state.longest_stall = state.longest_stall.max(stall);
            state.newest = Some(now);
        }
        state.history.observe(&piece.events);
        state.clock.observe(&piece.events);
        for event in &piece.events {
            serde_json::to_writer(&mut state.file, event)?;
            state.file.write_all(b"\n")?;
        }
        state.next = piece.next;
        Ok(piece.events.len())
    }
}
