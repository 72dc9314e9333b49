//! The judge of a run: follows the outbox from the first event on, and compares at the end.

use std::sync::Arc;
use std::time::Duration;

use bookingq_core::backoff::Backoff;
use bookingq_core::{Booking, ClientId, EventSeq};
use bookingq_sim::crowd::Acknowledged;
use bookingq_sim::inspect::LedgerError;
use bookingq_sim::ledger::LedgerCopy;
use bookingq_sim::{Evidence, History, Moment, Verdict};
use bookingq_store::{Result, Snapshot, Store};
use parking_lot::Mutex;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::UpError;
use crate::patience::insist;

/// Events asked for at once.
const PIECE: usize = 10_000;
/// Bookings read at once.
const BATCH: usize = 1_000;
/// How long to wait for the next event.
const WAIT: Duration = Duration::from_millis(500);
const BACKOFF: Backoff =
    Backoff { initial: Duration::from_millis(100), max: Duration::from_secs(2) };
/// How long the store may take to answer at the end.
const PATIENCE: Duration = Duration::from_secs(30);

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
        let trail =
            Arc::new(Trail { store, history: Mutex::default(), next: Mutex::new(EventSeq::START) });
        let stop = CancellationToken::new();
        let task = tokio::spawn(Arc::clone(&trail).follow(stop.clone()));
        Self { trail, stop, task }
    }

    /// Ends the following, takes the evidence in the order the checker wants it, and judges.
    /// `ledger` reads the shop's, when it is its turn.
    ///
    /// # Errors
    /// When the store or the ledger does not answer.
    pub async fn judge(
        self,
        acknowledged: Vec<Acknowledged>,
        ledger: impl Future<Output = std::result::Result<Option<LedgerCopy>, LedgerError>>,
    ) -> std::result::Result<Verdict, UpError> {
        self.stop.cancel();
        // The follower never panics on purpose; what it has not read is read here.
        let _ = self.task.await;
        let trail = &self.trail;
        let snapshot = || insist(PATIENCE, || trail.store.snapshot());
        let before = snapshot().await?;
        insist(PATIENCE, || trail.catch_up()).await?;
        let bookings = insist(PATIENCE, || trail.bookings(&acknowledged)).await?;
        let ledger = ledger.await?;
        insist(PATIENCE, || trail.catch_up()).await?;
        let moment = moment(&before, &snapshot().await?);
        let history = trail.history.lock();
        Ok(history.judge(&Evidence { acknowledged, bookings, ledger }, moment))
    }
}

/// Whether anything moved while the evidence was taken: whatever moves changes a counter, or is in
/// somebody's hands.
fn moment(before: &Snapshot, after: &Snapshot) -> Moment {
    let at_rest = before.totals == after.totals
        && (before.in_flight, after.in_flight) == (0, 0)
        && (before.backlog, before.holds) == (after.backlog, after.holds);
    if at_rest { Moment::AtRest } else { Moment::InMotion }
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
