//! A sale of three items with random people, workers and holds: nobody is sent away while a ticket
//! may still be theirs, and nothing stays unsold while somebody waits.
//!
//! The Booking Service answers at one moment and a worker settles at another, in any order, so that
//! every interleaving of refusals, returns and claims comes up.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bookingq_core::{
    BookingId, BookingState, ClientId, Details, EventSeq, ItemChange, OutboxEvent, Outflow,
    PaymentId, RequestId, ReservationId, SaleRules, SoldOutRule, SoldOutRules, Timestamp,
};
use bookingq_queue::{
    Cancel, Confirm, Confirmed, Enqueue, PROBE_EVERY, Queue, Scope, Settlement, Task, TaskKind,
    TaskOutcome,
};
use proptest::prelude::*;

const HOLD: Duration = Duration::from_secs(30);
const LEASE: Duration = Duration::from_secs(3600);
const CLIENTS: u64 = 24;

/// One step of the random part.
#[derive(Debug, Clone)]
enum Step {
    Join {
        client: u64,
        item: usize,
        quantity: i32,
    },
    Claim {
        most: usize,
    },
    /// The Booking Service answers one of the tasks in hand.
    Answer {
        task: usize,
    },
    /// A worker settles one of the answered tasks.
    Settle {
        task: usize,
    },
    Pay {
        client: u64,
    },
    Cancel {
        client: u64,
    },
    Advance {
        seconds: u64,
    },
    Sweep,
    /// Another channel gives stock back, without a word.
    Return {
        item: usize,
        quantity: u64,
    },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..CLIENTS, 0..3usize, 1..4i32)
            .prop_map(|(client, item, quantity)| Step::Join { client, item, quantity }),
        4 => (1..6usize).prop_map(|most| Step::Claim { most }),
        8 => (0..8usize).prop_map(|task| Step::Answer { task }),
        8 => (0..8usize).prop_map(|task| Step::Settle { task }),
        2 => (0..CLIENTS).prop_map(|client| Step::Pay { client }),
        1 => (0..CLIENTS).prop_map(|client| Step::Cancel { client }),
        1 => (1..40u64).prop_map(|seconds| Step::Advance { seconds }),
        1 => Just(Step::Sweep),
        1 => (0..3usize, 1..3u64).prop_map(|(item, quantity)| Step::Return { item, quantity }),
    ]
}

/// The stock, as the strictest Booking Service keeps it.
#[derive(Default)]
struct Stock {
    left: HashMap<Arc<str>, u64>,
    reserved: HashMap<BookingId, (Arc<str>, u64)>,
    sold: HashMap<BookingId, (Arc<str>, u64)>,
    /// Whether it says how many are left.
    counts: bool,
}

impl Stock {
    fn answer(&mut self, task: &Task) -> TaskOutcome {
        let item = Arc::clone(&task.details.item);
        let wanted = u64::from(task.details.quantity.get());
        match &task.kind {
            _ if task.cancelled => TaskOutcome::GiveUp { reason: String::new() },
            TaskKind::Reserve => {
                let left = self.left.get_mut(&item).expect("a known item");
                if *left < wanted && !self.reserved.contains_key(&task.booking) {
                    let left = self.counts.then_some(*left);
                    return TaskOutcome::SoldOut { left, elsewhere: 0 };
                }
                if self.reserved.insert(task.booking, (item, wanted)).is_none() {
                    *left -= wanted;
                }
                let reservation = ReservationId::new("seat").expect("an id");
                TaskOutcome::Reserved {
                    reservation,
                    hold: HOLD,
                    left: self.counts.then_some(*left),
                }
            }
            TaskKind::Confirm { .. } => {
                let bought = self.reserved.remove(&task.booking).expect("a reservation");
                self.sold.insert(task.booking, bought);
                TaskOutcome::Confirmed
            }
            TaskKind::Release { .. } => {
                if let Some((item, quantity)) = self.reserved.remove(&task.booking) {
                    *self.left.get_mut(&item).expect("a known item") += quantity;
                }
                TaskOutcome::Released
            }
        }
    }

    fn may_come_back(&self, item: &str) -> bool {
        self.reserved.values().any(|(held, _)| &**held == item)
    }
}

struct Sale {
    queue: Queue,
    stock: Stock,
    now: Timestamp,
    names: [Arc<str>; 3],
    hand: Vec<Task>,
    answered: Vec<(Task, TaskOutcome)>,
    wants: HashMap<BookingId, (Arc<str>, u64)>,
    joined: u64,
    rules: SaleRules,
    /// When another channel last gave stock back.
    given_back: HashMap<Arc<str>, Timestamp>,
    /// The claims of the last minute.
    claimed: VecDeque<Timestamp>,
    seen: EventSeq,
}

impl Sale {
    fn new(rules: SaleRules, counts: bool) -> Self {
        let names = ["", "stalls", "front row"].map(Arc::from);
        let left = names.iter().cloned().zip([4, 7, 2]).collect();
        let now = Timestamp(1_800_000_000_000);
        let mut queue = Queue::new(Duration::from_secs(86_400), 100_000);
        queue.set_rules(rules.clone(), now);
        let stock = Stock { left, counts, ..Stock::default() };
        let (hand, answered, wants) = (Vec::new(), Vec::new(), HashMap::new());
        let (joined, seen) = (0, EventSeq::START);
        let (given_back, claimed) = (HashMap::new(), VecDeque::new());
        Self {
            queue,
            stock,
            now,
            names,
            hand,
            answered,
            wants,
            joined,
            rules,
            given_back,
            claimed,
            seen,
        }
    }

    fn client(number: u64) -> ClientId {
        ClientId::new(&format!("c{number}")).expect("an id")
    }

    fn run(&mut self, step: &Step) {
        match *step {
            Step::Join { client, item, quantity } => self.join(client, item, quantity),
            Step::Claim { most } => {
                let claim = self.queue.claim(most, LEASE, Scope::Everything, self.now);
                assert!(claim.tasks.len() <= most);
                let served = self.queue.snapshot(self.now);
                let limit = self.rules.outflow.max_holds.map_or(u64::MAX, u64::from);
                let took = claim.tasks.iter().any(|task| task.kind == TaskKind::Reserve);
                assert!(!took || served.holds + served.in_flight <= limit, "over maxHolds");
                self.hand.extend(claim.tasks);
            }
            Step::Answer { task } if task < self.hand.len() => {
                let task = self.hand.remove(task);
                let outcome = self.stock.answer(&task);
                self.answered.push((task, outcome));
            }
            Step::Settle { task } if task < self.answered.len() => {
                let (task, outcome) = self.answered.remove(task);
                let busy = Duration::ZERO;
                self.queue.settle(&Settlement { lease: task.lease(), outcome, busy }, self.now);
            }
            Step::Pay { client } => self.pay(client),
            Step::Cancel { client } => {
                let cancel = Cancel { client: Self::client(client), booking: None };
                let _ = self.queue.cancel(&cancel, self.now);
            }
            Step::Advance { seconds } => self.now = self.now + Duration::from_secs(seconds),
            Step::Sweep => drop(self.queue.sweep(100, self.now)),
            Step::Return { item, quantity } => {
                // Not while a refusal is under way: that answer is true of an earlier moment.
                let item = &self.names[item];
                if !self.answered.iter().any(|(task, _)| task.details.item == *item) {
                    *self.stock.left.get_mut(item).expect("a known item") += quantity;
                    self.given_back.insert(Arc::clone(item), self.now);
                }
            }
            Step::Answer { .. } | Step::Settle { .. } => {}
        }
        self.check_endings();
    }

    fn join(&mut self, client: u64, item: usize, quantity: i32) {
        self.joined += 1;
        let booking = BookingId::from_u128(u128::from(self.joined));
        let details = Details::new(&self.names[item], quantity, b"").expect("valid details");
        let wants = (Arc::clone(&details.item), u64::from(details.quantity.get()));
        let request = RequestId::new(&format!("r{}", self.joined)).expect("an id");
        let client = Self::client(client);
        let enqueue = Enqueue { client, request, booking, details, trace: None };
        if !self.queue.enqueue(&enqueue, self.now).expect("an open queue").existing {
            self.wants.insert(booking, wants);
        }
    }

    fn pay(&mut self, client: u64) {
        self.joined += 1;
        let id = BookingId::from_u128(u128::from(self.joined));
        let payment = PaymentId::new(&format!("p{client}")).expect("an id");
        let client = Self::client(client);
        let confirm = Confirm { client, booking: None, payment, reacquire: Some(id) };
        match self.queue.confirm(&confirm, LEASE, self.now) {
            Ok(Confirmed::Won(task, _) | Confirmed::Releasing(task)) => self.hand.push(*task),
            Ok(Confirmed::Reacquired(task, booking)) => {
                // It is told at once, and asked for its money back: it did not wait.
                assert_eq!(task.is_none(), booking.state == BookingState::SoldOut);
                self.hand.extend(task.map(|task| *task));
            }
            Ok(Confirmed::Repeated(_)) | Err(_) => {}
        }
    }

    /// Whoever waited and was sent away could not have had a ticket, then or from a hold.
    fn check_endings(&mut self) {
        let events = self.queue.events(self.seen, 100_000);
        assert!(!events.gap);
        self.seen = events.next;
        for event in events.events {
            match event {
                OutboxEvent::Booking(event) if event.to == BookingState::SoldOut => {
                    let Some((item, quantity)) = self.wants.get(&event.booking) else { continue };
                    if self.rules.sold_out.of(item) == SoldOutRule::End {
                        continue;
                    }
                    assert!(!self.stock.may_come_back(item), "holds of {item:?} may come back");
                    // What another channel gave back is found by a probe, one every five seconds.
                    let since = self.given_back.get(item).map(|at| self.now.since(*at));
                    if since.is_none_or(|since| since > PROBE_EVERY) {
                        let left = self.stock.left[item];
                        assert!(left < *quantity, "{left} of {item:?} are left for {quantity}");
                    }
                }
                OutboxEvent::Item(event) => {
                    if let ItemChange::Parked { places, .. } = event.change {
                        assert!(places.is_sorted() && !places.is_empty());
                    }
                }
                OutboxEvent::Booking(event) if event.from == Some(BookingState::Queued) => {
                    if event.to == BookingState::Reserving {
                        self.check_outflow(event.at);
                    }
                }
                OutboxEvent::Booking(_) => {}
            }
        }
    }

    /// No minute has more claims than the rules allow.
    fn check_outflow(&mut self, at: Timestamp) {
        self.claimed.push_back(at);
        while at.since(self.claimed[0]) > Duration::from_secs(60) {
            self.claimed.pop_front();
        }
        let limit = self.rules.outflow.per_minute.map_or(usize::MAX, |most| most as usize);
        assert!(self.claimed.len() <= limit, "over the outflow");
    }

    /// Serves until nothing happens any more. Every other reservation is paid.
    fn drain(&mut self) {
        for round in 0..900u64 {
            while !self.hand.is_empty() {
                self.run(&Step::Answer { task: 0 });
            }
            while !self.answered.is_empty() {
                self.run(&Step::Settle { task: 0 });
            }
            if round % 2 == 0 {
                self.run(&Step::Pay { client: round / 2 % CLIENTS });
            }
            self.run(&Step::Sweep);
            self.run(&Step::Claim { most: 5 });
            self.run(&Step::Advance { seconds: 1 });
        }
    }
}

fn sale(rule: SoldOutRule) -> SaleRules {
    let sold_out = SoldOutRules { default: rule, ..SoldOutRules::default() };
    SaleRules { sold_out, ..SaleRules::default() }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn nobody_is_sent_away_and_nothing_stays_unsold_while_somebody_waits(
        steps in prop::collection::vec(step(), 0..160), counts in any::<bool>(),
    ) {
        let mut sale = Sale::new(sale(SoldOutRule::Wait), counts);
        for step in &steps {
            sale.run(step);
        }
        sale.drain();
        let end = sale.queue.snapshot(sale.now);
        prop_assert_eq!((end.backlog, end.parked, end.in_flight, end.holds), (0, 0, 0, 0));
        prop_assert!(sale.stock.reserved.is_empty(), "a reservation is forgotten");
        for item in sale.queue.closed_items(9) {
            prop_assert_eq!((item.unsettled, item.waiting), (0, 0), "{:?}", item);
        }
    }

    #[test]
    fn a_limited_sale_ends_as_well_and_keeps_its_limits(
        steps in prop::collection::vec(step(), 0..120), per_minute in 12u32..60,
        max_holds in 1u32..6,
    ) {
        let outflow =
            Outflow { per_minute: Some(per_minute), burst: None, max_holds: Some(max_holds) };
        let mut sale = Sale::new(SaleRules { outflow, ..SaleRules::default() }, true);
        for step in &steps {
            sale.run(step);
        }
        sale.drain();
        let end = sale.queue.snapshot(sale.now);
        prop_assert_eq!((end.backlog, end.parked, end.in_flight, end.holds), (0, 0, 0, 0));
    }

    #[test]
    fn under_the_rule_end_nobody_waits_for_a_sold_out_item(
        steps in prop::collection::vec(step(), 0..120),
    ) {
        let mut sale = Sale::new(sale(SoldOutRule::End), false);
        for step in &steps {
            sale.run(step);
        }
        sale.drain();
        let end = sale.queue.snapshot(sale.now);
        prop_assert_eq!((end.backlog, end.parked, end.in_flight, end.holds), (0, 0, 0, 0));
    }
}

/// What one of three workers does next: claim, call the Booking Service, settle.
fn turn(
    sale: &mut Sale,
    worker: usize,
    stage: usize,
    tasks: &mut [Option<(Task, TaskOutcome)>; 3],
) {
    match (stage, tasks[worker].take()) {
        (0, None) => {
            let task = sale.queue.claim(1, LEASE, Scope::Everything, sale.now).tasks.pop();
            let nothing = TaskOutcome::Released;
            tasks[worker] = task.map(|task| (task, nothing));
        }
        (1, Some((task, _))) => {
            let outcome = sale.stock.answer(&task);
            tasks[worker] = Some((task, outcome));
        }
        (2, Some((task, outcome))) => {
            let lease = task.lease();
            let busy = Duration::ZERO;
            sale.queue.settle(&Settlement { lease, outcome, busy }, sale.now);
        }
        _ => {}
    }
    sale.check_endings();
}

/// Calls `visit` with every order in which three workers take three turns each.
fn orders(order: &mut Vec<usize>, left: [usize; 3], visit: &mut impl FnMut(&[usize])) {
    if left == [0; 3] {
        visit(order);
    }
    for worker in 0..3 {
        if left[worker] > 0 {
            let mut rest = left;
            rest[worker] -= 1;
            order.push(worker);
            orders(order, rest, visit);
            order.pop();
        }
    }
}

/// One of the three releases the only front row seats, the others meet the item closed or open, so
/// that a refusal comes before, between and after the call and the settlement of the release.
#[test]
fn a_refusal_from_before_a_release_never_closes_what_came_back() {
    let mut tried = 0;
    for was_closed in [false, true] {
        orders(&mut Vec::new(), [3; 3], &mut |order| {
            let mut sale = Sale::new(SaleRules::default(), false);
            let front_row = 2;
            sale.join(0, front_row, 2);
            for step in
                [Step::Claim { most: 1 }, Step::Answer { task: 0 }, Step::Settle { task: 0 }]
            {
                sale.run(&step);
            }
            for client in 1..5 {
                sale.join(client, front_row, 1);
            }
            if was_closed {
                for step in
                    [Step::Claim { most: 1 }, Step::Answer { task: 0 }, Step::Settle { task: 0 }]
                {
                    sale.run(&step);
                }
            }
            sale.run(&Step::Advance { seconds: 30 });
            sale.run(&Step::Sweep);
            let (mut stages, mut tasks) = ([0; 3], [None, None, None]);
            for &worker in order {
                turn(&mut sale, worker, stages[worker], &mut tasks);
                stages[worker] += 1;
            }
            // Both seats are given at once, without waiting for a probe.
            for _ in 0..6 {
                sale.run(&Step::Claim { most: 3 });
                while !sale.hand.is_empty() {
                    sale.run(&Step::Answer { task: 0 });
                }
                while !sale.answered.is_empty() {
                    sale.run(&Step::Settle { task: 0 });
                }
            }
            let served = sale.queue.snapshot(sale.now);
            assert_eq!((served.holds, sale.stock.left["front row"]), (2, 0), "{order:?}");
            tried += 1;
        });
    }
    assert_eq!(tried, 2 * 1680);
}
