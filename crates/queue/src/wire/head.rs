//! Everything of a queue but its bookings and items.

use bookingq_core::{Timestamp, Workforce, WorkforceChange};

use super::Unreadable;
use super::ids::{EventSeqWire, size};
use super::rules::{RulesWire, admission};
use crate::notifier::Notifier;
use crate::outbox::Outbox;
use crate::queue::Queue;
use crate::snapshot::Totals;

/// The first part of a state.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct HeadWire {
    /// How many records of each kind follow.
    #[prost(uint64, tag = "1")]
    pub(crate) bookings: u64,
    #[prost(uint64, tag = "2")]
    pub(crate) earlier: u64,
    #[prost(uint64, tag = "3")]
    pub(crate) items: u64,
    #[prost(uint64, tag = "4")]
    last: u64,
    #[prost(message, optional, tag = "5")]
    totals: Option<TotalsWire>,
    #[prost(string, tag = "6")]
    admission: String,
    #[prost(message, optional, tag = "7")]
    rules: Option<RulesWire>,
    #[prost(bool, tag = "8")]
    rules_set: bool,
    #[prost(uint64, tag = "9")]
    tat: u64,
    #[prost(uint64, tag = "10")]
    tat_since: u64,
    #[prost(uint64, tag = "11")]
    next_probe: u64,
    #[prost(uint64, optional, tag = "12")]
    swept_at: Option<u64>,
    #[prost(message, optional, tag = "13")]
    latest_event: Option<EventSeqWire>,
    #[prost(message, optional, tag = "14")]
    notifier: Option<NotifierWire>,
    #[prost(message, optional, tag = "15")]
    workforce: Option<WorkforceWire>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct NotifierWire {
    #[prost(string, tag = "1")]
    owner: String,
    #[prost(uint64, tag = "2")]
    until: u64,
    #[prost(message, optional, tag = "3")]
    done: Option<EventSeqWire>,
}

/// The workers, as they were recorded.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct WorkforceWire {
    #[prost(uint32, tag = "1")]
    wanted: u32,
    #[prost(uint32, tag = "2")]
    ready: u32,
    #[prost(message, optional, tag = "3")]
    last_scaling: Option<ScalingWire>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct ScalingWire {
    #[prost(uint64, tag = "1")]
    at: u64,
    #[prost(uint32, tag = "2")]
    from: u32,
    #[prost(uint32, tag = "3")]
    to: u32,
    #[prost(string, tag = "4")]
    reason: String,
    #[prost(string, tag = "5")]
    note: String,
}

impl HeadWire {
    pub(crate) fn new(queue: &Queue) -> Self {
        let index = &queue.index;
        Self {
            bookings: size(queue.bookings.len()),
            earlier: size(queue.bookings.earlier_len()),
            items: size(index.items.len()),
            last: queue.last.0,
            totals: Some(index.totals.into()),
            admission: index.admission.as_str().to_owned(),
            rules: Some((&index.rules).into()),
            rules_set: index.rules_set,
            tat: index.tat.0,
            tat_since: index.tat.1.0,
            next_probe: index.next_probe.0,
            swept_at: index.swept_at.map(|at| at.0),
            latest_event: Some(index.outbox.last().into()),
            notifier: Some(NotifierWire {
                owner: queue.notifier.owner.clone(),
                until: queue.notifier.until.0,
                done: Some(queue.notifier.done.into()),
            }),
            workforce: queue.workforce.as_ref().map(Into::into),
        }
    }

    /// Sets all of it in an empty queue.
    pub(crate) fn restore(self, queue: &mut Queue) -> Result<(), Unreadable> {
        let missing = |field: &'static str| move || Unreadable::missing(field);
        queue.last = Timestamp(self.last);
        let index = &mut queue.index;
        index.totals = self.totals.ok_or_else(missing("the counters"))?.into();
        index.admission = admission(&self.admission)?;
        index.rules = self.rules.ok_or_else(missing("the rules"))?.try_into()?;
        index.rules_set = self.rules_set;
        index.tat = (self.tat, Timestamp(self.tat_since));
        index.next_probe = Timestamp(self.next_probe);
        index.swept_at = self.swept_at.map(Timestamp);
        let latest = self.latest_event.ok_or_else(missing("the newest event"))?;
        index.outbox = Outbox::after_loss(latest.into());
        let notifier = self.notifier.ok_or_else(missing("the notifier"))?;
        let done = notifier.done.ok_or_else(missing("the notifier's cursor"))?.into();
        let until = Timestamp(notifier.until);
        queue.notifier = Notifier { owner: notifier.owner, until, done };
        queue.workforce = self.workforce.map(Into::into);
        Ok(())
    }
}

impl From<&Workforce> for WorkforceWire {
    fn from(workforce: &Workforce) -> Self {
        let scaling = |change: &WorkforceChange| ScalingWire {
            at: change.at.0,
            from: change.from,
            to: change.to,
            reason: change.reason.clone(),
            note: change.note.clone(),
        };
        Self {
            wanted: workforce.wanted,
            ready: workforce.ready,
            last_scaling: workforce.last_scaling.as_ref().map(scaling),
        }
    }
}

impl From<WorkforceWire> for Workforce {
    fn from(wire: WorkforceWire) -> Self {
        let scaling = |change: ScalingWire| WorkforceChange {
            at: Timestamp(change.at),
            from: change.from,
            to: change.to,
            reason: change.reason,
            note: change.note,
        };
        Self {
            wanted: wire.wanted,
            ready: wire.ready,
            last_scaling: wire.last_scaling.map(scaling),
        }
    }
}

/// Declares the message of the counters, with each counter in both directions.
macro_rules! totals {
    ($($tag:literal $name:ident),+ $(,)?) => {
        #[derive(Clone, Copy, PartialEq, prost::Message)]
        pub(super) struct TotalsWire {
            $(#[prost(uint64, tag = $tag)]
            $name: u64,)+
        }

        impl From<Totals> for TotalsWire {
            fn from(Totals { $($name),+ }: Totals) -> Self {
                Self { $($name),+ }
            }
        }

        impl From<TotalsWire> for Totals {
            fn from(TotalsWire { $($name),+ }: TotalsWire) -> Self {
                Self { $($name),+ }
            }
        }
    };
}

totals! {
    "1" enqueued, "2" dispatched, "3" claimed, "4" reclaimed, "5" retried, "6" stale,
    "7" reserved, "8" confirmed, "9" expired, "10" cancelled, "11" sold_out, "12" rejected,
    "13" failed, "14" busy_us, "15" damaged, "16" parked, "17" reacquired,
}
