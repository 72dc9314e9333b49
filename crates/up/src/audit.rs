//! The judge of a run: follows the outbox from the first event on, and compares at the end.

use std::sync::Arc;
use std::time::Duration;

use bookingq_core::backoff::Backoff;
use bookingq_core::{Booking, ClientId, EventSeq};
use bookingq_sim::crowd::Acknowledged;
use bookingq_sim::ledger::LedgerCopy;
use bookingq_sim::{Evidence, History, Moment, Verdict};
use bookingq_store::{Result, Store};
use parking_lot::Mutex;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Events asked for at once.
const PIECE: usize = 10_000;
/// Bookings read at once.
const BATCH: usize = 1_000;
/// How long to wait for the next event.
const WAIT: Duration = Duration::from_millis(500);
const BACKOFF: Backoff = Backoff { initial: Duration::from_millis(100), max: Duration::from_secs(2) };

/// A running judge.
pub struct Audit {
    trail: Arc<Trail>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

/// Where the log has been followed to.
struct Trail {
    store: Arc<dyn Store>,
    history: Mutex<History>,
    next: Mutex<EventSeq>,
}

impl Audit {
    /// Follows everything that is in the outbox and everything to come.
    pub fn start(store: Arc<dyn Store>) -> Self {
        let trail = Arc::new(Trail { store, history: Mutex::default(), next: Mutex::new(EventSeq::START) });
        let stop = CancellationToken::new();
        let task = tokio::spawn(Arc::clone(&trail).follow(stop.clone()));
        Self { trail, stop, task }
    }

    /// Ends the following, takes the evidence in the order the checker wants it, and judges. `ledger` reads the shop's.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn judge(
        self,
        acknowledged: Vec<Acknowledged>,
        ledger: impl FnOnce() -> Option<LedgerCopy>,
        moment: Moment,
    ) -> Result<Verdict> {
        self.stop.cancel();
        // The follower never panics on purpose; what it has not read is read here.
        let _ = self.task.await;
        self.trail.catch_up().await?;
        let bookings = self.trail.bookings(&acknowledged).await?;
        let ledger = ledger();
        self.trail.catch_up().await?;
        let history = self.trail.history.lock();
        Ok(history.judge(&Evidence { acknowledged, bookings, ledger }, moment))
    }
}

impl Trail {
    async fn follow(self: Arc<Self>, stop: CancellationToken) {
        let mut failures = 0;
        while !stop.is_cancelled() {
            match stop.run_until_cancelled(self.step(WAIT)).await {
                Some(Ok(_)) => failures = 0,
                Some(Err(error)) => {
                    failures += 1;
                    tracing::warn!(%error, "the audit cannot read the outbox");
                    let wait = tokio::time::sleep(BACKOFF.delay(failures, rand::random()));
                    stop.run_until_cancelled(wait).await;
                }
                None => {}
            }
        }
    }

    /// Reads to the end of the outbox.
    async fn catch_up(&self) -> Result<()> {
        while self.step(Duration::ZERO).await? > 0 {}
        Ok(())
    }

    /// Takes one piece; answers with its size.
    async fn step(&self, wait: Duration) -> Result<usize> {
        let after = *self.next.lock();
        let piece = self.store.events(after, PIECE, wait).await?;
        let mut history = self.history.lock();
        if piece.gap {
            history.note_gap();
        }
        history.observe(&piece.events);
        *self.next.lock() = piece.next;
        Ok(piece.events.len())
    }

    /// The newest booking of everybody the log or the crowd knows.
    async fn bookings(&self, acknowledged: &[Acknowledged]) -> Result<Vec<Booking>> {
        let mut clients: Vec<ClientId> = self.history.lock().clients();
        clients.extend(acknowledged.iter().map(|promise| promise.client.clone()));
        clients.sort_unstable();
        clients.dedup();
        let mut bookings = Vec::with_capacity(clients.len());
        for batch in clients.chunks(BATCH) {
            bookings.extend(self.store.status(batch.to_vec()).await?.into_iter().flatten());
        }
        Ok(bookings)
    }
}
