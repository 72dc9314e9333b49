//! A followed queue against the embedded store: exact positions, gaps, lost data, and subscribers
//! that are slow.

#![allow(clippy::unwrap_used)]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bookingq_core::eta::{Eta, EtaReading, EtaUnknown};
use bookingq_core::line::Line;
use bookingq_core::{
    Admission, BookingId, BookingState, Details, Outflow, Place, Quantity, QueueName, RequestId,
    ReservationId, Timestamp,
};
use bookingq_follow::{
    FollowEvent, FollowedQueue, OutboxFollower, ParkedView, Standing, WatchUpdate,
};
use bookingq_store::{Cancel, Enqueue, MemoryConfig, Scope, Settlement, Store, TaskOutcome};
use support::{client, event, is_quiet, watched};

const LIMIT: Duration = Duration::from_secs(10);

async fn enqueue(store: &dyn Store, numbers: impl IntoIterator<Item = u64>) -> Vec<Place> {
    let batch = numbers.into_iter().map(|number| Enqueue {
        client: client(number),
        request: RequestId::new("r").unwrap(),
        booking: BookingId::generate(),
        details: Details::default(),
        trace: None,
    });
    let enqueued = store.enqueue(batch.collect()).await.unwrap();
    enqueued.into_iter().map(|enqueued| enqueued.unwrap().booking.place).collect()
}

/// A store, and a process that follows it.
struct Followed {
    store: Arc<dyn Store>,
    queue: Arc<FollowedQueue>,
    resync: Arc<AtomicBool>,
    gaps: Arc<AtomicUsize>,
    _follower: tokio::task::JoinSet<()>,
}

impl Followed {
    /// Follows a store that keeps `outbox_events` events, with `waiting` clients in line before.
    async fn start(outbox_events: usize, waiting: u64) -> Self {
        let name = QueueName::new("concert").unwrap();
        let config = MemoryConfig { outbox_events, ..MemoryConfig::new(name) };
        let store = bookingq_store::open(config).unwrap();
        enqueue(&*store, 1..=waiting).await;
        Self::follow(store).await
    }

    async fn follow(store: Arc<dyn Store>) -> Self {
        let (queue, resync, gaps) =
            (FollowedQueue::new(), Arc::default(), Arc::<AtomicUsize>::default());
        let (loaded, has_loaded) = tokio::sync::oneshot::channel::<()>();
        let (loaded, counted) = (std::sync::Mutex::new(Some(loaded)), Arc::clone(&gaps));
        let follower = OutboxFollower {
            store: Arc::clone(&store),
            queue: Arc::clone(&queue),
            resync: Arc::clone(&resync),
            observer: move |event: FollowEvent<'_>| match event {
                FollowEvent::Loaded(_) => drop(loaded.lock().unwrap().take()),
                FollowEvent::Gap => {
                    counted.fetch_add(1, Ordering::Relaxed);
                }
                FollowEvent::Received(_) | FollowEvent::Failed(_) => {}
            },
        };
        let mut followers = tokio::task::JoinSet::new();
        followers.spawn(follower.run());
        // The sender is dropped as soon as the line is loaded.
        has_loaded.await.unwrap_err();
        Self { store, queue, resync, gaps, _follower: followers }
    }

    async fn until_position(&self, place: Place, position: Option<u64>) {
        let reached = async {
            while self.queue.line.standing(place) != position.map(Standing::InLine) {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        let found = tokio::time::timeout(LIMIT, reached).await;
        assert!(found.is_ok(), "{:?}, not {position:?}", self.queue.line.standing(place));
    }
}

#[tokio::test]
async fn positions_are_exact_while_clients_join_and_leave() {
    let followed = Followed::start(1000, 3).await;
    let places = enqueue(&*followed.store, 4..=6).await;
    for (place, position) in places.iter().zip(4..) {
        followed.until_position(*place, Some(position)).await;
    }
    let cancelled = Cancel { client: client(2), booking: None };
    followed.store.cancel(vec![cancelled]).await.unwrap().remove(0).unwrap();
    followed.until_position(places[2], Some(5)).await;
    assert_eq!(followed.queue.line.summary().backlog, 5);
    assert_eq!(followed.gaps.load(Ordering::Relaxed), 0);
}

/// Claims one booking and settles it.
async fn serve(store: &dyn Store, outcome: TaskOutcome) {
    let claim = store.claim(1, Duration::from_secs(60), Scope::Everything).await.unwrap();
    let (lease, busy) = (claim.tasks[0].lease(), Duration::ZERO);
    store.settle(vec![Settlement { lease, outcome, busy }]).await.unwrap();
}

#[tokio::test]
async fn a_process_that_starts_loads_the_closed_items_and_the_places_that_wait_for_them() {
    let store = bookingq_store::open(MemoryConfig::new(QueueName::new("concert").unwrap()));
    let store = store.unwrap();
    let places = enqueue(&*store, 1..=4).await;
    let (reservation, hold) = (ReservationId::new("r").unwrap(), Duration::from_secs(60));
    serve(&*store, TaskOutcome::Reserved { reservation, hold, left: None }).await;
    serve(&*store, TaskOutcome::SOLD_OUT).await;
    let claim = store.claim(1, Duration::from_secs(60), Scope::Everything).await.unwrap();
    assert!(claim.tasks.is_empty(), "the others are parked");
    let followed = Followed::follow(store).await;
    let standing = places[1..].iter().map(|place| followed.queue.line.standing(*place));
    let expected = [1, 2, 3].map(|position| Some(Standing::Parked(position)));
    assert_eq!(standing.collect::<Vec<_>>(), expected);
    let item = followed.queue.items.refusing("", Quantity::ONE).unwrap();
    assert_eq!((item.unsettled, item.waiting), (1, 3));
}

#[tokio::test]
async fn after_a_gap_the_line_is_loaded_again_and_subscribers_refresh() {
    let followed = Followed::start(4, 1).await;
    let mut subscription = followed.queue.hub.subscribe(&client(1));
    // One batch of more events than the outbox keeps.
    let places = enqueue(&*followed.store, 2..=100).await;
    followed.until_position(*places.last().unwrap(), Some(100)).await;
    assert_eq!(followed.gaps.load(Ordering::Relaxed), 1);
    assert!(matches!(subscription.next().await, Some(WatchUpdate::Refresh)));
}

#[tokio::test]
async fn when_the_store_has_lost_data_the_line_is_loaded_again_and_subscribers_refresh() {
    let followed = Followed::start(1000, 1).await;
    let mut subscription = followed.queue.hub.subscribe(&client(1));
    let gone = Place::numbered(99);
    followed.queue.apply(vec![event(99, None, BookingState::Queued)]);
    followed.until_position(gone, Some(2)).await;
    followed.resync.store(true, Ordering::Relaxed);
    followed.until_position(gone, None).await;
    let refresh = tokio::time::timeout(LIMIT, subscription.next()).await.unwrap();
    assert!(matches!(refresh, Some(WatchUpdate::Refresh)), "{refresh:?}");
    assert_eq!(followed.gaps.load(Ordering::Relaxed), 1);
}

#[test]
fn a_repeated_event_from_before_the_line_was_loaded_changes_nothing() {
    let queue = FollowedQueue::new();
    let mut line = Line::new();
    line.join(Place::numbered(2));
    queue.reload(line, ParkedView::default(), Vec::new());
    let left = event(1, Some(BookingState::Queued), BookingState::Cancelled);
    let joined = event(2, None, BookingState::Queued);
    queue.apply(vec![left, joined]);
    assert_eq!(queue.line.standing(Place::numbered(2)), Some(Standing::InLine(1)));
    assert_eq!(queue.line.standing(Place::numbered(1)), None);
}

#[test]
fn the_pace_of_the_line_gives_a_rate_and_an_expected_wait() {
    let queue = FollowedQueue::new();
    let unknown = Eta::Unknown(EtaUnknown::NoData);
    assert_eq!((queue.line.rate(), queue.line.eta(10)), (0.0, unknown));
    queue.apply((1..=500).map(|number| event(number, None, BookingState::Queued)).collect());
    for second in 0..=10 {
        queue.line.observe(reading(second, Admission::Open), second * 20);
        let served = (second * 20 + 1)..=(second * 20 + 20);
        let served = served.map(|n| event(n, Some(BookingState::Queued), BookingState::Reserving));
        queue.apply(served.collect());
    }
    assert!((queue.line.rate() - 20.0).abs() < 0.1, "{}", queue.line.rate());
    let Eta::Range(range) = queue.line.eta(100) else { panic!("{:?}", queue.line.eta(100)) };
    let expected = range.expected.as_secs_f64();
    assert!((expected - 5.0).abs() < 0.3, "{expected}");
    assert!(range.low < range.expected && range.expected < range.high, "{range:?}");
    queue.line.observe(reading(11, Admission::Paused), 220);
    assert_eq!(queue.line.eta(100), Eta::Unknown(EtaUnknown::Paused));
    assert!(queue.line.is_limited() && queue.line.eta_points(32).is_empty());
}

fn reading(second: u64, admission: Admission) -> EtaReading {
    EtaReading {
        at: Timestamp(second * 1000),
        in_flight: 10,
        slots: 10,
        admission,
        opens_at: None,
        outage: false,
        outflow: Outflow::default(),
    }
}

#[tokio::test]
async fn a_subscriber_receives_the_events_of_its_client_until_it_is_dropped() {
    let queue = FollowedQueue::new();
    let mut subscription = queue.hub.subscribe(&client(2));
    let bookings = [1, 2, 3].map(|number| event(number, None, BookingState::Queued));
    queue.apply(bookings.to_vec());
    let Some(WatchUpdate::Event(received)) = subscription.next().await else { panic!() };
    assert_eq!(received.client, client(2));
    assert_eq!(queue.hub.len(), 1);
    drop(subscription);
    assert!(queue.hub.is_empty());
}

#[tokio::test]
async fn a_slow_subscriber_receives_what_fits_and_then_refreshes_once() {
    let queue = FollowedQueue::new();
    let mut subscription = queue.hub.subscribe(&client(1));
    queue.apply(vec![event(1, None, BookingState::Queued); 100]);
    let mut received = 0;
    while let Some(WatchUpdate::Event(_)) = subscription.next().await {
        received += 1;
    }
    assert!((1..100).contains(&received), "{received}");
    // The refresh made up for the rest: the next update is a new one.
    queue.apply(vec![event(1, Some(BookingState::Queued), BookingState::Cancelled)]);
    let Some(WatchUpdate::Event(next)) = subscription.next().await else { panic!() };
    assert_eq!(next.to, BookingState::Cancelled);
}

#[tokio::test(start_paused = true)]
async fn a_position_is_sent_when_it_has_changed_and_only_while_the_booking_waits() {
    let queue = FollowedQueue::new();
    let publisher = tokio::spawn(Arc::clone(&queue).publish_positions());
    queue.apply([1, 2, 3].map(|number| event(number, None, BookingState::Queued)).to_vec());
    let mut subscription = queue.hub.subscribe(&client(9));
    assert!(is_quiet(&mut subscription).await, "no place is followed yet");
    subscription.follow(Some(watched(3)));
    let Some(WatchUpdate::Position(Standing::InLine(3))) = subscription.next().await else {
        panic!()
    };
    assert!(is_quiet(&mut subscription).await, "the position has not changed");
    queue.apply(vec![event(1, Some(BookingState::Queued), BookingState::Reserving)]);
    let Some(WatchUpdate::Position(Standing::InLine(2))) = subscription.next().await else {
        panic!()
    };
    subscription.follow(None);
    queue.apply(vec![event(2, Some(BookingState::Queued), BookingState::Reserving)]);
    assert!(is_quiet(&mut subscription).await, "the booking has left the line");
    publisher.abort();
}
