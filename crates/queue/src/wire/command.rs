//! A command as bytes.

use prost::Message as _;

use super::head::WorkforceWire;
use super::ids::{EventSeqWire, from_size, item, millis, size, span};
use super::request::{CancelWire, ConfirmWire, JoinWire};
use super::rules::{OutflowWire, RulesWire, admission};
use super::task::{LeaseWire, SettlementWire};
use super::{Unreadable, decode_strictly};
use crate::command::QueueCommand;
use crate::task::Scope;

#[derive(Clone, PartialEq, prost::Message)]
struct CommandWire {
    #[prost(oneof = "ChangeWire", tags = "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13")]
    change: Option<ChangeWire>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum ChangeWire {
    #[prost(message, tag = "1")]
    Enqueue(EnqueueBatchWire),
    #[prost(message, tag = "2")]
    Claim(ClaimWire),
    #[prost(message, tag = "3")]
    Renew(RenewWire),
    #[prost(message, tag = "4")]
    Settle(SettleWire),
    #[prost(message, tag = "5")]
    Confirm(ConfirmBatchWire),
    #[prost(message, tag = "6")]
    Cancel(CancelBatchWire),
    #[prost(uint64, tag = "7")]
    Sweep(u64),
    #[prost(string, tag = "8")]
    SetAdmission(String),
    #[prost(message, tag = "9")]
    SetRules(RulesWire),
    #[prost(message, tag = "10")]
    SetOutflow(OutflowWire),
    #[prost(message, tag = "11")]
    SetWorkforce(WorkforceWire),
    #[prost(message, tag = "12")]
    Restocked(RestockedWire),
    #[prost(message, tag = "13")]
    Notifier(NotifierCallWire),
}

#[derive(Clone, PartialEq, prost::Message)]
struct EnqueueBatchWire {
    #[prost(message, repeated, tag = "1")]
    batch: Vec<JoinWire>,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
struct ClaimWire {
    #[prost(uint64, tag = "1")]
    max: u64,
    #[prost(uint64, tag = "2")]
    lease_ms: u64,
    #[prost(uint32, tag = "3")]
    scope: u32,
}

#[derive(Clone, PartialEq, prost::Message)]
struct RenewWire {
    #[prost(message, repeated, tag = "1")]
    batch: Vec<LeaseWire>,
    #[prost(uint64, tag = "2")]
    lease_ms: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
struct SettleWire {
    #[prost(message, repeated, tag = "1")]
    batch: Vec<SettlementWire>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct ConfirmBatchWire {
    #[prost(message, repeated, tag = "1")]
    batch: Vec<ConfirmWire>,
    #[prost(uint64, tag = "2")]
    lease_ms: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
struct CancelBatchWire {
    #[prost(message, repeated, tag = "1")]
    batch: Vec<CancelWire>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct RestockedWire {
    #[prost(string, tag = "1")]
    item: String,
    #[prost(uint64, optional, tag = "2")]
    left: Option<u64>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct NotifierCallWire {
    #[prost(string, tag = "1")]
    owner: String,
    #[prost(uint64, tag = "2")]
    lease_ms: u64,
    #[prost(message, optional, tag = "3")]
    done: Option<EventSeqWire>,
}

impl QueueCommand {
    /// The command as bytes.
    pub fn encode(&self) -> Vec<u8> {
        CommandWire { change: Some(self.into()) }.encode_to_vec()
    }

    /// The command that was [encoded](Self::encode).
    ///
    /// # Errors
    /// [`Unreadable`] if the bytes are no command of this release.
    pub fn decode(bytes: &[u8]) -> Result<Self, Unreadable> {
        let wire: CommandWire = decode_strictly(bytes)?;
        wire.change.ok_or_else(|| Unreadable::missing("the change"))?.try_into()
    }
}

impl From<&QueueCommand> for ChangeWire {
    fn from(command: &QueueCommand) -> Self {
        use QueueCommand as C;
        match command {
            C::Enqueue(batch) => Self::Enqueue(EnqueueBatchWire { batch: all(batch) }),
            C::Claim { max, lease, scope } => Self::Claim(ClaimWire {
                max: size(*max),
                lease_ms: millis(*lease),
                scope: from_scope(*scope),
            }),
            C::Renew { batch, lease } => {
                Self::Renew(RenewWire { batch: all(batch), lease_ms: millis(*lease) })
            }
            C::Settle(batch) => Self::Settle(SettleWire { batch: all(batch) }),
            C::Confirm { batch, lease } => {
                Self::Confirm(ConfirmBatchWire { batch: all(batch), lease_ms: millis(*lease) })
            }
            C::Cancel(batch) => Self::Cancel(CancelBatchWire { batch: all(batch) }),
            C::Sweep { limit } => Self::Sweep(size(*limit)),
            C::SetAdmission(admission) => Self::SetAdmission(admission.as_str().to_owned()),
            C::SetRules(rules) => Self::SetRules(rules.into()),
            C::SetOutflow(outflow) => Self::SetOutflow((*outflow).into()),
            C::SetWorkforce(workforce) => Self::SetWorkforce((&workforce.bounded()).into()),
            C::Restocked { item, left } => {
                let item = item.as_ref().to_owned();
                Self::Restocked(RestockedWire { item, left: *left })
            }
            C::Notifier { owner, lease, done } => Self::Notifier(NotifierCallWire {
                owner: owner.clone(),
                lease_ms: millis(*lease),
                done: done.map(Into::into),
            }),
        }
    }
}

impl TryFrom<ChangeWire> for QueueCommand {
    type Error = Unreadable;

    fn try_from(wire: ChangeWire) -> Result<Self, Unreadable> {
        use ChangeWire as W;
        Ok(match wire {
            W::Enqueue(wire) => Self::Enqueue(try_all(wire.batch)?),
            W::Claim(ClaimWire { max, lease_ms, scope }) => {
                Self::Claim { max: from_size(max), lease: span(lease_ms), scope: to_scope(scope)? }
            }
            W::Renew(RenewWire { batch, lease_ms }) => {
                Self::Renew { batch: try_all(batch)?, lease: span(lease_ms) }
            }
            W::Settle(wire) => Self::Settle(try_all(wire.batch)?),
            W::Confirm(ConfirmBatchWire { batch, lease_ms }) => {
                Self::Confirm { batch: try_all(batch)?, lease: span(lease_ms) }
            }
            W::Cancel(wire) => Self::Cancel(try_all(wire.batch)?),
            W::Sweep(limit) => Self::Sweep { limit: from_size(limit) },
            W::SetAdmission(word) => Self::SetAdmission(admission(&word)?),
            W::SetRules(rules) => Self::SetRules(rules.try_into()?),
            W::SetOutflow(outflow) => Self::SetOutflow(outflow.into()),
            W::SetWorkforce(workforce) => Self::SetWorkforce(workforce.into()),
            W::Restocked(wire) => Self::Restocked { item: item(&wire.item)?, left: wire.left },
            W::Notifier(NotifierCallWire { owner, lease_ms, done }) => {
                Self::Notifier { owner, lease: span(lease_ms), done: done.map(Into::into) }
            }
        })
    }
}

fn from_scope(scope: Scope) -> u32 {
    match scope {
        Scope::Everything => 0,
        Scope::OnceRuled => 1,
        Scope::DueOnly => 2,
    }
}

fn to_scope(scope: u32) -> Result<Scope, Unreadable> {
    match scope {
        0 => Ok(Scope::Everything),
        1 => Ok(Scope::OnceRuled),
        2 => Ok(Scope::DueOnly),
        other => Err(Unreadable::unknown("the scope of a claim", &other)),
    }
}

fn all<'a, T, W: From<&'a T>>(batch: &'a [T]) -> Vec<W> {
    batch.iter().map(W::from).collect()
}

fn try_all<W, T: TryFrom<W, Error = Unreadable>>(batch: Vec<W>) -> Result<Vec<T>, Unreadable> {
    batch.into_iter().map(T::try_from).collect()
}
