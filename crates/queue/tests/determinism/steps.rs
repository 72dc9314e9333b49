//! Random commands of every kind that build on the answers before.

use std::sync::Arc;
use std::time::Duration;

use bookingq_core::{
    Admission, BookingId, ClientId, Details, EventSeq, Fence, Outflow, PaymentId, RequestId,
    ReservationId, SaleRules, SoldOutRule, SoldOutRules, Timestamp, Workforce, WorkforceChange,
};
use bookingq_queue::{
    Cancel, Confirm, Confirmed, Enqueue, Lease, Queue, QueueAnswer, QueueCommand, Scope,
    Settlement, TaskOutcome, Try,
};
use proptest::prelude::*;

use crate::START;

const NAMES: [&str; 6] = ["anna", "b b", "客户", "d", "e", "f"];
const ITEMS: [&str; 3] = ["", "VIP row", "stalls"];

/// One command; indices are taken modulo what exists.
#[derive(Debug, Clone)]
pub enum Step {
    Enqueue(Vec<(usize, usize)>),
    Claim { max: usize, lease: u64, scope: Scope },
    Renew { task: usize, forged: u64 },
    Settle(Vec<(usize, u64, TaskOutcome)>),
    Confirm { client: usize, named: bool, payment: usize, reacquires: bool },
    Cancel { client: usize, named: bool },
    Sweep(usize),
    Admission(Admission),
    Rules(SaleRules),
    Outflow(Outflow),
    Restocked { item: usize, left: Option<u64> },
    Notifier { owner: usize, lease: u64, done: Option<u64> },
    Workforce { wanted: u32, scaled: bool },
}

/// Makes commands of steps.
#[derive(Debug)]
pub struct Commands {
    pub clients: Vec<ClientId>,
    pub items: Vec<Arc<str>>,
    /// Every lease ever given, the newest first.
    leases: Vec<Lease>,
    next_booking: u128,
}

impl Default for Commands {
    fn default() -> Self {
        Self {
            clients: NAMES.map(|name| ClientId::new(name).unwrap()).to_vec(),
            items: ITEMS.map(Arc::from).to_vec(),
            leases: Vec::new(),
            next_booking: 0,
        }
    }
}

impl Commands {
    /// The command of a step, for a queue in this state.
    pub fn next(&mut self, step: &Step, queue: &Queue) -> QueueCommand {
        let ms = Duration::from_millis;
        match step {
            Step::Enqueue(entries) => {
                let batch = entries.iter().map(|(client, request)| self.enqueue(*client, *request));
                QueueCommand::Enqueue(batch.collect())
            }
            Step::Claim { max, lease, scope } => {
                QueueCommand::Claim { max: *max, lease: ms(*lease), scope: *scope }
            }
            Step::Renew { task, forged } => {
                let batch = self.lease(*task, *forged).into_iter().collect();
                QueueCommand::Renew { batch, lease: ms(70) }
            }
            Step::Settle(entries) => {
                let settlement = |(task, forged, outcome): &(usize, u64, TaskOutcome)| {
                    let lease = self.lease(*task, *forged)?;
                    let busy = Duration::from_micros(700);
                    Some(Settlement { lease, outcome: outcome.clone(), busy })
                };
                QueueCommand::Settle(entries.iter().filter_map(settlement).collect())
            }
            Step::Confirm { client, named, payment, reacquires } => {
                self.next_booking += 1;
                let client = self.clients[*client].clone();
                let confirm = Confirm {
                    booking: own(&client, *named, queue),
                    client,
                    payment: PaymentId::new(&format!("p{payment}")).unwrap(),
                    reacquire: reacquires.then(|| BookingId::from_u128(self.next_booking)),
                };
                QueueCommand::Confirm { batch: vec![confirm], lease: ms(50) }
            }
            Step::Cancel { client, named } => {
                let client = self.clients[*client].clone();
                let booking = own(&client, *named, queue);
                QueueCommand::Cancel(vec![Cancel { booking, client }])
            }
            other => self.setting(other),
        }
    }

    fn setting(&self, step: &Step) -> QueueCommand {
        match step {
            Step::Sweep(limit) => QueueCommand::Sweep { limit: *limit },
            Step::Admission(admission) => QueueCommand::SetAdmission(*admission),
            Step::Rules(rules) => QueueCommand::SetRules(rules.clone()),
            Step::Outflow(outflow) => QueueCommand::SetOutflow(*outflow),
            Step::Restocked { item, left } => {
                QueueCommand::Restocked { item: self.items[*item].clone(), left: *left }
            }
            Step::Notifier { owner, lease, done } => QueueCommand::Notifier {
                owner: format!("worker {owner}"),
                lease: Duration::from_millis(*lease),
                done: done.map(|n| EventSeq::new(n / 2, n % 2, 0)),
            },
            Step::Workforce { wanted, scaled } => {
                let change = || WorkforceChange {
                    at: START,
                    from: 1,
                    to: *wanted,
                    reason: "Backlog".to_owned(),
                    note: "9 in line".to_owned(),
                };
                let last_scaling = scaled.then(change);
                QueueCommand::SetWorkforce(Workforce { wanted: *wanted, ready: 1, last_scaling })
            }
            other => unreachable!("{other:?} is made above"),
        }
    }

    /// Remembers the leases of an answer.
    pub fn learn(&mut self, answer: &QueueAnswer) {
        let tasks = match answer {
            QueueAnswer::Claimed(claim) => claim.tasks.clone(),
            QueueAnswer::Confirmed(answers) => {
                let task = |answer: &Result<Confirmed, _>| match answer {
                    Ok(Confirmed::Won(task, _) | Confirmed::Releasing(task)) => {
                        Some((**task).clone())
                    }
                    Ok(Confirmed::Reacquired(task, _)) => {
                        task.as_ref().map(|task| (**task).clone())
                    }
                    _ => None,
                };
                answers.iter().filter_map(task).collect()
            }
            _ => return,
        };
        for task in tasks {
            self.leases.insert(0, task.lease());
        }
    }

    fn enqueue(&mut self, client: usize, request: usize) -> Enqueue {
        self.next_booking += 1;
        Enqueue {
            client: self.clients[client].clone(),
            request: RequestId::new(&format!("r{request}")).unwrap(),
            booking: BookingId::from_u128(self.next_booking << 64 | 7),
            details: Details::new(ITEMS[request % 3], 1 + request as i32 / 3, b"\x00\xffx")
                .unwrap(),
            trace: (request % 2 == 1).then(|| "00-trace".to_owned()),
        }
    }

    /// A lease of the past, sometimes with another fence.
    fn lease(&self, index: usize, forged: u64) -> Option<Lease> {
        let lease = self.leases.get(index % self.leases.len().max(1))?;
        Some(Lease { fence: Fence(lease.fence.0.saturating_sub(forged)), ..lease.clone() })
    }
}

fn own(client: &ClientId, named: bool, queue: &Queue) -> Option<BookingId> {
    queue.status(client).map(|booking| booking.id).filter(|_| named)
}

fn outcome() -> impl Strategy<Value = TaskOutcome> {
    let ms = |ms: u64| Duration::from_millis(ms);
    prop_oneof![
        4 => (0..3u64).prop_map(move |n| TaskOutcome::Reserved {
            reservation: ReservationId::new(&format!("seat {n}")).unwrap(),
            hold: ms(n * 80),
            left: (n == 1).then_some(7),
        }),
        5 => (prop::option::weighted(0.3, 0..4u64), prop_oneof![3 => Just(0u64), 1 => Just(2u64)])
            .prop_map(|(left, elsewhere)| TaskOutcome::SoldOut { left, elsewhere }),
        1 => Just(TaskOutcome::Rejected { reason: "no: a > b".to_owned() }),
        3 => Just(TaskOutcome::Confirmed),
        3 => Just(TaskOutcome::Released),
        2 => (0..3u64, any::<bool>()).prop_map(move |(n, counts)| TaskOutcome::Retry {
            after: ms(n * 20),
            counts: if counts { Try::Counts } else { Try::Free },
        }),
        2 => Just(TaskOutcome::GiveUp { reason: "é".repeat(200) }),
    ]
}

fn outflow() -> impl Strategy<Value = Outflow> {
    let limit = |max: u32| prop::option::weighted(0.3, 1..max);
    (limit(400), 0..3u32, limit(5)).prop_map(|(per_minute, burst, max_holds)| Outflow {
        per_minute,
        burst: per_minute.filter(|rate| burst > 0 && *rate >= burst).map(|_| burst),
        max_holds,
    })
}

fn rules() -> impl Strategy<Value = SaleRules> {
    let rule = || prop_oneof![2 => Just(SoldOutRule::Wait), 1 => Just(SoldOutRule::End)];
    let own = prop::collection::btree_map(0..ITEMS.len(), rule(), 0..2);
    let opens = prop::option::weighted(0.3, 0..300u64);
    (opens, outflow(), rule(), own).prop_map(|(opens, outflow, default, own)| SaleRules {
        opens_at: opens.map(|ms| Timestamp(START.0 + ms)),
        outflow,
        sold_out: SoldOutRules {
            default,
            items: own.into_iter().map(|(item, rule)| (Arc::from(ITEMS[item]), rule)).collect(),
        },
    })
}

/// Any step.
pub fn step() -> impl Strategy<Value = Step> {
    let client = 0..NAMES.len();
    let forged = prop_oneof![8 => Just(0u64), 1 => 1..3u64];
    let scope = prop_oneof![
        6 => Just(Scope::Everything),
        1 => Just(Scope::OnceRuled),
        1 => Just(Scope::DueOnly),
    ];
    let admission = prop_oneof![
        3 => Just(Admission::Open),
        1 => Just(Admission::Paused),
        1 => Just(Admission::Closed),
    ];
    prop_oneof![
        6 => prop::collection::vec((client.clone(), 0..12usize), 1..5).prop_map(Step::Enqueue),
        9 => (0..5usize, 0..4u64, scope)
            .prop_map(|(max, n, scope)| Step::Claim { max, lease: n * 30, scope }),
        1 => (0..8usize, forged.clone()).prop_map(|(task, forged)| Step::Renew { task, forged }),
        8 => prop::collection::vec((0..6usize, forged, outcome()), 1..3).prop_map(Step::Settle),
        6 => (client.clone(), any::<bool>(), 0..2usize, any::<bool>()).prop_map(
            |(client, named, payment, reacquires)| {
                Step::Confirm { client, named, payment, reacquires }
            }
        ),
        2 => (client, any::<bool>()).prop_map(|(client, named)| Step::Cancel { client, named }),
        2 => (0..3usize).prop_map(Step::Sweep),
        1 => admission.prop_map(Step::Admission),
        1 => rules().prop_map(Step::Rules),
        1 => outflow().prop_map(Step::Outflow),
        1 => (0..ITEMS.len(), prop::option::of(0..9u64))
            .prop_map(|(item, left)| Step::Restocked { item, left }),
        1 => (0..2usize, 0..60u64, prop::option::of(0..5u64))
            .prop_map(|(owner, lease, done)| Step::Notifier { owner, lease, done }),
        1 => (0..9u32, any::<bool>())
            .prop_map(|(wanted, scaled)| Step::Workforce { wanted, scaled }),
    ]
}
