//! One simulated client: it joins, follows its booking, and pays, leaves or lets go as it planned.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bookingq_core::{BookingId, BookingState, ClientId, Invalid, RequestId, Timestamp};
use bookingq_proto::error::reason_of;
use bookingq_proto::v1::ErrorReason;
use rand::Rng as _;
use tokio::time::{Instant, sleep_until};
use tonic::Status;

use crate::Shared;
use crate::behaviour::{Behaviour, BehaviourPlan, chance_of};
use crate::call::{CallKind, Shown};
use crate::caller::Caller;
use crate::progress::count;
use crate::updates::Updates;

/// Bookings of one client, at most.
const MOST_BOOKINGS: usize = 3;
const CARD: &str = "card";
const OTHER_CARD: &str = "other-card";

/// One client.
pub struct SimulatedClient {
    caller: Caller,
    /// Requests sent so far.
    sent: u32,
    /// Those that made bookings.
    requests: Vec<RequestId>,
    /// The booking it follows.
    booking: Option<Followed>,
}

#[derive(Debug, Clone, Copy)]
struct Followed {
    booking: BookingId,
    since: Instant,
    /// Whether the client has seen a reservation, or that it gets none.
    is_decided: bool,
    /// Whether the client has seen its hold.
    is_held: bool,
}

#[derive(Debug, Clone, Copy)]
enum NextAction {
    Leave,
    Pay,
}

/// What a client does next, and when.
type Planned = Option<(Instant, NextAction)>;

/// Whether there is more to see of a booking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progressing {
    On,
    Ended,
}

impl SimulatedClient {
    /// The `index`-th client of the crowd.
    ///
    /// # Errors
    /// When the crowd's prefix makes no client id.
    pub fn new(shared: Arc<Shared>, index: u32) -> Result<Self, Invalid> {
        let client = ClientId::new(&format!("{}-{index:06}", shared.config.prefix))?;
        let chance = chance_of(shared.config.seed, index);
        let caller = Caller { shared, client, turn: index as usize, chance };
        Ok(Self { caller, sent: 0, requests: Vec::new(), booking: None })
    }

    /// From its arrival to the end of its last booking.
    pub async fn live(mut self) {
        count(&self.shared().progress.arrived);
        for number in 1..=MOST_BOOKINGS {
            // Calls are boxed: they are rare and large, while most clients mostly wait for updates.
            let plan = BehaviourPlan::draw(&self.caller.shared.config, &mut self.caller.chance);
            self.booking = None;
            Box::pin(self.join(plan.behaviour)).await;
            if number == 1 {
                let progress = &self.shared().progress;
                let joined = self.booking.is_some();
                count(if joined { &progress.acknowledged } else { &progress.refused });
            }
            if self.booking.is_none() || self.follow(&plan).await.is_none() {
                return;
            }
            Box::pin(self.repeat_a_request()).await;
            let come_again = self.shared().config.habits.come_again;
            if !self.caller.chance.random_bool(come_again) {
                return;
            }
        }
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.caller.shared
    }

    async fn join(&mut self, behaviour: Behaviour) {
        let Some(request) = self.next_request() else { return };
        let twin_request = self.shared().config.habits.twin_request;
        if self.caller.chance.random_bool(twin_request) {
            let mut twin = self.caller.twin();
            let kind = CallKind::Enqueue { request: request.clone() };
            tokio::join!(self.enqueue(&request), async { drop(twin.call(&kind).await) });
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
        let Ok((shown, call)) = self.caller.enqueue(request).await else { return };
        self.shared().notes.acknowledged(call, start.elapsed());
        if shown.request == *request && !self.requests.contains(request) {
            self.requests.push(request.clone());
        }
        // Another request gets a booking of its own if the first one has ended meanwhile.
        if self.booking.is_none_or(|followed| followed.booking != shown.booking) {
            let booking = shown.booking;
            let since = Instant::now();
            let followed = Followed { booking, since, is_decided: false, is_held: false };
            self.booking = Some(followed);
        }
    }

    /// Sometimes sends one of its requests again: the answer must be the same booking.
    async fn repeat_a_request(&mut self) {
        let chance = &mut self.caller.chance;
        if chance.random_bool(self.caller.shared.config.habits.repeat_request)
            && !self.requests.is_empty()
        {
            let request = self.requests[chance.random_range(0..self.requests.len())].clone();
            // The checker reads the answer from the record.
            drop(self.caller.enqueue(&request).await);
        }
    }

    /// Follows the booking until it is final, and acts in time. `None` when the client could not
    /// see the end.
    async fn follow(&mut self, plan: &BehaviourPlan) -> Option<()> {
        let mut updates = Updates::new(self.shared().config.following, self.caller.twin());
        let now = Instant::now();
        let mut next = match plan.behaviour {
            Behaviour::LeavesAtOnce => Some((now, NextAction::Leave)),
            Behaviour::Leaves => Some((now + plan.leave_after, NextAction::Leave)),
            _ => None,
        };
        loop {
            let due = next.map(|(when, _)| when);
            let shown = tokio::select! {
                shown = updates.next() => Some(shown.ok()?),
                () = at(due) => None,
            };
            match shown {
                None => Box::pin(self.act(plan, next.take())).await,
                Some(shown) => {
                    if self.on_update(plan, &shown, &mut next)? == Progressing::Ended {
                        break;
                    }
                }
            }
        }
        drop(updates);
        if let Some((when, NextAction::Pay)) = next
            && plan.behaviour.insists_on_paying()
        {
            sleep_until(when).await;
            Box::pin(self.act(plan, next)).await;
        }
        Some(())
    }

    /// `None` when the update is about another booking.
    fn on_update(
        &mut self,
        plan: &BehaviourPlan,
        shown: &Shown,
        next: &mut Planned,
    ) -> Option<Progressing> {
        let shared = Arc::clone(self.shared());
        let followed = self.booking.as_mut().filter(|known| known.booking == shown.booking)?;
        let is_decided = !matches!(shown.state, BookingState::Queued | BookingState::Reserving);
        if is_decided && !followed.is_decided {
            followed.is_decided = true;
            shared.notes.decided(followed.since.elapsed());
        }
        if shown.state == BookingState::Reserved && !followed.is_held {
            followed.is_held = true;
            count(&shared.progress.held);
            if plan.behaviour == Behaviour::GivesHoldBack {
                *next = Some((Instant::now(), NextAction::Leave));
            } else if let Some(deadline) = shown.deadline_ms
                && let Some(wait) = plan.pay_after(Timestamp(deadline).since(now()))
            {
                *next = Some((Instant::now() + wait, NextAction::Pay));
            }
        }
        if !shown.state.is_final() {
            return Some(Progressing::On);
        }
        shared.progress.finished(shown.state);
        Some(Progressing::Ended)
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
            (NextAction::Pay, Behaviour::LeavesAfterPaying) => {
                pay(&mut self.caller, booking, CARD).await;
                self.leave(booking).await;
            }
            (NextAction::Pay, _) => pay(&mut self.caller, booking, CARD).await,
        }
        self.repeat_a_request().await;
    }

    async fn leave(&mut self, of: BookingId) {
        if self.caller.call_until_final(&CallKind::Cancel { of }).await.is_ok() {
            count(&self.shared().progress.left);
        }
    }

    /// At once, or one payment after the other.
    async fn pay_twice(&mut self, booking: BookingId, second: &str) {
        let mut twin = self.caller.twin();
        if self.caller.chance.random() {
            tokio::join!(pay(&mut self.caller, booking, CARD), pay(&mut twin, booking, second));
        } else {
            pay(&mut self.caller, booking, CARD).await;
            pay(&mut twin, booking, second).await;
        }
    }
}

async fn pay(caller: &mut Caller, booking: BookingId, card: &str) {
    let answer = caller.pay(booking, card).await;
    let Shared { progress, notes, .. } = &*caller.shared;
    match answer {
        Ok((_, call)) => {
            notes.payment_answered(call);
            count(&progress.paid);
        }
        Err(status) if is_too_late(&status) => count(&progress.paid_late),
        Err(_) => {}
    }
}

fn is_too_late(status: &Status) -> bool {
    matches!(reason_of(status), Some(ErrorReason::HoldExpired | ErrorReason::AlreadyFinal))
}

async fn at(when: Option<Instant>) {
    match when {
        Some(when) => sleep_until(when).await,
        None => std::future::pending().await,
    }
}

/// Our clock, to compare with deadlines of the store's.
fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    Timestamp(since.as_millis() as u64)
}
