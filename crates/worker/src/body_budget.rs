//! Limits the memory of incoming requests: all of them together may hold a number of bytes. Over
//! it, the request whose message has been incomplete for longest is refused, so that clients that
//! never finish a message make room for those that do, however many they are.
//!
//! It applies before messages are decoded, where a limit by number is useless: the largest message
//! is a thousand times the usual one.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bookingq_proto::error::ApiError;
use http::Request;
use http_body::{Frame, SizeHint};
use parking_lot::Mutex;
use prometheus::IntCounter;
use tonic::Status;
use tonic::body::Body;
use tower::{Layer, Service};

/// The cost of a request before its first byte: its stream, its headers, its handler.
const BASE: usize = 4096;

/// The incoming requests. Cheap to clone.
#[derive(Clone)]
pub struct BodyBudget(Arc<Mutex<BudgetState>>);

struct BudgetState {
    budget: usize,
    held: usize,
    newest: u64,
    requests: BTreeMap<u64, HeldBytes>,
    refused: IntCounter,
}

/// The bytes of one request.
struct HeldBytes {
    bytes: usize,
    message: Message,
    /// The task that waits for more of the message.
    waker: Option<Waker>,
}

/// How much of a request's message has arrived.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Message {
    Incomplete,
    /// All of it: the request is being answered, and is not refused any more.
    Whole,
}

impl BodyBudget {
    /// All requests together may hold `budget` bytes; `refused` counts refusals.
    pub fn new(budget: usize, refused: IntCounter) -> Self {
        let state = BudgetState { budget, held: 0, newest: 0, requests: BTreeMap::new(), refused };
        Self(Arc::new(Mutex::new(state)))
    }
}

impl BudgetState {
    fn remove(&mut self, number: u64) -> Option<Waker> {
        let held_bytes = self.requests.remove(&number)?;
        self.held -= held_bytes.bytes;
        held_bytes.waker
    }
}

/// The share of one request; dropping it frees its bytes.
struct BudgetShare {
    budget: BodyBudget,
    number: u64,
}

impl BudgetShare {
    /// The share of the newest request. If there is no room for it, its first frame is refused.
    fn new(budget: &BodyBudget) -> Arc<Self> {
        let mut state = budget.0.lock();
        state.newest += 1;
        let number = state.newest;
        let held_bytes = HeldBytes { bytes: 0, message: Message::Incomplete, waker: None };
        state.requests.insert(number, held_bytes);
        drop(state);
        let share = Self { budget: budget.clone(), number };
        share.hold(BASE, Message::Incomplete);
        Arc::new(share)
    }

    /// Adds to the bytes of the request, and makes room for them. Returns whether the request may
    /// continue.
    fn hold(&self, bytes: usize, message: Message) -> bool {
        // Dropped or woken after the state is unlocked: a waker may run anything.
        let mut woken = Vec::new();
        let mut state = self.budget.0.lock();
        let Some(held_bytes) = state.requests.get_mut(&self.number) else { return false };
        held_bytes.bytes += bytes;
        held_bytes.message = message;
        state.held += bytes;
        while state.held > state.budget {
            let oldest =
                state.requests.iter().find(|(_, held)| held.message == Message::Incomplete);
            // The rest are being answered, and finish soon.
            let Some(oldest) = oldest.map(|(number, _)| *number) else { break };
            state.refused.inc();
            woken.extend(state.remove(oldest));
        }
        let may_continue = state.requests.contains_key(&self.number);
        drop(state);
        woken.into_iter().for_each(Waker::wake);
        may_continue
    }

    /// Whether the request may keep waiting.
    fn may_wait(&self, context: &Context<'_>) -> bool {
        let waker = context.waker().clone();
        // Dropped after the state is unlocked, like every waker.
        let before = self
            .budget
            .0
            .lock()
            .requests
            .get_mut(&self.number)
            .map(|held_bytes| held_bytes.waker.replace(waker));
        before.is_some()
    }
}

impl Drop for BudgetShare {
    fn drop(&mut self) {
        let waker = self.budget.0.lock().remove(self.number);
        drop(waker);
    }
}

/// A request's body, counted as it arrives.
struct CountedBody {
    body: Body,
    share: Arc<BudgetShare>,
}

impl http_body::Body for CountedBody {
    type Data = <Body as http_body::Body>::Data;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Status>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        let ended = matches!(polled, Poll::Ready(None)) || self.body.is_end_stream();
        let message = if ended { Message::Whole } else { Message::Incomplete };
        let may_continue = match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                self.share.hold(frame.data_ref().map_or(0, bytes::Bytes::len), message)
            }
            Poll::Ready(Some(Err(_))) => true,
            Poll::Ready(None) => {
                self.share.hold(0, message);
                true
            }
            Poll::Pending => self.share.may_wait(context),
        };
        if may_continue { polled } else { Poll::Ready(Some(Err(ApiError::overloaded().into()))) }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<S> Layer<S> for BodyBudget {
    type Service = BudgetedService<S>;

    fn layer(&self, inner: S) -> BudgetedService<S> {
        BudgetedService { inner, budget: self.clone() }
    }
}

/// A service whose requests count against the budget until they are answered. (Response streams
/// have their own limit.)
#[derive(Clone)]
pub struct BudgetedService<S> {
    inner: S,
    budget: BodyBudget,
}

impl<S> Service<Request<Body>> for BudgetedService<S>
where
    S: Service<Request<Body>>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let share = BudgetShare::new(&self.budget);
        let counted = Arc::clone(&share);
        let request = request.map(|body| Body::new(CountedBody { body, share: counted }));
        let answer = self.inner.call(request);
        Box::pin(async move {
            let answer = answer.await;
            drop(share);
            answer
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use http_body::Body as _;

    use super::*;

    fn budget(budget: usize) -> BodyBudget {
        BodyBudget::new(budget, IntCounter::new("refused", "refused").unwrap())
    }

    fn held(budget: &BodyBudget) -> usize {
        budget.0.lock().held
    }

    #[test]
    fn the_oldest_unfinished_request_makes_room_and_finished_ones_stay() {
        let budget = budget(3 * BASE);
        let [whole, oldest, newer] = [(); 3].map(|()| BudgetShare::new(&budget));
        whole.hold(0, Message::Whole);
        assert!(newer.hold(100, Message::Incomplete));
        assert!(whole.hold(0, Message::Whole));
        assert!(!oldest.hold(0, Message::Incomplete), "the oldest incomplete one is refused");
        assert_eq!(held(&budget), 2 * BASE + 100);
        assert!(!newer.hold(BASE, Message::Incomplete), "no other request can make room");
        assert_eq!(held(&budget), BASE);
        drop((whole, oldest, newer));
        assert_eq!((held(&budget), budget.0.lock().requests.len()), (0, 0));
    }

    #[test]
    fn a_request_that_waits_for_its_message_is_woken_when_it_is_refused() {
        let budget = budget(2 * BASE);
        let share = BudgetShare::new(&budget);
        let mut body = CountedBody { body: Body::new(Never), share };
        let mut context = Context::from_waker(Waker::noop());
        assert!(Pin::new(&mut body).poll_frame(&mut context).is_pending());
        let others = [(); 2].map(|()| BudgetShare::new(&budget));
        let Poll::Ready(Some(Err(refused))) = Pin::new(&mut body).poll_frame(&mut context) else {
            panic!("it must be refused")
        };
        assert_eq!(refused.code(), tonic::Code::ResourceExhausted);
        assert_eq!(budget.0.lock().refused.get(), 1);
        drop(others);
    }

    /// A message that never comes.
    struct Never;

    impl http_body::Body for Never {
        type Data = bytes::Bytes;
        type Error = Status;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<bytes::Bytes>, Status>>> {
            Poll::Pending
        }
    }
}
