//! A sale of three items: its queue, its Booking Service, and what is checked after each step.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bookingq_core::{
    BookingId, BookingState, ClientId, Details, Event, EventSeq, ItemChange, OutboxEvent, Outcome,
    PaymentId, RequestId, ReservationId, SaleRules, SoldOutRule, Timestamp,
};
use bookingq_queue::{
    Cancel, Confirm, Confirmed, Enqueue, Queue, Scope, Settlement, Task, TaskKind, TaskOutcome, Try,
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
    /// A worker loses one of its tasks, whose call is still under way: it gives up on the answer
    /// and settles a retry, or it is killed.
    Lose {
        task: usize,
        settles: bool,
    },
    /// A call that no worker waits for arrives at the Booking Service.
    Arrive {
        call: usize,
    },
    /// From now on the Booking Service rejects new bookings, or accepts them again.
    Reject(bool),
}

/// The stock, as the strictest Booking Service keeps it.
#[derive(Default)]
pub struct Stock {
    pub left: HashMap<Arc<str>, u64>,
    pub reserved: HashMap<BookingId, (Arc<str>, u64)>,
    sold: HashMap<BookingId, (Arc<str>, u64)>,
    released: HashSet<BookingId>,
    rejects: bool,
    /// Whether it says how many are left.
    counts: bool,
}

impl Stock {
    pub fn answer(&mut self, task: &Task) -> TaskOutcome {
        let item = Arc::clone(&task.details.item);
        let wanted = u64::from(task.details.quantity.get());
        let known = [&self.reserved, &self.sold];
        let is_new = known.iter().all(|bookings| !bookings.contains_key(&task.booking));
        match &task.kind {
            _ if task.cancelled => TaskOutcome::GiveUp { reason: String::new() },
            TaskKind::Reserve if self.released.contains(&task.booking) => {
                TaskOutcome::Rejected { reason: "released before".to_owned() }
            }
            TaskKind::Reserve if self.rejects && is_new => {
                TaskOutcome::Rejected { reason: String::new() }
            }
            TaskKind::Reserve => {
                let left = self.left.get_mut(&item).expect("a known item");
                if *left < wanted && is_new {
                    let left = self.counts.then_some(*left);
                    return TaskOutcome::SoldOut { left, elsewhere: 0 };
                }
                if is_new {
                    *left -= wanted;
                    self.reserved.insert(task.booking, (item, wanted));
                }
                let reservation = ReservationId::new("seat").expect("an id");
                TaskOutcome::Reserved {
                    reservation,
                    hold: HOLD,
                    left: self.counts.then_some(*left),
                }
            }
            TaskKind::Confirm { .. } => {
                if !self.sold.contains_key(&task.booking) {
                    let bought = self.reserved.remove(&task.booking).expect("a reservation");
                    self.sold.insert(task.booking, bought);
                }
                TaskOutcome::Confirmed
            }
            TaskKind::Release { .. } => {
                self.released.insert(task.booking);
                if let Some((item, quantity)) = self.reserved.remove(&task.booking) {
                    *self.left.get_mut(&item).expect("a known item") += quantity;
                }
                TaskOutcome::Released
            }
        }
    }

    /// The bookings that have a reservation of the item.
    fn holders(&self, item: &str) -> impl Iterator<Item = &BookingId> {
        self.reserved.iter().filter(move |(_, (held, _))| &**held == item).map(|(id, _)| id)
    }
}

pub struct Sale {
    pub queue: Queue,
    pub stock: Stock,
    pub now: Timestamp,
    names: [Arc<str>; 3],
    pub hand: Vec<Task>,
    pub answered: Vec<(Task, TaskOutcome)>,
    /// Calls that no worker waits for.
    pub lost: Vec<Task>,
    pub lease: Duration,
    states: HashMap<BookingId, BookingState>,
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
        let (hand, answered, lost, wants) = (Vec::new(), Vec::new(), Vec::new(), HashMap::new());
        let (joined, seen) = (0, EventSeq::START);
        let (given_back, ended, claimed) = (HashMap::new(), HashMap::new(), VecDeque::new());
        Self {
            queue,
            stock,
            now,
            names,
            hand,
            answered,
            lost,
            lease: LEASE,
            states: HashMap::new(),
            wants,
            joined,
            rules,
            given_back,
            ended,
            claimed,
            seen,
        }
    }

    pub fn client(number: u64) -> ClientId {
        ClientId::new(&format!("c{number}")).expect("an id")
    }

    pub fn run(&mut self, step: &Step) {
        match *step {
            Step::Join { client, item, quantity } => self.join(client, item, quantity),
            Step::Claim { most } => {
                let claim = self.queue.claim(most, self.lease, Scope::Everything, self.now);
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
            Step::Lose { task, settles } if task < self.hand.len() => self.lose(task, settles),
            Step::Arrive { call } if call < self.lost.len() => {
                self.stock.answer(&self.lost.remove(call));
            }
            Step::Reject(rejects) => self.stock.rejects = rejects,
            Step::Answer { .. } | Step::Settle { .. } | Step::Lose { .. } | Step::Arrive { .. } => {
            }
        }
        self.check_endings();
    }

    fn lose(&mut self, task: usize, settles: bool) {
        let task = self.hand.remove(task);
        if settles {
            let outcome = TaskOutcome::Retry { after: Duration::from_secs(1), counts: Try::Counts };
            let (lease, busy) = (task.lease(), Duration::ZERO);
            self.queue.settle(&Settlement { lease, outcome, busy }, self.now);
        }
        if !task.cancelled {
            self.lost.push(task);
        }
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
        match self.queue.confirm(&confirm, self.lease, self.now) {
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
                OutboxEvent::Booking(event) => {
                    self.states.insert(event.booking, event.to);
                    self.check_sent_away(&event);
                    let is_claim = event.to == BookingState::Reserving;
                    if is_claim && event.from == Some(BookingState::Queued) {
                        self.check_outflow(event.at);
                    }
                }
                OutboxEvent::Item(event) => match event.change {
                    ItemChange::Parked { places, .. } => {
                        assert!(places.is_sorted() && !places.is_empty());
                    }
                    ItemChange::Ended => drop(self.ended.insert(event.item, event.at)),
                    ItemChange::SoldOut { .. } | ItemChange::Open => {}
                },
            }
        }
    }

    fn check_sent_away(&self, event: &Event) {
        let is_released =
            event.outcome == Some(Outcome::SoldOut) && event.from != Some(BookingState::Releasing);
        let ends = event.to == BookingState::SoldOut && event.from != Some(BookingState::Releasing);
        let Some((item, quantity)) = self.wants.get(&event.booking) else { return };
        if !(is_released || ends) || self.rules.sold_out.of(item) == SoldOutRule::End {
            return;
        }
        // What a late Reserve of a waiting client reserved is that client's: it is asked again
        // before the item ends.
        let is_asked_again = |booking: &BookingId| {
            let waits = self.states.get(booking) == Some(&BookingState::Queued);
            is_released && (*booking == event.booking || waits)
        };
        let others = self.stock.holders(item).find(|booking| !is_asked_again(booking));
        assert_eq!(others, None, "a hold of {item:?} may come back");
        // What another channel gave back after the end is for clients that join later.
        let ended = self.ended.get(item).copied();
        if self.given_back.get(item).is_none_or(|given| Some(*given) < ended) {
            let left = self.stock.left[item];
            assert!(left < *quantity, "{left} of {item:?} are left for {quantity}");
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
