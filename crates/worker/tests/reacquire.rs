//! Payments against the deadline, 10,000 times: each payment buys exactly one booking or is
//! refused, whichever comes first, and nothing is sold twice.

#![allow(missing_docs, clippy::unwrap_used)]

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use bookingq_core::{
    BookingId, BookingState, ClientId, Details, PaymentId, QueueName, Refusal, RequestId,
    ReservationId, Timestamp,
};
use bookingq_store::memory::{Clock, ManualClock};
use bookingq_store::{
    Confirm, Confirmed, Enqueue, MemoryConfig, Scope, Settlement, Store, Task, TaskKind,
    TaskOutcome,
};
use parking_lot::Mutex;

const HOLD: Duration = Duration::from_secs(1);
const LEASE: Duration = Duration::from_secs(60);
const ROUNDS: u64 = 100;
const CLIENTS: u64 = STOCK as u64 + 2;
/// Two clients more wait: some that pay too late find that others have taken their stock.
const STOCK: usize = 100;

/// The Booking Service, as its contract says.
#[derive(Default)]
struct Ledger {
    held: HashSet<BookingId>,
    released: HashSet<BookingId>,
    confirmed: HashMap<PaymentId, BookingId>,
}

impl Ledger {
    fn perform(&mut self, task: &Task) -> TaskOutcome {
        match &task.kind {
            TaskKind::Reserve if self.released.contains(&task.booking) => {
                TaskOutcome::Rejected { reason: "released".into() }
            }
            TaskKind::Reserve if self.held.len() + self.confirmed.len() >= STOCK => {
                TaskOutcome::SOLD_OUT
            }
            TaskKind::Reserve => {
                self.held.insert(task.booking);
                let reservation = ReservationId::new(&format!("r-{}", task.booking)).unwrap();
                TaskOutcome::Reserved { reservation, hold: HOLD, left: None }
            }
            TaskKind::Confirm { payment, .. } => {
                assert!(self.held.remove(&task.booking), "confirmed without a reservation");
                let earlier = self.confirmed.insert(payment.clone(), task.booking);
                assert_eq!(earlier, None, "one payment bought two bookings");
                TaskOutcome::Confirmed
            }
            TaskKind::Release { .. } => {
                self.held.remove(&task.booking);
                self.released.insert(task.booking);
                TaskOutcome::Released
            }
        }
    }
}

/// One queue whose tasks are executed by the one that holds them.
struct Race {
    store: Arc<dyn Store>,
    clock: ManualClock,
    ledger: Mutex<Ledger>,
}

impl Race {
    fn new() -> Arc<Self> {
        let clock = ManualClock::new(Timestamp(1_800_000_000_000));
        let config = MemoryConfig {
            clock: Clock::Manual(clock.clone()),
            ..MemoryConfig::new(QueueName::new("concert").unwrap())
        };
        let store = bookingq_store::open(config).unwrap();
        Arc::new(Self { store, clock, ledger: Mutex::default() })
    }

    async fn execute(&self, task: &Task) {
        let outcome = self.ledger.lock().perform(task);
        let settlement = Settlement { lease: task.lease(), outcome, busy: Duration::ZERO };
        self.store.settle(vec![settlement]).await.unwrap();
    }

    /// Executes all that is due. Returns whether there was something.
    async fn work(&self) -> bool {
        let claim = self.store.claim(16, LEASE, Scope::Everything).await.unwrap();
        for task in &claim.tasks {
            self.execute(task).await;
            tokio::task::yield_now().await;
        }
        !claim.tasks.is_empty()
    }

    /// Pays, and repeats as the contract says, until there is an answer for good.
    async fn pay(&self, client: ClientId) -> Result<BookingId, Refusal> {
        let payment = PaymentId::new(&format!("p-{client}")).unwrap();
        let reacquire = Some(BookingId::generate());
        let confirm = Confirm { client: client.clone(), booking: None, payment, reacquire };
        loop {
            match self.store.confirm(vec![confirm.clone()], LEASE).await.unwrap().remove(0) {
                Ok(Confirmed::Won(task, _) | Confirmed::Releasing(task)) => {
                    self.execute(&task).await;
                }
                Ok(Confirmed::Reacquired(Some(task), _)) => self.execute(&task).await,
                Ok(Confirmed::Repeated(booking) | Confirmed::Reacquired(None, booking)) => {
                    if booking.state == BookingState::Confirmed {
                        return Ok(booking.id);
                    }
                    if booking.state.is_final() {
                        return Err(Refusal::AlreadyFinal(booking.state));
                    }
                }
                Err(Refusal::HoldExpired) => {}
                Err(refusal) => return Err(refusal),
            }
            tokio::task::yield_now().await;
        }
    }
}

async fn reserve_all(race: &Race) -> Vec<ClientId> {
    let clients: Vec<ClientId> =
        (0..CLIENTS).map(|n| ClientId::new(&format!("c{n}")).unwrap()).collect();
    let batch = clients.iter().map(|client| Enqueue {
        client: client.clone(),
        request: RequestId::new("r").unwrap(),
        booking: BookingId::generate(),
        details: Details::default(),
        trace: None,
    });
    race.store.enqueue(batch.collect()).await.unwrap();
    while race.work().await {}
    clients
}

async fn round() -> (usize, u64) {
    let race = Race::new();
    let clients = reserve_all(&race).await;
    let held = clients.iter().take(STOCK).cloned();
    let payers: Vec<_> = held
        .map(|client| {
            let race = Arc::clone(&race);
            tokio::spawn(async move {
                let answer = race.pay(client.clone()).await;
                (client, answer)
            })
        })
        .collect();
    let late = Arc::clone(&race);
    let worker = tokio::spawn(async move {
        tokio::task::yield_now().await;
        late.clock.advance(HOLD);
        loop {
            late.store.sweep(8).await.unwrap();
            late.work().await;
            tokio::task::yield_now().await;
        }
    });
    let mut sold = 0;
    for payer in payers {
        let (client, answer) = payer.await.unwrap();
        let ledger = race.ledger.lock();
        let bought = ledger.confirmed.get(&PaymentId::new(&format!("p-{client}")).unwrap());
        match answer {
            Ok(booking) => assert_eq!(bought, Some(&booking)),
            Err(Refusal::AlreadyFinal(BookingState::SoldOut)) => assert_eq!(bought, None),
            Err(other) => panic!("{client}: {other}"),
        }
        sold += usize::from(bought.is_some());
    }
    worker.abort();
    let totals = race.store.snapshot().await.unwrap().totals;
    assert_eq!(sold as u64, totals.confirmed);
    assert!(race.ledger.lock().held.len() + sold <= STOCK);
    (sold, totals.reacquired)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_payments_against_the_deadline_buy_one_booking_each_or_none() {
    let (mut sold, mut reacquired) = (0, 0);
    let trials = async {
        for _ in 0..ROUNDS {
            let (round_sold, round_reacquired) = round().await;
            sold += round_sold;
            reacquired += round_reacquired;
        }
    };
    tokio::time::timeout(Duration::from_secs(300), trials).await.unwrap();
    let trials = (ROUNDS * STOCK as u64) as usize;
    assert!(reacquired > 0, "no payment came too late");
    assert!((reacquired as usize) < trials, "every payment came too late");
    assert!(sold > trials / 2, "{sold} of {trials}");
}
