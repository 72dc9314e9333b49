//! Items that sell out: positions of parked bookings, what watchers learn, and the chance of a
//! ticket.

#![allow(clippy::unwrap_used)]

mod support;

use std::sync::Arc;
use std::time::Duration;

use bookingq_core::eta::Chance;
use bookingq_core::line::Line;
use bookingq_core::{
    BookingState, Event, EventSeq, ItemChange, ItemEvent, ItemState, OutboxEvent, Parked, Place,
    Quantity, Timestamp,
};
use bookingq_follow::{
    DemandView, FollowedQueue, ParkedView, Standing, Subscription, WatchUpdate, WatchedBooking,
};
use support::{client, event, is_quiet, transition, watched};

fn stalls(change: ItemChange) -> OutboxEvent {
    let (seq, at) = (EventSeq::START, Timestamp(1));
    OutboxEvent::Item(ItemEvent { seq, at, item: Arc::from("stalls"), change })
}

fn parked(numbers: &[u64]) -> OutboxEvent {
    let places = numbers.iter().copied().map(Place::numbered).collect();
    stalls(ItemChange::Parked { quantity: Quantity::ONE, places })
}

fn sold_out(unsettled: u64) -> Vec<ItemState> {
    let refused = Some(Quantity::ONE);
    vec![ItemState { refused, unsettled, ..ItemState::open(Arc::from("stalls")) }]
}

#[test]
fn the_chance_follows_from_the_demand_that_joined_here_and_from_what_is_left() {
    let demand = DemandView::default();
    let chance = |item, position| demand.chance(item, Quantity::ONE, Standing::InLine(position));
    for _ in 0..30 {
        demand.joined(&Arc::from("stalls"), Quantity::ONE);
        (0..9).for_each(|_| demand.joined(&Arc::from("balcony"), Quantity::ONE));
    }
    assert_eq!(chance("stalls", 1), None, "the stock is unknown");
    let left = |item: &str, left| ItemState { left: Some(left), ..ItemState::open(item.into()) };
    demand.read(vec![left("stalls", 50), left("balcony", 50)]);
    // One of ten in the line wants the stalls.
    assert_eq!(chance("stalls", 400), Some(Chance::Likely));
    demand.observe(900, 1000);
    assert_eq!(chance("balcony", 400), Some(Chance::Unlikely));
    assert_eq!(chance("standing", 1), None, "no booking of it joined here");
    let parked = demand.chance("stalls", Quantity::ONE, Standing::Parked(400));
    assert_eq!(parked, Some(Chance::Unlikely), "all that are parked before it want it");
}

#[test]
fn the_chance_of_a_booking_that_joins_now_counts_those_that_are_parked_for_its_item() {
    let demand = DemandView::default();
    for _ in 0..30 {
        demand.joined(&Arc::from("stalls"), Quantity::new(2).unwrap());
        (0..9).for_each(|_| demand.joined(&Arc::from("balcony"), Quantity::ONE));
    }
    demand.observe(900, 1000);
    assert_eq!(demand.chances_at_end(0), [], "the stock is unknown");
    let closed = ItemState { waiting: 1000, ..sold_out(30).remove(0) };
    let stalls = ItemState { left: Some(0), ..closed };
    let balcony = ItemState { left: Some(500), ..ItemState::open(Arc::from("balcony")) };
    demand.read(vec![stalls.clone(), balcony]);
    let chances = |in_line| demand.chances_at_end(in_line).into_iter().map(|(_, chance)| chance);
    assert!(chances(0).eq([Chance::Likely, Chance::Unlikely]), "balcony, stalls");
    assert!(chances(1000).eq([Chance::Unlikely, Chance::Unlikely]), "900 want the balcony");
    // In the line it is the first of the line, but all that are parked come first.
    let joined = demand.chance("stalls", Quantity::ONE, Standing::InLine(1));
    assert_eq!(joined, Some(Chance::Unlikely));
    // Only larger quantities are sold out: who waits for them does not come first.
    demand.read(vec![ItemState { refused: Quantity::new(4).ok(), left: Some(3), ..stalls }]);
    let small = demand.chance("stalls", Quantity::ONE, Standing::InLine(1));
    assert_eq!(small, Some(Chance::Likely));
}

#[test]
fn parked_bookings_leave_the_line_and_have_positions_among_those_of_the_item() {
    let queue = FollowedQueue::new();
    queue.apply([1, 2, 3, 4, 5].map(|number| event(number, None, BookingState::Queued)).to_vec());
    let standing = |number| queue.line.standing(Place::numbered(number));
    queue.apply(vec![parked(&[2, 4, 5])]);
    assert_eq!(standing(4), Some(Standing::Parked(2)));
    assert_eq!(standing(3), Some(Standing::InLine(2)));
    let claimed = event(2, Some(BookingState::Queued), BookingState::Reserving);
    let cancelled = event(4, Some(BookingState::Queued), BookingState::Cancelled);
    queue.apply(vec![claimed, cancelled]);
    assert_eq!((standing(2), standing(4)), (None, None));
    assert_eq!(standing(5), Some(Standing::Parked(1)));
    let stalls = Parked { item: Arc::from("stalls"), quantity: Quantity::ONE };
    let refused = transition(2, Some(BookingState::Reserving), BookingState::Queued);
    let refused = Event { parked: Some(stalls), ..refused };
    queue.apply(vec![OutboxEvent::Booking(refused)]);
    assert_eq!((standing(2), standing(5)), (Some(Standing::Parked(1)), Some(Standing::Parked(2))));
    let summary = queue.line.summary();
    assert_eq!((summary.backlog, summary.parked), (2, 2));
}

#[test]
fn a_replay_of_all_that_happened_while_the_places_were_loaded_leads_to_the_same_standing() {
    let (history, places) = (
        [
            event(1, None, BookingState::Queued),
            event(2, None, BookingState::Queued),
            parked(&[1, 2]),
            event(1, Some(BookingState::Queued), BookingState::Reserving),
            event(2, Some(BookingState::Queued), BookingState::Reserving),
        ],
        [Place::numbered(1), Place::numbered(2)],
    );
    let whole = FollowedQueue::new();
    whole.apply(history.to_vec());
    // The pages were read after some of it had happened, each at another moment.
    for (line_read_at, parked_read_at) in (0..=5).flat_map(|a| (a..=5).map(move |b| (a, b))) {
        let past = |until: usize| {
            let queue = FollowedQueue::new();
            queue.apply(history[..until].to_vec());
            places.map(|place| (place, queue.line.standing(place)))
        };
        let (mut line, mut parked) = (Line::new(), ParkedView::default());
        for (place, standing) in past(line_read_at) {
            if matches!(standing, Some(Standing::InLine(_))) {
                line.join(place);
            }
        }
        for (place, standing) in past(parked_read_at) {
            if matches!(standing, Some(Standing::Parked(_))) {
                parked.join(&Arc::from("stalls"), [place]);
            }
        }
        let queue = FollowedQueue::new();
        queue.reload(line, parked, Vec::new());
        queue.apply(history.to_vec());
        for place in places {
            assert_eq!(queue.line.standing(place), whole.line.standing(place));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_watcher_learns_at_once_that_its_item_closed_opened_or_ended_and_that_it_is_parked() {
    let queue = FollowedQueue::new();
    let publisher = tokio::spawn(Arc::clone(&queue).publish_positions());
    let mut subscription = queue.hub.subscribe(&client(1));
    subscription.follow(Some(watched(1)));
    let other = queue.hub.subscribe(&client(2));
    other.follow(Some(WatchedBooking { item: Arc::from("balcony"), ..watched(2) }));
    queue.apply(vec![stalls(ItemChange::SoldOut { quantity: Quantity::ONE })]);
    queue.items.changed().await;
    queue.refresh_items(Some(sold_out(12)));
    assert!(matches!(subscription.next().await, Some(WatchUpdate::Item)));
    assert_eq!(queue.items.refusing("stalls", Quantity::ONE).unwrap().unsettled, 12);
    assert!(queue.items.refusing("balcony", Quantity::ONE).is_none());
    queue.apply(vec![parked(&[1])]);
    let Some(WatchUpdate::Position(Standing::Parked(1))) = subscription.next().await else {
        panic!()
    };
    queue.apply(vec![stalls(ItemChange::Ended)]);
    queue.refresh_items(None);
    assert!(matches!(subscription.next().await, Some(WatchUpdate::Item)));
    queue.apply(vec![stalls(ItemChange::Open)]);
    queue.refresh_items(None);
    assert!(matches!(subscription.next().await, Some(WatchUpdate::Item)));
    assert!(is_quiet(&mut subscription).await);
    assert!(other.is_empty(), "it wants another item");
    publisher.abort();
}

#[tokio::test(start_paused = true)]
async fn a_watcher_learns_every_two_seconds_at_most_that_more_or_fewer_may_come_back() {
    let queue = FollowedQueue::new();
    let mut subscription = queue.hub.subscribe(&client(1));
    subscription.follow(Some(WatchedBooking { shown: sold_out(100).pop(), ..watched(1) }));
    queue.refresh_items(Some(sold_out(50)));
    assert!(is_quiet(&mut subscription).await, "too soon");
    queue.refresh_items(Some(sold_out(91)));
    assert!(is_quiet(&mut subscription).await, "less than a tenth");
    queue.refresh_items(Some(sold_out(89)));
    assert!(matches!(subscription.next().await, Some(WatchUpdate::Item)));
}

#[tokio::test]
async fn every_one_of_ninety_thousand_watchers_learns_within_two_seconds_that_its_item_closed() {
    let queue = FollowedQueue::new();
    let mut watchers: Vec<Subscription> = (0..90_000)
        .map(|number| {
            let subscription = queue.hub.subscribe(&client(number));
            subscription.follow(Some(watched(number)));
            subscription
        })
        .collect();
    let closed = std::time::Instant::now();
    queue.apply(vec![stalls(ItemChange::SoldOut { quantity: Quantity::ONE })]);
    queue.refresh_items(None);
    for watcher in &mut watchers {
        assert!(matches!(watcher.next().await, Some(WatchUpdate::Item)));
    }
    assert!(closed.elapsed() < Duration::from_secs(2), "{:?}", closed.elapsed());
}
