//! Random sales on the reference engine: the audit finds nothing wrong, whatever is returned,
//! cancelled, answered late or paid late.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bookingq_check::{Answers, AuditLog, AuditTerms, Evidence, Moment, Verification};
use bookingq_core::{
    BookingId, ClientId, Details, EventSeq, Outflow, PaymentId, RequestId, ReservationId,
    SaleRules, SoldOutRule, SoldOutRules, Timestamp,
};
use bookingq_queue::{
    Cancel, Confirm, Confirmed, Enqueue, Queue, Scope, Settlement, Task, TaskKind, TaskOutcome,
};
use bookingq_sim::ledger::{Ledger, ReleaseAnswer, ReserveAnswer, Ruling};
use proptest::prelude::*;
use proptest::sample::Index;

const HOLD: Duration = Duration::from_secs(10);
/// After every time of the ledger, whose clock is not the queue's.
const START: Timestamp = Timestamp(4_000_000_000_000);
const LEASE: Duration = Duration::from_secs(3);
const ITEMS: &[&str] = &["A", "B", "ends"];

/// What happens next; the numbers choose who does it, and how much.
#[derive(Debug, Clone)]
enum Step {
    Join {
        item: &'static str,
        quantity: i32,
    },
    Claim {
        most: usize,
    },
    /// The Booking Service acts; the worker does not know yet.
    Call(Index),
    /// The answer arrives.
    Settle(Index),
    Pay(Index),
    Cancel(Index),
    Sweep,
    Pass {
        ms: u64,
    },
    /// Another channel gives one back, of those that it announced.
    Restock(&'static str),
}

fn step() -> impl Strategy<Value = Step> {
    let index = any::<Index>;
    let item = || prop::sample::select(ITEMS);
    prop_oneof![
        4 => (item(), 1..5i32).prop_map(|(item, quantity)| Step::Join { item, quantity }),
        5 => (1..5usize).prop_map(|most| Step::Claim { most }),
        6 => index().prop_map(Step::Call),
        6 => index().prop_map(Step::Settle),
        2 => index().prop_map(Step::Pay),
        1 => index().prop_map(Step::Cancel),
        1 => Just(Step::Sweep),
        3 => (0..6000u64).prop_map(|ms| Step::Pass { ms }),
        1 => item().prop_map(Step::Restock),
    ]
}

/// A queue with a Booking Service and the calls in flight.
struct Sale {
    queue: Queue,
    ledger: Ledger,
    calls: Vec<(Task, Option<TaskOutcome>)>,
    clients: u64,
    bookings: u128,
    now: Timestamp,
    rules: SaleRules,
}

impl Sale {
    fn new() -> Self {
        let items = [("ends".into(), SoldOutRule::End)].into();
        let rules = SaleRules {
            opens_at: Some(START + Duration::from_secs(5)),
            outflow: Outflow { per_minute: Some(40), burst: None, max_holds: Some(8) },
            sold_out: SoldOutRules { items, ..SoldOutRules::default() },
        };
        let mut queue = Queue::new(Duration::from_secs(3600), 1_000_000);
        queue.set_rules(rules.clone(), START);
        let stock: BTreeMap<_, _> = ITEMS.iter().map(|item| (Arc::from(*item), 5)).collect();
        let mut ledger = Ledger::with_items(5, &stock);
        for item in ITEMS {
            ledger.announce(item, 2);
        }
        Self { queue, ledger, calls: Vec::new(), clients: 0, bookings: 0, now: START, rules }
    }

    fn next_booking(&mut self) -> BookingId {
        self.bookings += 1;
        BookingId::from_u128(self.bookings)
    }

    fn client(&self, of: Index) -> ClientId {
        ClientId::new(&format!("c{}", of.index(self.clients.max(1) as usize))).unwrap()
    }

    fn apply(&mut self, step: &Step) {
        match step {
            Step::Join { item, quantity } => {
                let client = ClientId::new(&format!("c{}", self.clients)).unwrap();
                self.clients += 1;
                let details = Details::new(item, *quantity, b"").unwrap();
                let (request, booking) = (RequestId::new("r").unwrap(), self.next_booking());
                let enqueue = Enqueue { client, request, booking, details, trace: None };
                self.queue.enqueue(&enqueue, self.now).unwrap();
            }
            Step::Claim { most } => {
                let claim = self.queue.claim(*most, LEASE, Scope::Everything, self.now);
                claim.tasks.into_iter().for_each(|task| self.begin(task));
            }
            Step::Call(of) if !self.calls.is_empty() => {
                let at = of.index(self.calls.len());
                let (task, answer) = &mut self.calls[at];
                if answer.is_none() {
                    *answer = Some(call(&mut self.ledger, task));
                }
            }
            Step::Settle(of) if !self.calls.is_empty() => {
                if let (task, Some(outcome)) = self.calls.swap_remove(of.index(self.calls.len())) {
                    let (lease, busy) = (task.lease(), Duration::ZERO);
                    self.queue.settle(&Settlement { lease, outcome, busy }, self.now);
                }
            }
            Step::Pay(of) => self.pay(self.client(*of)),
            Step::Cancel(of) => {
                let cancel = Cancel { client: self.client(*of), booking: None };
                let _ = self.queue.cancel(&cancel, self.now);
            }
            Step::Sweep => drop(self.queue.sweep(100, self.now)),
            Step::Pass { ms } => self.now = self.now + Duration::from_millis(*ms),
            Step::Restock(item) => {
                if self.ledger.items()[*item].held_elsewhere > 0 {
                    self.ledger.restock(item, 1);
                    self.queue.restocked(&Arc::from(*item), None, self.now);
                }
            }
            Step::Call(_) | Step::Settle(_) => {}
        }
    }

    fn pay(&mut self, client: ClientId) {
        let payment = PaymentId::new("card").unwrap();
        let reacquire = Some(self.next_booking());
        let confirm = Confirm { client, booking: None, payment, reacquire };
        let task = match self.queue.confirm(&confirm, LEASE, self.now) {
            Ok(Confirmed::Won(task, _) | Confirmed::Releasing(task)) => Some(task),
            Ok(Confirmed::Reacquired(task, _)) => task,
            Ok(Confirmed::Repeated(_)) | Err(_) => None,
        };
        if let Some(task) = task {
            self.begin(*task);
        }
    }

    fn begin(&mut self, task: Task) {
        self.calls.push((task, None));
    }

    fn history(&self) -> String {
        let events = self.queue.events(EventSeq::START, usize::MAX).events;
        events.iter().map(|event| serde_json::to_string(event).unwrap() + "\n").collect()
    }

    fn verify(&self) -> Verification {
        let terms = AuditTerms {
            hold: Some(HOLD),
            rules: Some(self.rules.clone()),
            ..AuditTerms::default()
        };
        let mut log = AuditLog::new(terms);
        log.observe(&self.queue.events(EventSeq::START, usize::MAX).events);
        let bookings = (0..self.clients)
            .filter_map(|n| self.queue.status(&ClientId::new(&format!("c{n}")).unwrap()));
        let ledger = Some(self.ledger.copy());
        let evidence = Evidence { bookings: bookings.collect(), ledger, whole: None };
        log.verify(&Answers::new(0, 0), &evidence, Moment::InMotion)
    }
}

/// The Booking Service's answer to a task.
fn call(ledger: &mut Ledger, task: &Task) -> TaskOutcome {
    let (id, client) = (task.booking.to_string(), task.client.as_str());
    match &task.kind {
        TaskKind::Reserve if task.cancelled => TaskOutcome::GiveUp { reason: "left".to_owned() },
        TaskKind::Reserve => {
            let (item, quantity) = (&task.details.item, task.details.quantity.get().into());
            match ledger.reserve(&id, "q", client, item, quantity, Ruling::Allow) {
                ReserveAnswer::Reserved { reservation, left } => TaskOutcome::Reserved {
                    reservation: ReservationId::new(&reservation).unwrap(),
                    hold: HOLD,
                    left: Some(left),
                },
                ReserveAnswer::SoldOut { left, held_elsewhere } => {
                    TaskOutcome::SoldOut { left: Some(left), elsewhere: held_elsewhere }
                }
                ReserveAnswer::Rejected(reason) => TaskOutcome::Rejected { reason: reason.into() },
            }
        }
        TaskKind::Confirm { .. } => {
            ledger.confirm(&id, Ruling::Allow);
            TaskOutcome::Confirmed
        }
        TaskKind::Release { .. } => match ledger.release(&id, "q", client) {
            ReleaseAnswer::Released => TaskOutcome::Released,
            ReleaseAnswer::Confirmed => TaskOutcome::Confirmed,
        },
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        cases: 200,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_sale_on_the_reference_engine_is_clean(steps in prop::collection::vec(step(), 0..400)) {
        let mut sale = Sale::new();
        for step in &steps {
            sale.apply(step);
        }
        let violations = sale.verify().violations;
        prop_assert!(violations.is_clean(), "{violations:?}\n{}", sale.history());
    }
}
