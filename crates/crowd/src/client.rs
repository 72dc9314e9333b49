//! One simulated client: it joins, follows its booking, and pays or leaves as planned.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bookingq_client::WorkerCallError;
use bookingq_core::retry::Retry;
use bookingq_core::{BookingId, BookingState, ClientId, Invalid, RequestId, Timestamp};
use bookingq_proto::error::reason_of;
use bookingq_proto::v1::ErrorReason;
use rand::Rng as _;
use rand::rngs::SmallRng;
use tokio::time::{Instant, sleep_until};

use crate::behaviour::Behaviour;
use crate::call::{BookingSnapshot, CallKind};
use crate::caller::{Caller, CrowdContext};
use crate::plan::{BehaviourPlan, client_rng, wanted};
use crate::updates::Updates;

/// Limit of bookings of one client.
const MAX_BOOKINGS: usize = 3;
const CARD: &str = "card";
const OTHER_CARD: &str = "other-card";
/// How long a late payment is repeated while the old reservation is being released.
const RELEASING: Duration = Duration::from_secs(20);

/// One client.
pub struct SimulatedClient {
    caller: Caller,
    rng: SmallRng,
    /// Requests sent so far.
    sent: u32,
    /// The requests that made bookings.
    requests: Vec<RequestId>,
    /// The booking it follows.
    booking: Option<Followed>,
}

#[derive(Debug, Clone, Copy)]
struct Followed {
    booking: BookingId,
    since: Instant,
    /// The state that the client saw last.
    state: BookingState,
    /// Whether the last update said that it waits for an item that is sold out at the moment.
    is_parked: bool,
    /// Whether it was made for a late payment.
    is_reacquired: bool,
}

impl Followed {
    fn new(booking: BookingId) -> Self {
        Self {
            booking,
            since: Instant::now(),
            state: BookingState::Queued,
            is_parked: false,
            is_reacquired: false,
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum NextAction {
    Leave,
    Pay,
}

/// The next action of a client, and its time.
type Planned = Option<(Instant, NextAction)>;

impl SimulatedClient {
    /// The `index`-th client of the crowd.
    ///
    /// # Errors
    /// When the crowd's prefix makes no client id.
    pub fn new(context: Arc<CrowdContext>, index: u32) -> Result<Self, Invalid> {
        let client = ClientId::new(&format!("{}-{index:06}", context.config.prefix))?;
        let mut rng = client_rng(context.config.seed, index);
        let wanted = wanted(&context.config, index);
        let caller = Caller::new(context, client, wanted, rng.random());
        Ok(Self { caller, rng, sent: 0, requests: Vec::new(), booking: None })
    }

    /// From its arrival to the end of its last booking.
    pub async fn run(mut self) {
        self.context().progress.count(|progress| progress.arrived += 1);
        for number in 1..=MAX_BOOKINGS {
            // Calls are boxed: they are rare and large, while most clients mostly wait for updates.
            let plan = BehaviourPlan::draw(&self.caller.context.config, &mut self.rng);
            self.booking = None;
            Box::pin(self.join(plan.behaviour)).await;
            if number == 1 {
                let (joined, progress) = (self.booking.is_some(), &self.context().progress);
                progress.count(|progress| {
                    *(if joined { &mut progress.acknowledged } else { &mut progress.refused }) += 1;
                });
                progress
                    .demanded(&self.caller.wanted, |demand| demand.clients += u64::from(joined));
            }
            if self.booking.is_none() || self.follow(&plan).await.is_none() {
                return;
            }
            Box::pin(self.repeat_a_request()).await;
            let join_again = self.context().config.repeats.join_again;
            if !self.rng.random_bool(join_again) {
                return;
            }
        }
    }

    fn context(&self) -> &CrowdContext {
        &self.caller.context
    }

    /// A second caller in the same name, for calls at the same time.
    fn twin(&mut self) -> Caller {
        self.caller.twin(self.rng.random())
    }

    async fn join(&mut self, behaviour: Behaviour) {
        let Some(request) = self.next_request() else { return };
        let twin_request = self.context().config.repeats.twin_request;
        if self.rng.random_bool(twin_request) {
            let mut twin = self.twin();
            // The checker reads the twin's answer from the record.
            tokio::join!(self.enqueue(&request), async { drop(twin.enqueue(&request).await) });
        } else {
            self.enqueue(&request).await;
        }
        if self.booking.is_some() && behaviour == Behaviour::ComesTwice {
            self.enqueue(&request).await;
            if let Some(other) = self.next_request() {
                self.enqueue(&other).await;
            }
        }
    }

    fn next_request(&mut self) -> Option<RequestId> {
        self.sent += 1;
        RequestId::new(&format!("{}-{}", self.caller.client, self.sent)).ok()
    }

    async fn enqueue(&mut self, request: &RequestId) {
        let start = Instant::now();
        let Ok((booking, took)) = self.caller.enqueue(request).await else { return };
        self.context().latencies.acknowledged(took, start.elapsed());
        if booking.request == *request && !self.requests.contains(request) {
            self.requests.push(request.clone());
        }
        // Another request gets a booking of its own if the first one has ended meanwhile.
        if self.booking.is_none_or(|followed| followed.booking != booking.booking) {
            self.booking = Some(Followed::new(booking.booking));
        }
    }

    /// Sometimes sends one of its requests again: the answer must be the same booking.
    async fn repeat_a_request(&mut self) {
        let repeat_request = self.context().config.repeats.repeat_request;
        if self.rng.random_bool(repeat_request) && !self.requests.is_empty() {
            let request = self.requests[self.rng.random_range(0..self.requests.len())].clone();
            // The checker reads the answer from the record.
            drop(self.caller.enqueue(&request).await);
        }
    }

    /// Follows the booking until it is final, and acts in time; then the one that a late payment
    /// has made. `None` when the client could not see the end.
    async fn follow(&mut self, plan: &BehaviourPlan) -> Option<()> {
        let now = Instant::now();
        let mut next = match plan.behaviour {
            Behaviour::LeavesAtOnce => Some((now, NextAction::Leave)),
            Behaviour::Leaves => Some((now + plan.leave_after, NextAction::Leave)),
            _ => None,
        };
        let mut followed = None;
        while self.booking.map(|followed| followed.booking) != followed {
            followed = self.booking.map(|followed| followed.booking);
            self.follow_one(plan, &mut next).await?;
            if let Some((when, NextAction::Pay)) = next
                && plan.behaviour.insists_on_paying()
            {
                sleep_until(when).await;
                Box::pin(self.act(plan, next.take())).await;
            }
        }
        Some(())
    }

    /// Follows the booking until it is final, or a late payment has made another one.
    async fn follow_one(&mut self, plan: &BehaviourPlan, next: &mut Planned) -> Option<()> {
        let mut updates = Updates::new(self.context().config.following, self.twin());
        let booking = self.booking?.booking;
        while self.booking?.booking == booking {
            let due = next.map(|(when, _)| when);
            let shown = tokio::select! {
                shown = updates.next() => Some(shown.ok()?),
                () = at(due) => None,
            };
            match shown {
                None => Box::pin(self.act(plan, next.take())).await,
                Some(shown) => {
                    if self.on_update(plan, &shown, next)?.is_final() {
                        break;
                    }
                }
            }
        }
        Some(())
    }

    /// Returns the booking's state; `None` if the update is about another booking.
    fn on_update(
        &mut self,
        plan: &BehaviourPlan,
        shown: &BookingSnapshot,
        next: &mut Planned,
    ) -> Option<BookingState> {
        let Caller { context, wanted, .. } = &self.caller;
        let CrowdContext { progress, latencies, .. } = &**context;
        let followed = self.booking.as_mut().filter(|known| known.booking == shown.booking)?;
        let is_parked = shown.parked && shown.state == BookingState::Queued;
        if std::mem::replace(&mut followed.is_parked, is_parked) != is_parked {
            let by = if is_parked { 1 } else { -1 };
            progress.demanded(wanted, |demand| {
                demand.parked = demand.parked.saturating_add_signed(by);
            });
        }
        let before = std::mem::replace(&mut followed.state, shown.state);
        let waits = |state| matches!(state, BookingState::Queued | BookingState::Reserving);
        if waits(before) && !waits(shown.state) {
            latencies.decided(followed.since.elapsed());
        }
        if shown.state == BookingState::Reserved && before != BookingState::Reserved {
            progress.count(|progress| progress.held += 1);
            if plan.behaviour == Behaviour::GivesHoldBack {
                *next = Some((Instant::now(), NextAction::Leave));
            } else if let Some(deadline) = shown.deadline_ms
                && let Some(wait) = plan.pay_after(Timestamp(deadline).since(now()))
            {
                *next = Some((Instant::now() + wait, NextAction::Pay));
            }
        }
        if shown.state.is_final() {
            progress.booking_ended(shown.state);
        }
        if shown.state == BookingState::SoldOut && !followed.is_reacquired {
            progress.demanded(wanted, |demand| demand.sold_out_at.push(now()));
        }
        Some(shown.state)
    }

    async fn act(&mut self, plan: &BehaviourPlan, planned: Planned) {
        let (Some((_, action)), Some(followed)) = (planned, self.booking) else { return };
        let booking = followed.booking;
        match (action, plan.behaviour) {
            (NextAction::Leave, _) => self.leave(booking).await,
            (NextAction::Pay, Behaviour::PaysTwice) => self.pay_twice(booking, CARD).await,
            (NextAction::Pay, Behaviour::PaysWithTwoCards) => {
                self.pay_twice(booking, OTHER_CARD).await;
            }
            (NextAction::Pay, Behaviour::Reacquires) => self.reacquire(booking).await,
            (NextAction::Pay, Behaviour::LeavesAfterPaying) => {
                pay(&mut self.caller, booking, CARD).await;
                self.leave(booking).await;
            }
            (NextAction::Pay, _) => pay(&mut self.caller, booking, CARD).await,
        }
        self.repeat_a_request().await;
    }

    async fn leave(&mut self, of: BookingId) {
        if self.caller.call(&CallKind::Cancel { of }).await.is_ok() {
            self.context().progress.count(|progress| progress.left += 1);
        }
    }

    /// Pays late and asks for another reservation, again while the old one is being released.
    async fn reacquire(&mut self, of: BookingId) {
        let mut retry = Retry::within(self.context().config.backoff, RELEASING);
        let answer = loop {
            let answer = self.caller.pay(of, CARD, true).await;
            let is_releasing = matches!(&answer, Err(WorkerCallError::Refused(status))
                if reason_of(status) == Some(ErrorReason::HoldExpired));
            if !(is_releasing && retry.wait().await) {
                break answer;
            }
        };
        let CrowdContext { progress, latencies, .. } = &*self.caller.context;
        match answer {
            Ok((shown, took)) => {
                latencies.payment_answered(took);
                let is_reacquired = shown.booking != of;
                progress.count(|progress| {
                    *match (is_reacquired, shown.state) {
                        (false, _) => &mut progress.paid,
                        (true, BookingState::SoldOut) => &mut progress.paid_late,
                        (true, _) => &mut progress.reacquired,
                    } += 1;
                });
                if is_reacquired {
                    self.booking = Some(Followed { is_reacquired, ..Followed::new(shown.booking) });
                }
            }
            Err(_) => progress.count(|progress| progress.paid_late += 1),
        }
    }

    /// At once, or one payment after the other.
    async fn pay_twice(&mut self, booking: BookingId, second: &str) {
        let mut twin = self.twin();
        if self.rng.random() {
            tokio::join!(pay(&mut self.caller, booking, CARD), pay(&mut twin, booking, second));
        } else {
            pay(&mut self.caller, booking, CARD).await;
            pay(&mut twin, booking, second).await;
        }
    }
}

async fn pay(caller: &mut Caller, booking: BookingId, card: &str) {
    let answer = caller.pay(booking, card, false).await;
    let CrowdContext { progress, latencies, .. } = &*caller.context;
    match answer {
        Ok((_, took)) => {
            latencies.payment_answered(took);
            progress.count(|progress| progress.paid += 1);
        }
        Err(error) if is_too_late(&error) => progress.count(|progress| progress.paid_late += 1),
        Err(_) => {}
    }
}

fn is_too_late(error: &WorkerCallError) -> bool {
    let WorkerCallError::Refused(status) = error else { return false };
    matches!(reason_of(status), Some(ErrorReason::HoldExpired | ErrorReason::AlreadyFinal))
}

async fn at(when: Option<Instant>) {
    match when {
        Some(when) => sleep_until(when).await,
        None => std::future::pending().await,
    }
}

/// The local clock, to compare with deadlines by the store's clock.
fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    Timestamp(since.as_millis() as u64)
}
