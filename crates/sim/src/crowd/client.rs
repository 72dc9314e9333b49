//! One client's life: joins, watches, and pays, leaves or lets go, as its plan says.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bookingq_core::{BookingId, BookingState, ClientId, Invalid, RequestId, Timestamp};
use bookingq_proto::error::reason_of;
use bookingq_proto::v1::ErrorReason;
use bookingq_proto::{convert, v1};
use rand::Rng as _;
use tokio::time::{Instant, sleep_until};
use tonic::Status;

use super::Scene;
use super::behaviour::{Behaviour, Plan};
use super::call::Caller;
use super::progress::count;
use super::report::Acknowledged;
use super::watcher::{News, Watcher};

/// How far our clock and the store's may be apart before a deadline is held against anybody.
const CLOCK_MARGIN: Duration = Duration::from_millis(250);

/// One client.
pub(super) struct Client {
    scene: Arc<Scene>,
    id: ClientId,
    plan: Plan,
    caller: Caller,
    /// The booking it follows, once it has one.
    booking: Option<Joined>,
    /// What it does next, and when.
    next: Option<(Instant, Step)>,
    payment: Payment,
}

/// A place in line.
#[derive(Debug, Clone, Copy)]
struct Joined {
    booking: BookingId,
    since: Instant,
    /// Whether it has heard of a reservation, or that there is none.
    decided: Decided,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Decided {
    NotYet,
    Yes,
}

/// Why a client sends a request to join.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Visit {
    First,
    /// The same request.
    Again,
    /// Another request.
    Other,
}

impl Visit {
    fn request(self) -> u32 {
        match self {
            Self::First | Self::Again => 1,
            Self::Other => 2,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Leave,
    Pay { deadline: Timestamp },
}

/// Whether there is more to hear of a booking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Follow {
    On,
    Ended,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Payment {
    /// Nothing to pay yet.
    None,
    /// Will be paid, or was decided not to be.
    Planned,
    /// Won.
    Won,
    /// Refused.
    Refused,
}

impl Client {
    /// The `index`-th client of the crowd.
    pub(super) fn new(scene: Arc<Scene>, index: u32, plan: Plan) -> Result<Self, Invalid> {
        let id = ClientId::new(&format!("{}-{index:06}", scene.config.prefix))?;
        let caller = Caller { turn: index as usize, chance: plan.chance.clone() };
        Ok(Self { scene, id, plan, caller, booking: None, next: None, payment: Payment::None })
    }

    /// From arriving to the end of the booking.
    pub(super) async fn live(mut self) {
        count(&self.scene.progress.arrived);
        // Calls are boxed: they are rare and large, while the watch is what most clients are in
        // most of the time.
        Box::pin(self.join(Visit::First)).await;
        if self.booking.is_none() {
            return count(&self.scene.progress.refused);
        }
        count(&self.scene.progress.acknowledged);
        if self.plan.behaviour == Behaviour::ComesTwice {
            Box::pin(self.join(Visit::Again)).await;
            Box::pin(self.join(Visit::Other)).await;
        }
        if self.plan.behaviour == Behaviour::Leaves {
            self.next = Some((Instant::now() + self.plan.leave_after, Step::Leave));
        }
        self.follow().await;
    }

    /// Sends a request to join.
    async fn join(&mut self, visit: Visit) {
        let Ok(request) = RequestId::new(&format!("{}-{}", self.id, visit.request())) else {
            return;
        };
        let details = &self.scene.config.details;
        let message = v1::EnqueueRequest {
            queue: self.scene.config.queue.to_string(),
            client_id: self.id.to_string(),
            request_id: request.to_string(),
            item: details.item.to_string(),
            quantity: details.quantity.get() as i32,
            payload: details.payload.to_vec().into(),
        };
        let start = Instant::now();
        let answer = self
            .caller
            .insist(&self.scene, message, |mut worker, request| async move {
                worker.enqueue(request).await
            })
            .await;
        match answer {
            Ok((response, call)) => self.joined(visit, request, &response, call, start.elapsed()),
            // A closed queue may refuse a new place at any time, but not the repeat of a request it
            // took.
            Err(status) if visit == Visit::Again => {
                self.broken(|| {
                    format!("request {request} was refused when it came again: {status}")
                });
            }
            Err(_) => {}
        }
    }

    /// Takes an acknowledgement: `call` is the time of the call, `joined` the time since its first
    /// try.
    fn joined(
        &mut self,
        visit: Visit,
        request: RequestId,
        response: &v1::EnqueueResponse,
        call: Duration,
        joined: Duration,
    ) {
        let Some((booking, id)) =
            response.booking.as_ref().and_then(|booking| Some((booking, id_of(booking)?)))
        else {
            return self.broken(|| format!("request {request} was answered without a booking"));
        };
        let place = Joined { booking: id, since: Instant::now(), decided: Decided::NotYet };
        let first = self.booking.get_or_insert(place).booking;
        if first != id {
            // Another request gets a new place, its own, if the first booking has ended meanwhile.
            if visit != Visit::Other || booking.request_id != request.as_str() {
                self.broken(|| format!("request {request} got booking {id} after {first}"));
            }
            self.booking = Some(place);
        }
        let client = self.id.clone();
        let acknowledged = Acknowledged { client, request, booking: id, place: booking.place() };
        self.scene.notes.acknowledged(acknowledged, call, joined);
    }

    /// Watches the booking until it is final, and acts when it is time.
    async fn follow(&mut self) {
        let scene = self.scene.clone();
        let request = v1::WatchStatusRequest {
            queue: scene.config.queue.to_string(),
            client_id: self.id.to_string(),
        };
        let mut watcher = Watcher::new(self.caller.turn);
        loop {
            let due = self.next;
            let news = tokio::select! {
                news = watcher.next(&scene, &request, || self.caller.chance.random()) => Some(news),
                () = at(due.map(|(when, _)| when)) => None,
            };
            let booking = match news {
                Some(News::Booking(booking)) => booking,
                Some(News::FurtherBack(booking, before)) => {
                    self.broken(|| {
                        format!("went back in line from {before} to {}", booking.position)
                    });
                    booking
                }
                Some(News::Refused(status)) => {
                    return self.broken(|| format!("the watch was refused: {status}"));
                }
                None => {
                    Box::pin(self.act()).await;
                    continue;
                }
            };
            if self.heard(&booking) == Follow::Ended {
                return self.afterwards().await;
            }
        }
    }

    /// Who pays late does so even if the booking has expired meanwhile: that is when it matters.
    async fn afterwards(&mut self) {
        if let Some((when, Step::Pay { .. })) = self.next
            && self.plan.behaviour == Behaviour::PaysLate
        {
            sleep_until(when).await;
            Box::pin(self.act()).await;
        }
    }

    /// Takes an update.
    fn heard(&mut self, booking: &v1::Booking) -> Follow {
        let (Some(place), Some(state)) = (&mut self.booking, booking.state().to_core()) else {
            return Follow::Ended;
        };
        if id_of(booking) != Some(place.booking) {
            let (heard, followed) = (&booking.booking_id, place.booking);
            self.broken(|| format!("heard of booking {heard} while following {followed}"));
            return Follow::Ended;
        }
        let is_decided = !matches!(state, BookingState::Queued | BookingState::Reserving);
        if is_decided && place.decided == Decided::NotYet {
            place.decided = Decided::Yes;
            self.scene.notes.decided(place.since.elapsed());
        }
        if state == BookingState::Reserved && self.payment == Payment::None {
            count(&self.scene.progress.held);
            self.payment = Payment::Planned;
            self.plan_payment(booking);
        }
        if !state.is_final() {
            return Follow::On;
        }
        self.check_end(state);
        self.scene.progress.finished(state);
        Follow::Ended
    }

    fn plan_payment(&mut self, booking: &v1::Booking) {
        let Some(deadline) = booking.deadline.as_ref().map(convert::from_timestamp) else {
            return self.broken(|| "reserved without a deadline".to_owned());
        };
        let remaining = deadline.since(now());
        let wait = match self.plan.behaviour {
            Behaviour::Pays | Behaviour::ComesTwice => remaining.mul_f64(self.plan.think),
            Behaviour::PaysLate => remaining + self.plan.late_by,
            // Who leaves has a step planned already; who never pays has none.
            Behaviour::Leaves | Behaviour::NeverPays => return,
        };
        self.next = Some((Instant::now() + wait, Step::Pay { deadline }));
    }

    async fn act(&mut self) {
        match self.next.take() {
            Some((_, Step::Leave)) => self.leave().await,
            Some((_, Step::Pay { deadline })) => self.pay(deadline).await,
            None => {}
        }
    }

    async fn leave(&mut self) {
        let message = v1::CancelRequest {
            queue: self.scene.config.queue.to_string(),
            client_id: self.id.to_string(),
            booking_id: self.booking.map(|place| place.booking.to_string()).unwrap_or_default(),
        };
        let answer = self
            .caller
            .insist(&self.scene, message, |mut worker, request| async move {
                worker.cancel(request).await
            })
            .await;
        match answer {
            Ok(_) => count(&self.scene.progress.left),
            Err(status) if reason_of(&status) == Some(ErrorReason::AlreadyFinal) => {}
            Err(status) => self.broken(|| format!("could not leave: {status}")),
        }
    }

    async fn pay(&mut self, deadline: Timestamp) {
        let message = v1::ConfirmPaymentRequest {
            queue: self.scene.config.queue.to_string(),
            client_id: self.id.to_string(),
            booking_id: self.booking.map(|place| place.booking.to_string()).unwrap_or_default(),
            payment_id: format!("{}-paid", self.id),
        };
        let sent = now();
        let answer = self
            .caller
            .insist(&self.scene, message, |mut worker, request| async move {
                worker.confirm_payment(request).await
            })
            .await;
        match answer {
            Ok((_, call)) => {
                self.scene.notes.payment_answered(call);
                self.payment = Payment::Won;
                count(&self.scene.progress.paid);
                if sent > deadline + CLOCK_MARGIN {
                    let late = sent.since(deadline);
                    self.broken(|| {
                        format!("a payment sent {late:?} after the deadline was accepted")
                    });
                }
            }
            Err(status) => self.payment_refused(deadline, &status),
        }
    }

    fn payment_refused(&mut self, deadline: Timestamp, status: &Status) {
        self.payment = Payment::Refused;
        let late =
            matches!(reason_of(status), Some(ErrorReason::HoldExpired | ErrorReason::AlreadyFinal));
        if !late {
            self.broken(|| format!("a payment for a hold was refused: {status}"));
        } else if now() + CLOCK_MARGIN < deadline {
            // Judged by when the answer came, because a call may be on its way for long.
            let left = deadline.since(now());
            self.broken(|| format!("a payment was refused {left:?} before the deadline: {status}"));
        } else {
            count(&self.scene.progress.paid_late);
        }
    }

    /// What was promised for a payment is kept.
    fn check_end(&self, state: BookingState) {
        let kept = match self.payment {
            // The shop may refuse the confirmation, and then the booking fails.
            Payment::Won => matches!(state, BookingState::Confirmed | BookingState::Failed),
            Payment::None | Payment::Planned | Payment::Refused => state != BookingState::Confirmed,
        };
        if !kept {
            self.broken(|| format!("ended {state} with payment {:?}", self.payment));
        }
    }

    fn broken(&self, what: impl FnOnce() -> String) {
        self.scene.notes.broken(&self.id, what);
    }
}

fn id_of(booking: &v1::Booking) -> Option<BookingId> {
    BookingId::new(&booking.booking_id).ok()
}

async fn at(when: Option<Instant>) {
    match when {
        Some(when) => sleep_until(when).await,
        None => std::future::pending().await,
    }
}

/// Our clock, to compare with deadlines of the store's.
fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(since.as_millis() as u64)
}
