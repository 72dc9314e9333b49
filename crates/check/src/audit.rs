//! Reads the outbox of a running queue into its audit log, and takes the evidence at the end.

use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bookingq_core::backoff::Backoff;
use bookingq_core::retry::Retry;
use bookingq_core::{Booking, ClientId, EventSeq};
use bookingq_sim::inspect::LedgerError;
use bookingq_sim::ledger::LedgerCopy;
use bookingq_store::{Snapshot, Store, StoreError};
use parking_lot::Mutex;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::answers::Answers;
use crate::log::{AuditLog, AuditTerms};
use crate::verify::{Evidence, Moment, Verification};

/// Events of one read.
const PIECE: usize = 10_000;
/// Bookings of one read.
const BATCH: usize = 1_000;
/// How long to wait for the next event.
const WAIT: Duration = Duration::from_millis(500);
const BACKOFF: Backoff =
    Backoff { initial: Duration::from_millis(100), max: Duration::from_secs(2) };
/// Limit of the store's calls at the end.
const LIMIT: Duration = Duration::from_secs(30);

/// Why a queue cannot be checked.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The store does not answer.
    #[error("the store cannot be read: {0}")]
    Store(#[from] StoreError),
    /// The ledger does not answer.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The copy of the log cannot be written.
    #[error("the copy of the audit log cannot be written: {0}")]
    Copy(#[from] io::Error),
}

/// A running audit.
pub struct Audit {
    reader: Arc<AuditReader>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

struct AuditReader {
    store: Arc<dyn Store>,
    state: Mutex<AuditReaderState>,
}

struct AuditReaderState {
    log: AuditLog,
    next: EventSeq,
    /// Arrival of the newest event, and the longest time without one.
    newest: Option<Instant>,
    longest_stall: Duration,
    copy: Option<BufWriter<File>>,
}

impl Audit {
    /// Reads a queue with these terms from its first event on.
    pub fn start(store: Arc<dyn Store>, terms: AuditTerms) -> Self {
        Self::read(store, terms, None)
    }

    /// The same; every event also becomes a line of `file`.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn start_with_copy(
        store: Arc<dyn Store>,
        terms: AuditTerms,
        file: &Path,
    ) -> io::Result<Self> {
        Ok(Self::read(store, terms, Some(BufWriter::new(File::create(file)?))))
    }

    fn read(store: Arc<dyn Store>, terms: AuditTerms, copy: Option<BufWriter<File>>) -> Self {
        let state = Mutex::new(AuditReaderState {
            log: AuditLog::new(terms),
            next: EventSeq::START,
            newest: None,
            longest_stall: Duration::ZERO,
            copy,
        });
        let (reader, stop) = (Arc::new(AuditReader { store, state }), CancellationToken::new());
        let task = tokio::spawn(Arc::clone(&reader).run(stop.clone()));
        Self { reader, stop, task }
    }

    /// Bookings so far.
    pub fn bookings(&self) -> usize {
        self.reader.state.lock().log.bookings().len()
    }

    /// Time since the last event.
    pub fn idle(&self) -> Duration {
        self.reader.state.lock().newest.map_or(Duration::ZERO, |newest| newest.elapsed())
    }

    /// The longest time without an event.
    pub fn longest_stall(&self) -> Duration {
        self.reader.state.lock().longest_stall
    }

    /// Ends the reading, takes the evidence in the order that the checker needs, and checks
    /// everything. `ledger` reads the Booking Service's ledger when it is its turn; `whole` is the
    /// [`Evidence::whole`] of a run that has ended.
    ///
    /// # Errors
    /// When the store or the ledger does not answer, or the copy of the log is incomplete.
    pub async fn verify(
        self,
        answers: &Answers,
        ledger: impl Future<Output = Result<Option<LedgerCopy>, LedgerError>>,
        whole: Option<Snapshot>,
    ) -> Result<Verification, AuditError> {
        self.stop.cancel();
        // A reader that panicked has left the rest of the outbox, which is read here.
        let _ = self.task.await;
        let reader = &self.reader;
        let before = reader.snapshot().await?;
        reader.catch_up().await?;
        let bookings = reader.read_bookings(answers).await?;
        let ledger = ledger.await?;
        reader.catch_up().await?;
        let moment = moment(&before, &reader.snapshot().await?);
        let moment = if whole.is_some() { Moment::AtRest } else { moment };
        let evidence = Evidence { bookings, ledger, whole };
        let mut state = reader.state.lock();
        if let Some(copy) = &mut state.copy {
            copy.flush()?;
        }
        Ok(state.log.verify(answers, &evidence, moment))
    }
}

/// Whether the queue was at rest between two snapshots: every change increases a counter, or is in
/// flight.
fn moment(before: &Snapshot, after: &Snapshot) -> Moment {
    let at_rest = before.totals == after.totals
        && (before.in_flight, after.in_flight) == (0, 0)
        && (before.backlog, before.holds) == (after.backlog, after.holds);
    if at_rest { Moment::AtRest } else { Moment::InMotion }
}

impl AuditReader {
    async fn run(self: Arc<Self>, stop: CancellationToken) {
        let mut retry = Retry::forever(BACKOFF);
        while !stop.is_cancelled() {
            match stop.run_until_cancelled(self.step(WAIT)).await {
                Some(Ok(_)) => retry.reset(),
                Some(Err(error)) => {
                    tracing::warn!(%error, "the audit cannot read the outbox");
                    stop.run_until_cancelled(retry.wait()).await;
                }
                None => return,
            }
        }
    }

    /// Reads to the end of the outbox.
    async fn catch_up(&self) -> Result<(), AuditError> {
        let within = Retry::within(BACKOFF, LIMIT);
        within
            .run(is_transient, || async {
                while self.step(Duration::ZERO).await? > 0 {}
                Ok(())
            })
            .await
    }

    /// Reads one piece; returns its size.
    async fn step(&self, wait: Duration) -> Result<usize, AuditError> {
        let after = self.state.lock().next;
        let piece = self.store.events(after, PIECE, wait).await?;
        let mut state = self.state.lock();
        let state = &mut *state;
        if piece.gap {
            state.log.record_gap();
        }
        if !piece.events.is_empty() {
            let now = Instant::now();
            let stall = state.newest.map_or(Duration::ZERO, |newest| now - newest);
            state.longest_stall = state.longest_stall.max(stall);
            state.newest = Some(now);
        }
        let events = piece.events;
        state.log.observe(&events);
        if let Some(copy) = &mut state.copy {
            for event in &events {
                writeln!(copy, "{}", serde_json::to_string(event).map_err(io::Error::other)?)?;
            }
        }
        state.next = piece.next;
        Ok(events.len())
    }

    async fn snapshot(&self) -> Result<Snapshot, StoreError> {
        let within = Retry::within(BACKOFF, LIMIT);
        within.run(StoreError::is_transient, || self.store.snapshot()).await
    }

    /// The newest booking of every client in the log or the answers.
    async fn read_bookings(&self, answers: &Answers) -> Result<Vec<Booking>, StoreError> {
        let mut clients: Vec<ClientId> = {
            let state = self.state.lock();
            state.log.bookings().map(|(_, logged)| logged.client.clone()).collect()
        };
        clients.extend(answers.clients().cloned());
        clients.sort_unstable();
        clients.dedup();
        let mut bookings = Vec::with_capacity(clients.len());
        for batch in clients.chunks(BATCH) {
            let within = Retry::within(BACKOFF, LIMIT);
            let read = || self.store.status(batch.to_vec());
            bookings
                .extend(within.run(StoreError::is_transient, read).await?.into_iter().flatten());
        }
        Ok(bookings)
    }
}

fn is_transient(error: &AuditError) -> bool {
    matches!(error, AuditError::Store(error) if error.is_transient())
}
