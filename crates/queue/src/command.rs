//! Every change of a queue as a value, so that it can be written to a log and applied again.

use std::sync::Arc;
use std::time::Duration;

use bookingq_core::{
    Admission, Booking, EventSeq, Outflow, Refusal, SaleRules, Timestamp, Workforce,
};

use crate::bounds;
use crate::notifier::NotifierLease;
use crate::queue::Queue;
use crate::request::{Cancel, Confirm, Confirmed, Enqueue, Enqueued};
use crate::sweep::Swept;
use crate::task::{Claim, Lease, Scope, Settled, Settlement};

/// A change of a queue: all of it happens at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QueueCommand {
    /// Clients join the line, in this order.
    Enqueue(Vec<Enqueue>),
    /// A worker claims tasks.
    Claim {
        /// At most this many.
        max: usize,
        /// Until this long from now.
        lease: Duration,
        /// Which tasks.
        scope: Scope,
    },
    /// A worker extends leases.
    Renew {
        /// The leases.
        batch: Vec<Lease>,
        /// Until this long from now.
        lease: Duration,
    },
    /// A worker records the outcomes of tasks.
    Settle(Vec<Settlement>),
    /// Payments arrive.
    Confirm {
        /// The payments.
        batch: Vec<Confirm>,
        /// How long the caller has the tasks that follow.
        lease: Duration,
    },
    /// Clients cancel.
    Cancel(Vec<Cancel>),
    /// Overdue holds become releases.
    Sweep {
        /// At most this many.
        limit: usize,
    },
    /// The queue opens, pauses or closes.
    SetAdmission(Admission),
    /// The rules of the sale are replaced.
    SetRules(SaleRules),
    /// The limits of the outflow are replaced.
    SetOutflow(Outflow),
    /// The workers are recorded.
    SetWorkforce(Workforce),
    /// An item is available again.
    Restocked {
        /// The item.
        item: Arc<str>,
        /// How many of it, if known.
        left: Option<u64>,
    },
    /// A worker acquires or renews the right to publish the outbox.
    Notifier {
        /// The worker.
        owner: String,
        /// Until this long from now.
        lease: Duration,
        /// Everything up to here is published.
        done: Option<EventSeq>,
    },
}

/// The answer to a [`QueueCommand`]; for each of a batch, in its order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QueueAnswer {
    /// To [`QueueCommand::Enqueue`].
    Enqueued(Vec<Result<Enqueued, Refusal>>),
    /// To [`QueueCommand::Claim`].
    Claimed(Claim),
    /// To [`QueueCommand::Renew`]: whether the lease was extended.
    Renewed(Vec<bool>),
    /// To [`QueueCommand::Settle`].
    Settled(Vec<Settled>),
    /// To [`QueueCommand::Confirm`].
    Confirmed(Vec<Result<Confirmed, Refusal>>),
    /// To [`QueueCommand::Cancel`].
    Cancelled(Vec<Result<Booking, Refusal>>),
    /// To [`QueueCommand::Sweep`].
    Swept(Swept),
    /// To [`QueueCommand::Notifier`]; `None` while another owner has the right.
    Notifier(Option<NotifierLease>),
    /// To a command that only sets something.
    Done,
}

/// What a queue keeps. It travels with each command, so that all that apply the same commands
/// keep the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueLimits {
    /// How long a final booking can still be read; at most [`bounds::LONGEST`].
    pub retention: Duration,
    /// Events kept for followers.
    pub outbox_events: usize,
}

impl Queue {
    /// Applies a command at the queue's time, which is `stamp`, or the time of the command before
    /// if that was later: time never goes back.
    ///
    /// Equal commands with equal limits and stamps lead to equal answers and to an equal
    /// [digest](Self::digest), whatever process, run or machine applies them.
    pub fn apply(
        &mut self,
        command: &QueueCommand,
        limits: QueueLimits,
        stamp: Timestamp,
    ) -> QueueAnswer {
        let now = self.begin(limits, stamp);
        let answer = self.answer(command, now);
        self.bookings.settle();
        self.index.items.settle();
        answer
    }

    fn answer(&mut self, command: &QueueCommand, now: Timestamp) -> QueueAnswer {
        match command {
            QueueCommand::Enqueue(batch) => {
                QueueAnswer::Enqueued(batch.iter().map(|one| self.enqueue(one, now)).collect())
            }
            QueueCommand::Claim { max, lease, scope } => {
                QueueAnswer::Claimed(self.claim(*max, *lease, *scope, now))
            }
            QueueCommand::Renew { batch, lease } => {
                let renewed = batch.iter().map(|one| self.renew(one, *lease, now));
                QueueAnswer::Renewed(renewed.collect())
            }
            QueueCommand::Settle(batch) => {
                QueueAnswer::Settled(batch.iter().map(|one| self.settle(one, now)).collect())
            }
            QueueCommand::Confirm { batch, lease } => {
                let confirmed = batch.iter().map(|one| self.confirm(one, *lease, now));
                QueueAnswer::Confirmed(confirmed.collect())
            }
            QueueCommand::Cancel(batch) => {
                QueueAnswer::Cancelled(batch.iter().map(|one| self.cancel(one, now)).collect())
            }
            QueueCommand::Sweep { limit } => QueueAnswer::Swept(self.sweep(*limit, now)),
            QueueCommand::Notifier { owner, lease, done } => {
                QueueAnswer::Notifier(self.notifier(owner, *lease, *done, now))
            }
            setting => {
                self.set(setting, now);
                QueueAnswer::Done
            }
        }
    }

    /// Applies a command that only sets something.
    fn set(&mut self, command: &QueueCommand, now: Timestamp) {
        match command {
            QueueCommand::SetAdmission(admission) => self.set_admission(*admission),
            QueueCommand::SetRules(rules) => self.set_rules(rules.clone(), now),
            QueueCommand::SetOutflow(outflow) => self.set_outflow(*outflow, now),
            QueueCommand::SetWorkforce(workforce) => self.set_workforce(workforce),
            QueueCommand::Restocked { item, left } => self.restocked(item, *left, now),
            other => unreachable!("{other:?} has an answer"),
        }
    }

    /// Advances the queue's time to `stamp`, unless it is later already, and forgets what has ended
    /// by then. Every command begins so. Returns the time.
    pub fn begin(&mut self, limits: QueueLimits, stamp: Timestamp) -> Timestamp {
        self.last = self.last.max(stamp);
        self.index.limit(bounds::span(limits.retention), limits.outbox_events);
        self.forget(self.last);
        self.last
    }

    /// The time of the newest command.
    pub fn last(&self) -> Timestamp {
        self.last
    }
}
