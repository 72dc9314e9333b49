//! Does one task: asks the Booking Service, judges the answer, settles.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bookingq_core::backoff::Backoff;
use bookingq_core::{BookingState, Fence};
use bookingq_store::group::GroupCommit;
use bookingq_store::{Lease, Settled, Settlement, Task, TaskKind, Try, Verdict};
use parking_lot::Mutex;
use tokio::time::Instant;
use tracing::{Instrument as _, debug, info, warn};

use super::judge::{Service, judge};
use crate::downstream::Trouble;
use crate::downstream::booking::{Answer, BookingClient};
use crate::downstream::ticket::TicketClient;
use crate::metrics::Metrics;
use crate::trace;
use bookingq_core::backoff::RetryPolicy;

/// Waits between repeats of a settlement whose outcome is unknown.
const SETTLE_BACKOFF: Backoff =
    Backoff { initial: Duration::from_millis(50), max: Duration::from_secs(1) };

/// How tasks are done.
#[derive(Debug, Clone, Copy)]
pub struct ExecutorConfig {
    /// Time to pay, from the moment the reservation is recorded.
    pub hold: Duration,
    /// Retries.
    pub retry: RetryPolicy,
}

/// Does tasks, and knows which are in hand.
pub struct Executor {
    config: ExecutorConfig,
    store: GroupCommit,
    booking: BookingClient,
    ticket: Option<TicketClient>,
    metrics: Metrics,
    held: Mutex<HashMap<Fence, Lease>>,
}

impl Executor {
    /// With nothing in hand.
    pub fn new(
        config: ExecutorConfig,
        store: GroupCommit,
        booking: BookingClient,
        ticket: Option<TicketClient>,
        metrics: Metrics,
    ) -> Arc<Self> {
        Arc::new(Self { config, store, booking, ticket, metrics, held: Mutex::default() })
    }

    /// The store tasks come from.
    pub fn store(&self) -> &GroupCommit {
        &self.store
    }

    /// The Booking Service.
    pub fn booking(&self) -> &BookingClient {
        &self.booking
    }

    /// The metrics tasks are counted in.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Every task in hand, for renewal.
    pub fn held(&self) -> Vec<Lease> {
        self.held.lock().values().cloned().collect()
    }

    /// Does a claimed task to its settlement. Dropping the future drops the task: its lease runs
    /// out and another claims it.
    ///
    /// Returns the booking's state after it, or `None` if somebody else has the task by now.
    pub async fn run(&self, task: Task) -> Option<BookingState> {
        let span = tracing::info_span!(
            "task",
            kind = task.kind.as_str(),
            client_id = %task.client,
            booking_id = %task.booking,
            fence = task.fence.0,
        );
        trace::continue_from(&span, task.trace.as_deref());
        let _held = Held::new(self, &task);
        self.perform_and_settle(&task).instrument(span).await
    }

    /// Gives a task back untouched: it is due at once, for anybody.
    pub async fn hand_back(&self, task: &Task) -> Option<BookingState> {
        let verdict = Verdict::Retry { after: Duration::ZERO, counts: Try::Free };
        self.settle(task, verdict, Duration::ZERO).await
    }

    async fn perform_and_settle(&self, task: &Task) -> Option<BookingState> {
        let start = Instant::now();
        let verdict = self.verdict(task, start).await;
        let state = self.settle(task, verdict, start.elapsed()).await;
        let kind = task.kind.as_str();
        self.metrics
            .task_duration
            .with_label_values(&[kind])
            .observe(start.elapsed().as_secs_f64());
        state
    }

    async fn verdict(&self, task: &Task, start: Instant) -> Verdict {
        if task.cancelled {
            return Verdict::GiveUp { reason: "cancelled by the client".to_owned() };
        }
        if self.nothing_left(task).await {
            return Verdict::SoldOut;
        }
        let answer = self.booking.perform(task, self.config.hold).await;
        self.count_call(task, &answer, start);
        let service = if self.booking.breaker.is_open() {
            Service::Out
        } else if self.booking.breaker.answered_since(start) {
            Service::AnswersOthers
        } else {
            Service::Quiet
        };
        if let Err(trouble) = &answer {
            debug!(%trouble, ?service, attempts = task.attempts, "the Booking Service call failed");
        }
        judge(task, answer, service, &self.config.retry, self.config.hold, rand::random())
    }

    /// Only before the very first Reserve: later one may have been made whose answer was lost, and
    /// must be found again.
    async fn nothing_left(&self, task: &Task) -> bool {
        let Some(ticket) = &self.ticket else { return false };
        if task.kind != TaskKind::Reserve || !task.first {
            return false;
        }
        let start = Instant::now();
        let answer = ticket.available(&task.details).await;
        let outcome = match &answer {
            Ok(true) => "available",
            Ok(false) => "sold_out",
            Err(trouble) => trouble.as_str(),
        };
        self.count_downstream("ticket", "check_availability", outcome, start);
        matches!(answer, Ok(false))
    }

    fn count_call(&self, task: &Task, answer: &Result<Answer, Trouble>, start: Instant) {
        let outcome = match answer {
            Ok(answer) => answer.as_str(),
            Err(trouble) => trouble.as_str(),
        };
        self.count_downstream("booking", task.kind.as_str(), outcome, start);
        let open = f64::from(u8::from(self.booking.breaker.is_open()));
        self.metrics.circuit_open.with_label_values(&["booking"]).set(open);
    }

    fn count_downstream(&self, service: &str, method: &str, outcome: &str, start: Instant) {
        self.metrics.downstream.with_label_values(&[service, method, outcome]).inc();
        let seconds = start.elapsed().as_secs_f64();
        self.metrics.downstream_duration.with_label_values(&[service, method]).observe(seconds);
    }

    /// Settles, repeating while the outcome is unknown. There is no last try: the fence makes a
    /// late one harmless, and whoever stops this process drops the future.
    async fn settle(&self, task: &Task, verdict: Verdict, busy: Duration) -> Option<BookingState> {
        let label = verdict_label(&verdict);
        let settlement = Settlement { lease: task.lease(), verdict, busy };
        for tries in 1.. {
            match self.store.settle(settlement.clone()).await {
                Ok(Settled::Applied(state) | Settled::Repeated(state)) => {
                    self.metrics.tasks.with_label_values(&[task.kind.as_str(), label]).inc();
                    debug!(verdict = label, %state, "settled");
                    return Some(state);
                }
                Ok(Settled::Stale) => {
                    self.metrics.stale_settlements.inc();
                    info!(verdict = label, "settled too late: somebody else has the task");
                    return None;
                }
                Err(error) if error.is_transient() => {
                    self.metrics.store_failed(&error);
                    tokio::time::sleep(SETTLE_BACKOFF.delay(tries, rand::random())).await;
                }
                Err(error) => {
                    self.metrics.store_failed(&error);
                    warn!(%error, verdict = label, "can't settle; the lease will run out and the task be claimed again");
                    return None;
                }
            }
        }
        None
    }
}

/// Keeps a task in the table of held ones for as long as it lives.
struct Held<'a> {
    executor: &'a Executor,
    fence: Fence,
}

impl<'a> Held<'a> {
    fn new(executor: &'a Executor, task: &Task) -> Self {
        executor.held.lock().insert(task.fence, task.lease());
        executor.metrics.tasks_running.inc();
        Self { executor, fence: task.fence }
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.executor.held.lock().remove(&self.fence);
        self.executor.metrics.tasks_running.dec();
    }
}

fn verdict_label(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Reserved { .. } => "reserved",
        Verdict::SoldOut => "sold_out",
        Verdict::Rejected { .. } => "rejected",
        Verdict::Confirmed => "confirmed",
        Verdict::Released => "released",
        Verdict::Retry { counts: Try::Counts, .. } => "retry",
        Verdict::Retry { counts: Try::Free, .. } => "retry_free",
        Verdict::GiveUp { .. } => "give_up",
    }
}
