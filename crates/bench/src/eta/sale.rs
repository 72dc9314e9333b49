//! A simulated sale in virtual time: discrete events on the real engine and the real planner.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use bookingq_core::autoscale::driver::{Measurement, ScalingDriver};
use bookingq_core::eta::{Departure, Eta, EtaReading, Forecaster};
use bookingq_core::line::Line;
use bookingq_core::pace::Pace;
use bookingq_core::{
    BookingId, BookingState, ClientId, Details, EventSeq, ItemChange, OutboxEvent, PaymentId,
    Place, RequestId, ReservationId, SaleRules, Timestamp,
};
use bookingq_queue::{
    Cancel, Confirm, Confirmed, Enqueue, Lease, Queue, Scope, Settlement, Task, TaskKind,
    TaskOutcome, Try,
};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use super::promise::{Promise, SalePhase};
use super::script::SaleScript;

const START: Timestamp = Timestamp(1_800_000_000_000);
const LEASE: Duration = Duration::from_secs(60);
const HOLD: Duration = Duration::from_secs(120);
const SECOND: Duration = Duration::from_secs(1);
const MILLISECOND: Duration = Duration::from_millis(1);
/// Time between two decisions of the operator.
const SCALE_EVERY: Duration = Duration::from_secs(2);
/// From the start of an outage until the calls time out and the circuit breakers open.
const NOTICED: Duration = Duration::from_secs(2);
/// Promises that are read in each second.
const PROMISES: u64 = 6;

/// What happens next in a sale.
enum SaleStep {
    Join,
    Cancel(ClientId),
    Pay(ClientId),
    Done(Box<Settlement>),
    Claim,
    Ready(u32),
    Scale,
    Read,
}

/// A running sale.
pub struct SimulatedSale {
    script: SaleScript,
    rng: StdRng,
    now: Timestamp,
    steps: BTreeMap<(Timestamp, u64), SaleStep>,
    numbered: u64,
    queue: Queue,
    seen: EventSeq,
    line: Line,
    forecaster: Forecaster,
    pace: Pace,
    scaling: ScalingDriver,
    /// Workers that the planner wants, and workers that serve.
    wanted: u32,
    workers: u32,
    busy: u64,
    stock: u64,
    /// The next claim that is planned.
    wakes: Timestamp,
    /// Service times wander: the present factor.
    drift: f64,
    lengths: Vec<u64>,
    open: HashMap<Place, Vec<Promise>>,
    kept: Vec<Promise>,
}

impl SimulatedSale {
    /// Runs a sale to its end; returns the promises whose true wait is known.
    pub fn run(script: SaleScript, seed: u64) -> Vec<Promise> {
        let mut sale = Self {
            rng: StdRng::seed_from_u64(seed),
            now: START,
            steps: BTreeMap::new(),
            numbered: 0,
            queue: Queue::new(Duration::from_secs(3600), 1 << 20),
            seen: EventSeq::START,
            line: Line::new(),
            forecaster: Forecaster::default(),
            pace: Pace::default(),
            scaling: ScalingDriver::new(),
            wanted: script.policy.min,
            workers: script.policy.min,
            busy: 0,
            stock: script.stock,
            wakes: START,
            drift: 1.0,
            lengths: Vec::new(),
            open: HashMap::new(),
            kept: Vec::new(),
            script,
        };
        let rules = SaleRules { outflow: sale.script.outflow, ..SaleRules::default() };
        sale.queue.set_rules(rules, START);
        let joins = std::mem::take(&mut sale.script.joins);
        for second in &joins {
            sale.after(Duration::from_secs_f64(*second), SaleStep::Join);
        }
        let end = START + Duration::from_secs_f64(joins.last().copied().unwrap_or(0.0));
        sale.after(SECOND, SaleStep::Read);
        sale.after(SCALE_EVERY, SaleStep::Scale);
        while let Some(((at, _), step)) = sale.steps.pop_first() {
            sale.now = at;
            sale.step(step);
            sale.follow();
            if at > end && sale.line.is_empty() {
                break;
            }
        }
        sale.kept
    }

    fn after(&mut self, wait: Duration, step: SaleStep) {
        self.numbered += 1;
        self.steps.insert((self.now + wait, self.numbered), step);
    }

    fn step(&mut self, step: SaleStep) {
        match step {
            SaleStep::Join => self.join(),
            SaleStep::Cancel(client) => self.cancel(client),
            SaleStep::Pay(client) => self.pay(client),
            SaleStep::Done(settlement) => self.done(&settlement),
            SaleStep::Claim => {}
            SaleStep::Ready(workers) => self.workers = workers.min(self.wanted),
            SaleStep::Scale => self.scale(),
            SaleStep::Read => self.read(),
        }
        self.claim();
    }

    /// A client that still waits gives up.
    fn cancel(&mut self, client: ClientId) {
        let booking = self.queue.status(&client);
        if booking.is_some_and(|booking| booking.state == BookingState::Queued) {
            let cancelled = self.queue.cancel(&Cancel { client, booking: None }, self.now);
            assert!(cancelled.is_ok(), "a waiting booking can be cancelled");
        }
    }

    fn join(&mut self) {
        self.numbered += 1;
        let client = ClientId::new(&format!("c{}", self.numbered)).expect("a valid id");
        let enqueue = Enqueue {
            client: client.clone(),
            request: RequestId::new("r").expect("a valid id"),
            booking: BookingId::from_u128(u128::from(self.numbered)),
            details: Details::default(),
            trace: None,
        };
        self.queue.enqueue(&enqueue, self.now).expect("the queue is open");
        if self.script.cancels_after > 0.0 {
            let stays = -self.script.cancels_after * (1.0 - self.rng.random::<f64>()).ln();
            self.after(Duration::from_secs_f64(stays), SaleStep::Cancel(client));
        }
    }

    fn pay(&mut self, client: ClientId) {
        let payment = PaymentId::new("p").expect("a valid id");
        let confirm = Confirm { client, booking: None, payment, reacquire: None };
        if let Ok(Confirmed::Won(task, _)) = self.queue.confirm(&confirm, LEASE, self.now) {
            self.busy += 1;
            self.start(&task);
        }
    }

    fn scale(&mut self) {
        let measurement = Measurement::from(&self.queue.snapshot(self.now));
        let situation = self.scaling.observe(Some(measurement), self.wanted, 0);
        let wanted = self.scaling.decide(&self.script.policy, situation).replicas;
        if wanted > self.wanted {
            let starts = self.rng.random_range(3.0..8.0);
            self.after(Duration::from_secs_f64(starts), SaleStep::Ready(wanted));
        }
        self.wanted = wanted;
        self.workers = self.workers.min(wanted);
        self.queue.sweep(usize::MAX, self.now);
        self.after(SCALE_EVERY, SaleStep::Scale);
    }

    /// Whether the Booking Service has not answered for at least this long.
    fn outage(&self, since: Duration) -> bool {
        let now = self.now.since(START).as_secs_f64();
        let outage = self.script.outage;
        outage.is_some_and(|(from, to)| (from + since.as_secs_f64()..to).contains(&now))
    }

    /// The workers fill their free slots.
    fn claim(&mut self) {
        let slots = u64::from(self.workers * self.script.policy.concurrency);
        let free = slots.saturating_sub(self.busy) as usize;
        if free == 0 || self.outage(NOTICED) {
            return;
        }
        let claim = self.queue.claim(free, LEASE, Scope::Everything, self.now);
        self.busy += claim.tasks.len() as u64;
        claim.tasks.iter().for_each(|task| self.start(task));
        let next = claim.next.filter(|_| !claim.more).map(|wait| wait.max(MILLISECOND));
        if let Some(wait) = next
            && (self.wakes <= self.now || self.now + wait < self.wakes)
        {
            self.wakes = self.now + wait;
            self.after(wait, SaleStep::Claim);
        }
    }

    /// Makes the call of a task.
    fn start(&mut self, task: &Task) {
        let (a, b): (f64, f64) = (self.rng.random(), self.rng.random());
        let normal = (-2.0 * (1.0 - a).ln()).sqrt() * (b * std::f64::consts::TAU).cos();
        let share = if task.kind == TaskKind::Reserve { 1.0 } else { 0.3 };
        let takes = self.script.service * share * self.drift * (0.4 * normal - 0.08).exp();
        let busy = Duration::from_secs_f64(takes);
        let outcome = match task.kind {
            TaskKind::Reserve => TaskOutcome::Reserved {
                reservation: ReservationId::new("r").expect("a valid id"),
                hold: HOLD,
                left: None,
            },
            TaskKind::Confirm { .. } => TaskOutcome::Confirmed,
            TaskKind::Release { .. } => TaskOutcome::Released,
        };
        let settlement = Settlement { lease: task.lease(), outcome, busy };
        self.after(busy, SaleStep::Done(Box::new(settlement)));
    }

    fn done(&mut self, settlement: &Settlement) {
        let mut settlement = settlement.clone();
        self.busy -= 1;
        if self.outage(Duration::ZERO) {
            let after = Duration::from_secs_f64(self.rng.random_range(1.0..2.0));
            settlement.outcome = TaskOutcome::Retry { after, counts: Try::Free };
        }
        match settlement.outcome {
            TaskOutcome::Reserved { .. } if self.stock == 0 => {
                settlement.outcome = TaskOutcome::SOLD_OUT;
            }
            TaskOutcome::Reserved { .. } => self.reserved(&settlement.lease),
            TaskOutcome::Released => self.stock += 1,
            _ => {}
        }
        self.queue.settle(&settlement, self.now);
    }

    fn reserved(&mut self, lease: &Lease) {
        self.stock -= 1;
        if self.rng.random_bool(self.script.pays) {
            let pays = self.rng.random_range(5.0..110.0);
            self.after(Duration::from_secs_f64(pays), SaleStep::Pay(lease.client.clone()));
        }
    }

    /// Reads the queue as a worker does.
    fn read(&mut self) {
        let snapshot = self.queue.snapshot(self.now);
        self.pace.observe(self.now, snapshot.totals.dispatched);
        let reading = EtaReading {
            at: self.now,
            in_flight: snapshot.in_flight,
            slots: u64::from(self.script.policy.concurrency),
            admission: snapshot.admission,
            opens_at: snapshot.rules.opens_at,
            outage: self.outage(NOTICED),
            outflow: snapshot.rules.outflow,
        };
        self.forecaster.observe(&reading, &self.line);
        self.lengths.push(self.line.len());
        self.promise();
        let step: f64 = self.rng.random_range(-1.0..1.0);
        self.drift = (self.drift.ln() * 0.98 + 0.03 * step).exp();
        self.after(SECOND, SaleStep::Read);
    }

    /// Notes what some of the waiting clients are promised.
    fn promise(&mut self) {
        let waiting = self.line.len();
        if waiting == 0 {
            return;
        }
        let phase = self.phase();
        for turn in 0..PROMISES {
            let share: f64 = self.rng.random();
            let position = if turn % 2 == 0 {
                1 + (share * waiting as f64) as u64
            } else {
                (waiting as f64).powf(share) as u64
            };
            let position = position.clamp(1, waiting);
            let Some(place) = self.line.at(position) else { continue };
            let range = match self.forecaster.eta(position) {
                Eta::Range(range) => Some([range.low, range.expected, range.high]),
                Eta::Unknown(_) => None,
            };
            let range = range.map(|waits| waits.map(|wait| wait.as_secs_f64()));
            let mean = self.pace.eta(position).map(|wait| wait.as_secs_f64());
            let promise =
                Promise { at: self.now, phase, range, pace: mean, waited: 0.0, served: true };
            self.open.entry(place).or_default().push(promise);
        }
    }

    fn phase(&self) -> SalePhase {
        let since = self.now.since(START).as_secs_f64();
        let before = self.lengths.iter().rev().nth(30).copied().unwrap_or(0);
        if self.script.outage.is_some_and(|(_, to)| since >= to) {
            SalePhase::AfterOutage
        } else if since < 60.0 {
            SalePhase::FirstMinute
        } else if self.line.len() > before {
            SalePhase::Growing
        } else {
            SalePhase::Shrinking
        }
    }

    /// Follows the outbox as a worker does.
    fn follow(&mut self) {
        let events = self.queue.events(self.seen, usize::MAX);
        self.seen = events.next;
        for event in events.events {
            match event {
                OutboxEvent::Booking(event) if event.from.is_none() => self.line.join(event.place),
                OutboxEvent::Booking(event) if event.from == Some(BookingState::Queued) => {
                    self.left(
                        event.place,
                        match event.to {
                            BookingState::Reserving => Departure::Served,
                            BookingState::Cancelled => Departure::Cancelled,
                            _ => Departure::Parked,
                        },
                    );
                }
                OutboxEvent::Item(event) => {
                    if let ItemChange::Parked { places, .. } = event.change {
                        for place in places {
                            self.left(place, Departure::Parked);
                        }
                    }
                }
                OutboxEvent::Booking(_) => {}
            }
        }
    }

    fn left(&mut self, place: Place, departure: Departure) {
        // A parked booking has left the line before.
        if self.line.position(place).is_none() {
            return;
        }
        self.line.leave(place);
        self.forecaster.left(place, departure, self.now);
        let promises = self.open.remove(&place).unwrap_or_default();
        if departure != Departure::Cancelled {
            let (now, outage) = (self.now, self.script.outage);
            self.kept.extend(promises.into_iter().map(|promise| {
                let [at, left] = [promise.at, now].map(|time| time.since(START).as_secs_f64());
                let met = outage.is_some_and(|(from, _)| (at..left).contains(&from));
                let phase = if met { SalePhase::BeforeOutage } else { promise.phase };
                let served = departure == Departure::Served;
                Promise { phase, waited: left - at, served, ..promise }
            }));
        }
    }
}
