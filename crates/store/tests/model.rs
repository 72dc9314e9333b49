//! The Redis store and the embedded store give the same answers, step by step.
//!
//! One random sequence drives both. The test supplies the time and the ids, so all answers must be
//! equal: results, every client's booking, the line, the counters, the events.
#![allow(clippy::unwrap_used)]

mod support;

use std::sync::Arc;
use std::time::Duration;

use bookingq_core::{
    Admission, BookingId, ClientId, Details, Event, EventSeq, Fence, ItemEvent, OutboxEvent,
    Outflow, PaymentId, Place, RequestId, ReservationId, SaleRules, SoldOutRule, SoldOutRules,
    Timestamp,
};
use bookingq_harness::{Fsync, RedisServer};
use bookingq_store::memory::{Clock, ManualClock, MemoryConfig, MemoryStore};
use bookingq_store::redis::RedisStore;
use bookingq_store::{
    Cancel, Confirm, Confirmed, Enqueue, Lease, Scope, Settlement, Snapshot, Store, TaskOutcome,
    Try,
};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use support::config;

const CLIENTS: usize = 6;
const ITEMS: [&str; 3] = ["", "VIP row", "stalls"];
const START: Timestamp = Timestamp(1_800_000_000_000);

/// The booking that a request names.
#[derive(Debug, Clone, Copy)]
enum Named {
    None,
    Own,
    Another,
}

/// One step of a sequence. Indices are taken modulo what exists.
#[derive(Debug, Clone)]
enum Step {
    Enqueue(Vec<(usize, usize)>),
    Claim {
        max: usize,
        lease: u64,
        scope: Scope,
    },
    Renew {
        task: usize,
        forged: u64,
        lease: u64,
    },
    Settle(Vec<(usize, u64, TaskOutcome)>),
    Confirm(Vec<(usize, Named, usize)>),
    Cancel(Vec<(usize, Named)>),
    Sweep(usize),
    Advance(u64),
    Admission(Admission),
    Rules(SaleRules),
    Restocked {
        item: usize,
        left: Option<u64>,
    },
    /// A client pays, late or not, and wants another booking if its hold has expired.
    Reacquire {
        client: usize,
        named: Named,
        payment: usize,
    },
    Notifier {
        owner: usize,
        lease: u64,
        done: Option<u64>,
    },
    Again,
}

fn outcome() -> impl Strategy<Value = TaskOutcome> {
    let reason =
        || prop_oneof![Just(String::new()), Just("no: a > b".to_owned()), Just("é".repeat(300))];
    let ms = |ms: u64| Duration::from_millis(ms);
    prop_oneof![
        4 => (0..3u64).prop_map(move |n| TaskOutcome::Reserved {
            reservation: ReservationId::new(&format!("seat {n}")).unwrap(),
            hold: ms(n * 40),
            left: (n == 1).then_some(7),
        }),
        5 => (prop::option::weighted(0.3, 0..4u64), prop_oneof![3 => Just(0u64), 1 => Just(2u64)])
            .prop_map(|(left, elsewhere)| TaskOutcome::SoldOut { left, elsewhere }),
        1 => reason().prop_map(|reason| TaskOutcome::Rejected { reason }),
        3 => Just(TaskOutcome::Confirmed),
        3 => Just(TaskOutcome::Released),
        2 => (0..3u64, any::<bool>()).prop_map(move |(n, counts)| TaskOutcome::Retry {
            after: ms(n * 20),
            counts: if counts { Try::Counts } else { Try::Free },
        }),
        2 => reason().prop_map(|reason| TaskOutcome::GiveUp { reason }),
    ]
}

fn rules() -> impl Strategy<Value = SaleRules> {
    let rule = || prop_oneof![2 => Just(SoldOutRule::Wait), 1 => Just(SoldOutRule::End)];
    let limit = |max: u32| prop::option::weighted(0.3, 1..max);
    let own = prop::collection::btree_map(0..ITEMS.len(), rule(), 0..2);
    let opens = prop::option::weighted(0.3, 0..300u64);
    (opens, limit(400), 0..3u32, limit(5), rule(), own).prop_map(
        |(opens, per_minute, burst, max_holds, default, own)| SaleRules {
            opens_at: opens.map(|ms| START + Duration::from_millis(ms)),
            outflow: Outflow {
                per_minute,
                burst: per_minute.filter(|rate| burst > 0 && *rate >= burst).map(|_| burst),
                max_holds,
            },
            sold_out: SoldOutRules {
                default,
                items: own.into_iter().map(|(item, rule)| (Arc::from(ITEMS[item]), rule)).collect(),
            },
        },
    )
}

fn step() -> impl Strategy<Value = Step> {
    let client = 0..CLIENTS;
    let named =
        prop_oneof![3 => Just(Named::None), 2 => Just(Named::Own), 1 => Just(Named::Another)];
    let forged = prop_oneof![8 => Just(0u64), 1 => 1..3u64];
    let scope = prop_oneof![
        6 => Just(Scope::Everything),
        1 => Just(Scope::OnceRuled),
        1 => Just(Scope::DueOnly),
    ];
    let wait = prop_oneof![6 => 0..60u64, 1 => 4_900..5_100u64];
    prop_oneof![
        4 => prop::collection::vec((client.clone(), 0..12usize), 1..5).prop_map(Step::Enqueue),
        7 => (0..5usize, 0..4u64, scope)
            .prop_map(|(max, n, scope)| Step::Claim { max, lease: n * 30, scope }),
        1 => (0..8usize, forged.clone(), 0..100u64)
            .prop_map(|(task, forged, lease)| Step::Renew { task, forged, lease }),
        6 => prop::collection::vec((0..6usize, forged, outcome()), 1..3).prop_map(Step::Settle),
        4 => prop::collection::vec((client.clone(), named.clone(), 0..2usize), 1..3)
            .prop_map(Step::Confirm),
        2 => prop::collection::vec((client.clone(), named.clone()), 1..3).prop_map(Step::Cancel),
        1 => (0..3usize).prop_map(Step::Sweep),
        3 => wait.prop_map(Step::Advance),
        1 => rules().prop_map(Step::Rules),
        1 => (0..ITEMS.len(), prop::option::of(0..9u64))
            .prop_map(|(item, left)| Step::Restocked { item, left }),
        3 => (client, named, 0..2usize)
            .prop_map(|(client, named, payment)| Step::Reacquire { client, named, payment }),
        1 => prop_oneof![
            3 => Just(Admission::Open),
            1 => Just(Admission::Paused),
            1 => Just(Admission::Closed),
        ]
        .prop_map(Step::Admission),
        1 => (0..2usize, 0..60u64, prop::option::of(0..5u64))
            .prop_map(|(owner, lease, done)| Step::Notifier { owner, lease, done }),
        2 => Just(Step::Again),
    ]
}

/// Both stores, and what the sequence has brought up so far.
struct Pair {
    memory: MemoryStore,
    redis: RedisStore,
    clock: ManualClock,
    clients: Vec<ClientId>,
    /// Every lease ever given, the newest first.
    leases: Vec<Lease>,
    next_booking: u128,
    followed: [EventSeq; 2],
}

impl Pair {
    async fn new(server: &RedisServer) -> Self {
        let config = config(server);
        let clock = ManualClock::new(START);
        let mut memory = MemoryConfig::new(config.queue.clone());
        memory.clock = Clock::Manual(clock.clone());
        let redis = RedisStore::connect_with_test_clock(config.clone()).unwrap();
        redis.set_clock(START).await.unwrap();
        Self {
            memory: MemoryStore::new(memory),
            redis,
            clock,
            clients: ["anna", "b b", "客户", "d", "e", "f"]
                .map(|name| ClientId::new(name).unwrap())
                .to_vec(),
            leases: Vec::new(),
            next_booking: 0,
            followed: [EventSeq::START; 2],
        }
    }

    /// A lease of the past, sometimes with another fence.
    fn lease(&self, index: usize, forged: u64) -> Option<Lease> {
        let lease = self.leases.get(index % self.leases.len().max(1))?;
        Some(Lease { fence: Fence(lease.fence.0.saturating_sub(forged)), ..lease.clone() })
    }

    async fn named(&self, client: &ClientId, named: Named) -> Option<BookingId> {
        match named {
            Named::None => None,
            Named::Own => {
                self.memory.status(vec![client.clone()]).await.unwrap()[0].as_ref().map(|b| b.id)
            }
            Named::Another => Some(BookingId::from_u128(u128::MAX)),
        }
    }

    async fn run(&mut self, step: &Step) {
        match step {
            Step::Enqueue(entries) => self.enqueue(entries).await,
            Step::Claim { max, lease, scope } => {
                self.claim(*max, Duration::from_millis(*lease), *scope).await;
            }
            Step::Renew { task, forged, lease } => {
                let batch: Vec<Lease> = self.lease(*task, *forged).into_iter().collect();
                let lease = Duration::from_millis(*lease);
                let memory = self.memory.renew(batch.clone(), lease).await.unwrap();
                assert_eq!(memory, self.redis.renew(batch, lease).await.unwrap());
            }
            Step::Settle(entries) => self.settle(entries).await,
            Step::Confirm(entries) => self.confirm(entries, false).await,
            Step::Reacquire { client, named, payment } => {
                self.confirm(&[(*client, *named, *payment)], true).await;
            }
            Step::Rules(rules) => {
                self.memory.set_rules(rules.clone()).await.unwrap();
                self.redis.set_rules(rules.clone()).await.unwrap();
            }
            Step::Restocked { item, left } => {
                let item = Arc::<str>::from(ITEMS[*item]);
                self.memory.restocked(item.clone(), *left).await.unwrap();
                self.redis.restocked(item, *left).await.unwrap();
            }
            Step::Cancel(entries) => {
                let mut batch = Vec::new();
                for (client, named) in entries {
                    let client = self.clients[*client].clone();
                    batch.push(Cancel { booking: self.named(&client, *named).await, client });
                }
                let memory = self.memory.cancel(batch.clone()).await.unwrap();
                assert_eq!(memory, self.redis.cancel(batch).await.unwrap());
            }
            Step::Sweep(limit) => {
                assert_eq!(
                    self.memory.sweep(*limit).await.unwrap(),
                    self.redis.sweep(*limit).await.unwrap()
                );
            }
            Step::Advance(ms) => {
                self.clock.advance(Duration::from_millis(*ms));
                self.redis.set_clock(self.clock.now()).await.unwrap();
            }
            Step::Admission(admission) => {
                self.memory.set_admission(*admission).await.unwrap();
                self.redis.set_admission(*admission).await.unwrap();
            }
            Step::Notifier { owner, lease, done } => {
                let (owner, lease) = (format!("worker {owner}"), Duration::from_millis(*lease));
                let done = done.map(|n| EventSeq::new(n / 2, n % 2, n as u16));
                let memory = self.memory.notifier(&owner, lease, done).await.unwrap();
                assert_eq!(memory, self.redis.notifier(&owner, lease, done).await.unwrap());
            }
            Step::Again => unreachable!("replaced by the step before it"),
        }
    }

    async fn enqueue(&mut self, entries: &[(usize, usize)]) {
        let mut batch = Vec::new();
        for (client, request) in entries {
            self.next_booking += 1;
            let details =
                Details::new(ITEMS[request % 3], 1 + *request as i32 / 3, b"\x00\xffx").unwrap();
            batch.push(Enqueue {
                client: self.clients[*client].clone(),
                request: RequestId::new(&format!("r{request}")).unwrap(),
                booking: BookingId::from_u128(self.next_booking),
                details,
                trace: (request % 2 == 1).then(|| "00-trace".to_owned()),
            });
        }
        let memory = self.memory.enqueue(batch.clone()).await.unwrap();
        assert_eq!(memory, self.redis.enqueue(batch).await.unwrap());
    }

    async fn settle(&mut self, entries: &[(usize, u64, TaskOutcome)]) {
        let settlement = |(task, forged, outcome): &(usize, u64, TaskOutcome)| {
            let lease = self.lease(*task, *forged)?;
            Some(Settlement { lease, outcome: outcome.clone(), busy: Duration::from_micros(700) })
        };
        let batch: Vec<Settlement> = entries.iter().filter_map(settlement).collect();
        let memory = self.memory.settle(batch.clone()).await.unwrap();
        assert_eq!(memory, self.redis.settle(batch).await.unwrap());
    }

    async fn claim(&mut self, max: usize, lease: Duration, scope: Scope) {
        let memory = self.memory.claim(max, lease, scope).await.unwrap();
        assert_eq!(memory, self.redis.claim(max, lease, scope).await.unwrap());
        for task in memory.tasks {
            let lease = task.lease();
            self.leases.insert(0, lease);
        }
    }

    async fn confirm(&mut self, entries: &[(usize, Named, usize)], reacquires: bool) {
        let mut batch = Vec::new();
        for (client, named, payment) in entries {
            let client = self.clients[*client].clone();
            let payment = PaymentId::new(&format!("p{payment}")).unwrap();
            let booking = self.named(&client, *named).await;
            self.next_booking += 1;
            let reacquire = reacquires.then(|| BookingId::from_u128(self.next_booking));
            batch.push(Confirm { booking, client, payment, reacquire });
        }
        let lease = Duration::from_millis(50);
        let memory = self.memory.confirm(batch.clone(), lease).await.unwrap();
        assert_eq!(memory, self.redis.confirm(batch, lease).await.unwrap());
        for answer in memory {
            let task = match answer {
                Ok(Confirmed::Won(task, _) | Confirmed::Releasing(task)) => Some(task),
                Ok(Confirmed::Reacquired(task, _)) => task,
                _ => None,
            };
            self.leases.splice(0..0, task.map(|task| task.lease()));
        }
    }

    /// Everything that can be seen from outside.
    async fn compare(&mut self) {
        let memory = self.memory.status(self.clients.clone()).await.unwrap();
        assert_eq!(memory, self.redis.status(self.clients.clone()).await.unwrap());
        let memory = self.memory.waiting(None, Place::START, 10).await.unwrap();
        assert_eq!(memory, self.redis.waiting(None, Place::START, 10).await.unwrap());
        let items: Vec<Arc<str>> = ITEMS.map(Arc::from).to_vec();
        let memory = self.memory.items(items.clone()).await.unwrap();
        assert_eq!(memory, self.redis.items(items.clone()).await.unwrap());
        let memory = self.memory.closed_items(9).await.unwrap();
        assert_eq!(memory, self.redis.closed_items(9).await.unwrap());
        for item in items {
            let memory = self.memory.waiting(Some(item.clone()), Place::START, 3).await.unwrap();
            assert_eq!(memory, self.redis.waiting(Some(item), Place::START, 3).await.unwrap());
        }
        let memory = self.memory.snapshot().await.unwrap();
        let redis = self.redis.snapshot().await.unwrap();
        // One keeps single events, the other whole calls; and each has a name for its data.
        let plain = |snapshot| Snapshot { outbox: 0, epoch: String::new(), ..snapshot };
        assert_eq!(plain(memory), plain(redis));
        let memory = follow(&self.memory, &mut self.followed[0]).await;
        assert_eq!(memory, follow(&self.redis, &mut self.followed[1]).await);
    }
}

/// The events since the last look, without their place, which each store makes itself.
async fn follow(store: &dyn Store, after: &mut EventSeq) -> Vec<OutboxEvent> {
    let found = store.events(*after, 1000, Duration::ZERO).await.unwrap();
    assert!(!found.gap);
    assert!(found.events.iter().all(|event| event.seq() > *after));
    assert!(found.events.is_sorted_by(|a, b| a.seq() < b.seq()));
    *after = found.next;
    let without_place = |event| match event {
        OutboxEvent::Booking(event) => {
            OutboxEvent::Booking(Event { seq: EventSeq::START, ..event })
        }
        OutboxEvent::Item(event) => OutboxEvent::Item(ItemEvent { seq: EventSeq::START, ..event }),
    };
    found.events.into_iter().map(without_place).collect()
}

#[test]
fn redis_and_the_model_agree_on_everything_that_can_be_seen() {
    let server = RedisServer::start(Fsync::Off).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    let sequences = prop::collection::vec(step(), 1..60);
    let agree = TestRunner::new(config).run(&sequences, |steps| {
        runtime.block_on(run(&server, steps));
        Ok(())
    });
    if let Err(error) = agree {
        panic!("{error}");
    }
}

/// Runs one sequence; panics where the stores differ.
async fn run(server: &RedisServer, steps: Vec<Step>) {
    let mut pair = Pair::new(server).await;
    let mut before = Step::Advance(1);
    for step in steps {
        let step = if matches!(step, Step::Again) { before } else { step };
        pair.run(&step).await;
        pair.compare().await;
        before = step;
    }
}
