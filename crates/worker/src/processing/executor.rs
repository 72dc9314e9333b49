//! Executes one task: calls the Booking Service, classifies the answer, settles.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bookingq_core::backoff::{Backoff, RetryPolicy};
use bookingq_core::retry::Retry;
use bookingq_core::{BookingState, Fence, Quantity};
use bookingq_serve::trace;
use bookingq_store::group::GroupCommit;
use bookingq_store::{Lease, Settled, Settlement, StoreError, Task, TaskKind, TaskOutcome, Try};
use parking_lot::Mutex;
use tokio::time::Instant;
use tracing::{Instrument as _, debug, info, warn};

use super::classify::classify;
use crate::config::TaskConfig;
use crate::downstream::ServiceCallError;
use crate::downstream::booking::{BookingClient, ServiceAnswer};
use crate::downstream::channel::DownstreamError;
use crate::downstream::ticket::{TicketAnswer, TicketClient};
use crate::metrics::WorkerMetrics;

/// Waits between repeats of a settlement whose outcome is unknown. No limit: the fence makes a late
/// settlement harmless.
const SETTLE_BACKOFF: Backoff =
    Backoff { initial: Duration::from_millis(50), max: Duration::from_secs(1) };

/// Executes tasks, and knows which are in hand.
pub struct Executor {
    hold: Duration,
    retry: RetryPolicy,
    /// Tasks that may run at once.
    pub slots: usize,
    /// The store that tasks come from.
    pub store: GroupCommit,
    /// The Booking Service.
    pub booking: BookingClient,
    ticket: Option<TicketClient>,
    /// What counts tasks.
    pub metrics: Arc<WorkerMetrics>,
    held: Mutex<HashMap<Fence, Lease>>,
}

impl Executor {
    /// With no task in hand.
    ///
    /// # Errors
    /// When an endpoint or TLS file cannot be used.
    pub fn new(
        config: &TaskConfig,
        store: GroupCommit,
        metrics: Arc<WorkerMetrics>,
    ) -> Result<Self, DownstreamError> {
        let queue = || store.store().queue().clone();
        let ticket = config.ticket.as_ref().map(|service| TicketClient::new(queue(), service));
        Ok(Self {
            hold: config.hold,
            retry: config.retry,
            slots: config.concurrency,
            booking: BookingClient::new(queue(), &config.booking)?,
            ticket: ticket.transpose()?,
            metrics,
            held: Mutex::default(),
            store,
        })
    }

    /// Whether there is a Ticket Service.
    pub fn has_ticket_service(&self) -> bool {
        self.ticket.is_some()
    }

    /// The lease of every task in hand, for renewal.
    pub fn held(&self) -> Vec<Lease> {
        self.held.lock().values().cloned().collect()
    }

    /// Executes a claimed task to its settlement. Dropping the future drops the task: its lease
    /// ends and another worker claims it.
    ///
    /// Returns the booking's state after it, or `None` if another worker has the task by now.
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
        let start = Instant::now();
        let work = async {
            let outcome = self.outcome(&task, start).await;
            self.settle(&task, outcome, start.elapsed()).await
        };
        let state = work.instrument(span).await;
        let duration = self.metrics.tasks.duration.with_label_values(&[task.kind.as_str()]);
        duration.observe(start.elapsed().as_secs_f64());
        state
    }

    /// Gives a task back untouched: any worker may claim it at once.
    pub async fn hand_back(&self, task: &Task) -> Option<BookingState> {
        let outcome = TaskOutcome::Retry { after: Duration::ZERO, counts: Try::Free };
        self.settle(task, outcome, Duration::ZERO).await
    }

    async fn outcome(&self, task: &Task, start: Instant) -> TaskOutcome {
        if task.cancelled {
            return TaskOutcome::GiveUp { reason: "cancelled by the client".to_owned() };
        }
        if let Some(sold_out) = self.asked_first(task).await {
            return sold_out;
        }
        let answer = self.booking.perform(task, self.hold).await;
        let outcome = answer.as_ref().map_or_else(ServiceCallError::as_str, ServiceAnswer::as_str);
        self.count_call("booking", task.kind.as_str(), outcome, start);
        let open = f64::from(u8::from(self.booking.breaker.is_open()));
        self.metrics.tasks.circuit_open.with_label_values(&["booking"]).set(open);
        let health = self.booking.breaker.health_since(start);
        if let Err(error) = &answer {
            debug!(%error, ?health, attempts = task.attempts, "the Booking Service call failed");
        }
        classify(task, answer, health, &self.retry, self.hold, rand::random())
    }

    /// Asks the Ticket Service, but only before the very first Reserve, since a later one may
    /// follow a reservation whose answer was lost, and must find it; and only while the item is
    /// open, since a claim of a closed one uses stock that came back.
    ///
    /// Its "nothing left" parks the booking and never ends the item: the Booking Service decides.
    async fn asked_first(&self, task: &Task) -> Option<TaskOutcome> {
        if task.kind != TaskKind::Reserve || !task.first || !task.item_open {
            return None;
        }
        let answer = self.ask_ticket_service(&task.details.item, task.details.quantity).await?;
        let TicketAnswer { available, left } = answer.ok()?;
        (!available).then_some(TaskOutcome::SoldOut { left, elsewhere: 1 })
    }

    /// Asks the Ticket Service, if there is one, and counts the call.
    pub async fn ask_ticket_service(
        &self,
        item: &str,
        quantity: Quantity,
    ) -> Option<Result<TicketAnswer, ServiceCallError>> {
        let ticket = self.ticket.as_ref()?;
        let start = Instant::now();
        let answer = ticket.check(item, quantity).await;
        let outcome = answer.as_ref().map_or_else(ServiceCallError::as_str, |a| a.as_str());
        self.count_call("ticket", "check_availability", outcome, start);
        Some(answer)
    }

    fn count_call(&self, service: &str, method: &str, outcome: &str, start: Instant) {
        let metrics = &self.metrics.tasks;
        metrics.calls.with_label_values(&[service, method, outcome]).inc();
        let seconds = start.elapsed().as_secs_f64();
        metrics.call_duration.with_label_values(&[service, method]).observe(seconds);
    }

    /// Settles, repeating while the result is unknown, until it is known or the future is dropped.
    async fn settle(
        &self,
        task: &Task,
        outcome: TaskOutcome,
        busy: Duration,
    ) -> Option<BookingState> {
        let label = label(&outcome);
        let settlement = Settlement { lease: task.lease(), outcome, busy };
        let is_transient = |error: &StoreError| {
            self.metrics.store_failed(error);
            error.is_transient()
        };
        let settle = || self.store.settle(settlement.clone());
        match Retry::forever(SETTLE_BACKOFF).run(is_transient, settle).await {
            Ok(Settled::Applied(state) | Settled::Repeated(state)) => {
                let settled = &self.metrics.tasks.settled;
                settled.with_label_values(&[task.kind.as_str(), label]).inc();
                debug!(outcome = label, %state, "settled");
                Some(state)
            }
            Ok(Settled::Stale) => {
                self.metrics.tasks.stale.inc();
                info!(outcome = label, "settled too late: another worker has the task");
                None
            }
            Err(error) => {
                warn!(%error, outcome = label, "cannot settle; the task is claimed again once its lease ends");
                None
            }
        }
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
        executor.metrics.tasks.running.inc();
        Self { executor, fence: task.fence }
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.executor.held.lock().remove(&self.fence);
        self.executor.metrics.tasks.running.dec();
    }
}

/// The word used in metrics and logs.
fn label(outcome: &TaskOutcome) -> &'static str {
    match outcome {
        TaskOutcome::Reserved { .. } => "reserved",
        TaskOutcome::SoldOut { .. } => "sold_out",
        TaskOutcome::Rejected { .. } => "rejected",
        TaskOutcome::Confirmed => "confirmed",
        TaskOutcome::Released => "released",
        TaskOutcome::Retry { counts: Try::Counts, .. } => "retry",
        TaskOutcome::Retry { counts: Try::Free, .. } => "retry_free",
        TaskOutcome::GiveUp { .. } => "give_up",
    }
}
