//! Bounds the memory of requests that are on their way: all of them together may hold so many
//! bytes. When more come, the request whose message has been coming for longest without being whole
//! is refused, so that clients that never finish a message make room for those that do, however
//! many they are.
//!
//! It stands before the messages are decoded, where a gate by number is of no use: the largest
//! message is a thousand times the usual one.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bookingq_proto::error::ApiError;
use http::Request;
use http_body::{Frame, SizeHint};
use parking_lot::Mutex;
use prometheus::IntCounter;
use tonic::Status;
use tonic::body::Body;
use tower::{Layer, Service};

/// What a request costs before its first byte: its stream, its headers, its handler.
const BASE: usize = 4096;
/// When a refused caller should come back.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The requests on their way. Cheap to clone.
#[derive(Clone)]
pub struct Intake {
    ledger: Arc<Mutex<Ledger>>,
}

struct Ledger {
    budget: usize,
    held: usize,
    newest: u64,
    requests: BTreeMap<u64, Account>,
    refused: IntCounter,
}

/// What one request holds.
struct Account {
    bytes: usize,
    /// Its message has come: it is being answered, and is not refused any more.
    whole: bool,
    /// Who waits for more of the message.
    waker: Option<Waker>,
}

impl Intake {
    /// Requests may hold `budget` bytes together; those that are refused are counted.
    pub fn new(budget: usize, refused: IntCounter) -> Self {
        let ledger = Ledger { budget, held: 0, newest: 0, requests: BTreeMap::new(), refused };
        Self { ledger: Arc::new(Mutex::new(ledger)) }
    }

    fn enter(&self) -> Arc<Place> {
        let number = {
            let mut ledger = self.ledger.lock();
            ledger.newest += 1;
            let number = ledger.newest;
            ledger.requests.insert(number, Account { bytes: 0, whole: false, waker: None });
            number
        };
        let place = Place { ledger: self.ledger.clone(), number };
        // Should there be no room, the message's first frame is refused.
        place.may_hold(BASE);
        Arc::new(place)
    }
}

impl Ledger {
    /// Adds to what a request holds, and makes room for it. Tells whether the request may go on,
    /// and who has to be woken because theirs may not: once the ledger is unlocked, for a waker
    /// may run anything.
    fn add(&mut self, number: u64, bytes: usize) -> (bool, Vec<Waker>) {
        let mut woken = Vec::new();
        let Some(account) = self.requests.get_mut(&number) else { return (false, woken) };
        account.bytes += bytes;
        self.held += bytes;
        while self.held > self.budget {
            let oldest =
                self.requests.iter().find(|(_, account)| !account.whole).map(|(oldest, _)| *oldest);
            // All that is left is being answered, and will be gone soon.
            let Some(oldest) = oldest else { break };
            self.refused.inc();
            woken.extend(self.remove(oldest));
        }
        (self.requests.contains_key(&number), woken)
    }

    fn remove(&mut self, number: u64) -> Option<Waker> {
        let account = self.requests.remove(&number)?;
        self.held -= account.bytes;
        account.waker
    }
}

/// The place of one request; what it holds is free again when this is dropped.
struct Place {
    ledger: Arc<Mutex<Ledger>>,
    number: u64,
}

impl Place {
    fn may_hold(&self, bytes: usize) -> bool {
        let (may, woken) = self.ledger.lock().add(self.number, bytes);
        woken.into_iter().for_each(Waker::wake);
        may
    }

    fn is_whole(&self) {
        if let Some(account) = self.ledger.lock().requests.get_mut(&self.number) {
            account.whole = true;
        }
    }

    /// Whether the request may go on waiting.
    fn may_wait(&self, context: &Context<'_>) -> bool {
        let waker = context.waker().clone();
        // Dropped when the ledger is unlocked again, like every waker.
        let before = self
            .ledger
            .lock()
            .requests
            .get_mut(&self.number)
            .map(|account| account.waker.replace(waker));
        before.is_some()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let waker = self.ledger.lock().remove(self.number);
        drop(waker);
    }
}

/// A request's body, counted as it comes.
struct Counted {
    body: Body,
    place: Arc<Place>,
}

impl http_body::Body for Counted {
    type Data = <Body as http_body::Body>::Data;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Status>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        let may = match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                let bytes = frame.data_ref().map_or(0, bytes::Bytes::len);
                let may = self.place.may_hold(bytes);
                if self.body.is_end_stream() {
                    self.place.is_whole();
                }
                may
            }
            Poll::Ready(None) => {
                self.place.is_whole();
                true
            }
            Poll::Ready(Some(Err(_))) => true,
            Poll::Pending => self.place.may_wait(context),
        };
        if may {
            polled
        } else {
            Poll::Ready(Some(Err(ApiError::Overloaded { retry_after: RETRY_AFTER }.into())))
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<S> Layer<S> for Intake {
    type Service = Guarded<S>;

    fn layer(&self, inner: S) -> Guarded<S> {
        Guarded { inner, intake: self.clone() }
    }
}

/// A service whose requests are counted until they are answered. (What streams after that has a
/// bound of its own.)
#[derive(Clone)]
pub struct Guarded<S> {
    inner: S,
    intake: Intake,
}

impl<S> Service<Request<Body>> for Guarded<S>
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
        let place = self.intake.enter();
        let counted = place.clone();
        let answer =
            self.inner.call(request.map(|body| Body::new(Counted { body, place: counted })));
        Box::pin(async move {
            let answer = answer.await;
            drop(place);
            answer
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use http_body::Body as _;

    use super::*;

    fn intake(budget: usize) -> Intake {
        Intake::new(budget, IntCounter::new("refused", "refused").unwrap())
    }

    fn held(intake: &Intake) -> usize {
        intake.ledger.lock().held
    }

    #[test]
    fn the_oldest_unfinished_request_makes_room_and_finished_ones_stay() {
        let intake = intake(3 * BASE);
        let (whole, oldest, newer) = (intake.enter(), intake.enter(), intake.enter());
        whole.is_whole();
        assert!(newer.may_hold(100));
        assert!(whole.may_hold(0) && !oldest.may_hold(0), "the oldest that is not whole had to go");
        assert_eq!(held(&intake), 2 * BASE + 100);
        assert!(!newer.may_hold(BASE), "there is nobody else to go");
        assert_eq!(held(&intake), BASE);
        drop((whole, oldest, newer));
        assert_eq!((held(&intake), intake.ledger.lock().requests.len()), (0, 0));
    }

    #[test]
    fn a_request_that_waits_for_its_message_is_woken_when_it_is_refused() {
        let intake = intake(2 * BASE);
        let place = intake.enter();
        let mut body = Counted { body: Body::new(Never), place };
        let mut context = Context::from_waker(Waker::noop());
        assert!(Pin::new(&mut body).poll_frame(&mut context).is_pending());
        let others = (intake.enter(), intake.enter());
        let Poll::Ready(Some(Err(refused))) = Pin::new(&mut body).poll_frame(&mut context) else {
            panic!("it must be refused")
        };
        assert_eq!(refused.code(), tonic::Code::ResourceExhausted);
        assert_eq!(intake.ledger.lock().refused.get(), 1);
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
