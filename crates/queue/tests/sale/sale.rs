//! A sale of three items: its queue, its Booking Service, and what is checked after each step.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bookingq_core::{
    BookingId, BookingState, ClientId, Details, EventSeq, ItemChange, OutboxEvent, PaymentId,
    RequestId, ReservationId, SaleRules, SoldOutRule, Timestamp,
};
use bookingq_queue::{
    Cancel, Confirm, Confirmed, Enqueue, Queue, Scope, Settlement, Task, TaskKind, TaskOutcome,
};
const HOLD: Duration = Duration::from_secs(30);
pub const LEASE: Duration = Duration::from_secs(3600);
pub const CLIENTS: u64 = 24;

/// One step of the random part.
#[derive(Debug, Clone)]
pub enum Step {
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

/// The stock, as the strictest Booking Service keeps it.
#[derive(Default)]
pub struct Stock {
    pub left: HashMap<Arc<str>, u64>,
    pub reserved: HashMap<BookingId, (Arc<str>, u64)>,
    sold: HashMap<BookingId, (Arc<str>, u64)>,
    /// Whether it says how many are left.
    counts: bool,
}

impl Stock {
    pub fn answer(&mut self, task: &Task) -> TaskOutcome {
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

pub struct Sale {
    pub queue: Queue,
    pub stock: Stock,
    pub now: Timestamp,
    names: [Arc<str>; 3],
    pub hand: Vec<Task>,
    pub answered: Vec<(Task, TaskOutcome)>,
    wants: HashMap<BookingId, (Arc<str>, u64)>,
    joined: u64,
    rules: SaleRules,
    /// When another channel last gave stock back.
    given_back: HashMap<Arc<str>, Timestamp>,
    /// When items ended.
    ended: HashMap<Arc<str>, Timestamp>,
    /// The claims of the last minute.
    claimed: VecDeque<Timestamp>,
    seen: EventSeq,
}

impl Sale {
    pub fn new(rules: SaleRules, counts: bool) -> Self {
        let names = ["", "stalls", "front row"].map(Arc::from);
        let left = names.iter().cloned().zip([4, 7, 2]).collect();
        let now = Timestamp(1_800_000_000_000);
        let mut queue = Queue::new(Duration::from_secs(86_400), 100_000);
        queue.set_rules(rules.clone(), now);
        let stock = Stock { left, counts, ..Stock::default() };
        let (hand, answered, wants) = (Vec::new(), Vec::new(), HashMap::new());
        let (joined, seen) = (0, EventSeq::START);
        let (given_back, ended, claimed) = (HashMap::new(), HashMap::new(), VecDeque::new());
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
            ended,
            claimed,
            seen,
        }
    }

    fn client(number: u64) -> ClientId {
        ClientId::new(&format!("c{number}")).expect("an id")
    }

    pub fn run(&mut self, step: &Step) {
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

    pub fn join(&mut self, client: u64, item: usize, quantity: i32) {
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
                assert_eq!(task.is_none(), booking.state == BookingState::SoldOut);
                self.hand.extend(task.map(|task| *task));
            }
            Ok(Confirmed::Repeated(_)) | Err(_) => {}
        }
    }

    /// A client that waited and was sent away could not have had a ticket, then or from a hold.
    pub fn check_endings(&mut self) {
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
                    // What another channel gave back after the end is for clients that join later.
                    let ended = self.ended.get(item).copied();
                    if self.given_back.get(item).is_none_or(|given| Some(*given) < ended) {
                        let left = self.stock.left[item];
                        assert!(left < *quantity, "{left} of {item:?} are left for {quantity}");
                    }
                }
                OutboxEvent::Item(event) => match event.change {
                    ItemChange::Parked { places, .. } => {
                        assert!(places.is_sorted() && !places.is_empty());
                    }
                    ItemChange::Ended => drop(self.ended.insert(event.item, event.at)),
                    ItemChange::SoldOut { .. } | ItemChange::Open => {}
                },
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
    pub fn drain(&mut self) {
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
