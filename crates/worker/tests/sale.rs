//! Items that sell out and come back, the rules of a sale, and payments that come too late: a
//! worker between the embedded store and a Booking Service made by hand.

#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::time::Duration;

use bookingq_core::{Outflow, SaleRules, Timestamp, Workforce, WorkforceChange};
use bookingq_proto::v1::{self, BookingState, ErrorReason, EtaUnknown, ItemAvailability};
use bookingq_worker::{WorkerConfig, WorkerHandle};
use support::stock::StockService;
use support::{Client, World, cancel, connect, eventually, reason, status, until_state};
use tonic_types::StatusExt as _;

struct Sale {
    world: World,
    service: StockService,
}

impl Sale {
    async fn of(stock: &[(&str, u64)]) -> Self {
        Self { world: World::new("stock=0").await, service: StockService::start(stock).await }
    }

    fn config(&self) -> WorkerConfig {
        let mut config = self.world.config("w");
        config.tasks.booking = support::downstream(self.service.address);
        config.tasks.booking.timeout = Duration::from_secs(5);
        config
    }

    async fn worker(&self) -> (WorkerHandle, Client) {
        let worker = self.world.worker_with(self.config()).await;
        let client = connect(&worker).await;
        (worker, client)
    }
}

async fn join(client: &mut Client, who: &str, item: &str, quantity: i32) {
    let (queue, request_id) = ("concert".into(), "r".into());
    let (client_id, item) = (who.into(), item.into());
    let request =
        v1::EnqueueRequest { queue, client_id, request_id, item, quantity, ..Default::default() };
    client.enqueue(request).await.unwrap();
}

async fn until_parked(client: &Client, who: &str) {
    eventually(&format!("{who} is parked"), || {
        let mut client = client.clone();
        async move { status(&mut client, who).await.parked }
    })
    .await;
}

/// A sale of one ticket, which "a" has held too long without paying.
async fn with_an_overdue_hold() -> (Sale, WorkerHandle, Client, v1::Booking) {
    let sale = Sale::of(&[("stalls", 1)]).await;
    let mut config = sale.config();
    config.tasks.hold = Duration::from_millis(200);
    let worker = sale.world.worker_with(config).await;
    let mut client = connect(&worker).await;
    join(&mut client, "a", "stalls", 1).await;
    let old = until_state(&client, "a", BookingState::Reserved).await;
    eventually("the hold is over", || async {
        sale.world.store.snapshot().await.unwrap().overdue == 1
    })
    .await;
    (sale, worker, client, old)
}

async fn pay_late(client: &mut Client, who: &str) -> v1::ConfirmPaymentResponse {
    let payment_id = format!("p-{who}");
    let request = v1::ConfirmPaymentRequest {
        queue: "concert".into(),
        client_id: who.into(),
        payment_id,
        reacquire: true,
        ..Default::default()
    };
    client.confirm_payment(request).await.unwrap().into_inner()
}

async fn queue(client: &mut Client) -> v1::GetQueueResponse {
    let request = v1::GetQueueRequest { queue: "concert".into() };
    client.get_queue(request).await.unwrap().into_inner()
}

#[tokio::test]
async fn returned_stock_goes_to_the_smallest_number_that_fits_within_a_second() {
    let sale = Sale::of(&[("stalls", 2)]).await;
    let (worker, mut client) = sale.worker().await;
    for who in ["a", "b"] {
        join(&mut client, who, "stalls", 1).await;
        until_state(&client, who, BookingState::Reserved).await;
    }
    for (who, quantity) in [("c", 2), ("d", 1), ("e", 1)] {
        join(&mut client, who, "stalls", quantity).await;
        until_parked(&client, who).await;
    }
    for (who, next) in [("a", "d"), ("b", "e")] {
        cancel(&mut client, who).await.unwrap();
        until_state(&client, next, BookingState::Reserved).await;
        let state = sale.service.state.lock();
        let reserve = state.reserves.iter().find(|call| call.client == next && call.reserved);
        let waited = reserve.unwrap().at.duration_since(state.released[who]);
        assert!(waited < Duration::from_secs(1), "{next} waited {waited:?}");
    }
    let waiting = status(&mut client, "c").await;
    assert_eq!(waiting.eta_unknown(), EtaUnknown::SoldOut);
    assert_eq!(
        (waiting.state(), waiting.parked, waiting.position),
        (BookingState::Queued, true, 1)
    );
    worker.drain().await;
}

#[tokio::test]
async fn clients_that_want_a_sold_out_item_are_set_aside_and_the_next_item_is_served_at_once() {
    let sale = Sale::of(&[("a", 5), ("b", 5)]).await;
    sale.world.store.set_admission(bookingq_core::Admission::Paused).await.unwrap();
    let (worker, mut client) = sale.worker().await;
    for n in 0..300 {
        join(&mut client, &format!("a{n}"), "a", 1).await;
    }
    join(&mut client, "b0", "b", 1).await;
    sale.world.store.set_admission(bookingq_core::Admission::Open).await.unwrap();
    until_state(&client, "b0", BookingState::Reserved).await;
    eventually("the others are parked", || async {
        sale.world.store.snapshot().await.unwrap().parked == 295
    })
    .await;
    let last = status(&mut client, "a299").await;
    assert_eq!((last.parked, last.position), (true, 295));
    let most = 5 + sale.config().tasks.concurrency + 2;
    let reserves = sale.service.state.lock().reserves_of("a");
    assert!(reserves <= most, "{reserves} Reserves of a sold out item, not {most}");
    let state = queue(&mut client).await;
    assert_eq!((state.backlog, state.parked), (0, 295));
    let item = &state.items[0];
    assert_eq!(item.availability(), ItemAvailability::SoldOutAtTheMoment);
    assert_eq!((item.item.as_str(), item.waiting, item.unsettled), ("a", 295, 5));
    worker.drain().await;
}

#[tokio::test]
async fn a_watcher_that_waits_learns_what_happens_to_the_item_and_the_end_comes_only_for_good() {
    let sale = Sale::of(&[("stalls", 1)]).await;
    let (worker, mut client) = sale.worker().await;
    join(&mut client, "a", "stalls", 1).await;
    until_state(&client, "a", BookingState::Reserved).await;
    join(&mut client, "b", "stalls", 1).await;
    let request = v1::WatchStatusRequest { queue: "concert".into(), client_id: "b".into() };
    let mut stream = client.watch_status(request).await.unwrap().into_inner();
    let mut until = async |what: &str, found: &dyn Fn(&v1::Booking) -> bool| {
        loop {
            let next = tokio::time::timeout(support::LIMIT, stream.message()).await;
            let booking = next.expect(what).unwrap().expect(what).booking.unwrap();
            if found(&booking) {
                return booking;
            }
        }
    };
    let waits = until("it is sold out at the moment", &|booking| {
        let item = booking.item_status.as_ref();
        booking.parked && item.is_some_and(|item| item.unsettled == 1)
    })
    .await;
    assert_eq!(waits.state(), BookingState::Queued);
    let paid = support::pay(&mut client, "a", "p").await.unwrap();
    assert_eq!(paid.state(), BookingState::Confirmed);
    let end = until("nothing can come back", &|booking| booking.state() != BookingState::Queued);
    let end = end.await.state();
    assert!(matches!(end, BookingState::Reserving | BookingState::SoldOut), "{end:?}");
    until_state(&client, "b", BookingState::SoldOut).await;
    worker.drain().await;
}

#[tokio::test]
async fn one_worker_asks_the_ticket_service_for_stock_that_came_back_and_reserves_nothing_before() {
    let sale = Sale::of(&[("stalls", 0)]).await;
    let mut config = sale.config();
    config.tasks.ticket = Some(support::downstream(sale.service.address));
    let worker = sale.world.worker_with(config.clone()).await;
    let other = sale.world.worker_with(WorkerConfig { id: "v".into(), ..config }).await;
    let mut client = connect(&worker).await;
    join(&mut client, "a", "stalls", 1).await;
    until_parked(&client, "a").await;
    assert_eq!(sale.service.state.lock().reserves.len(), 0, "the Ticket Service said no");
    let (asked, start) = (sale.service.state.lock().questions, std::time::Instant::now());
    eventually("the Ticket Service is asked again", || async {
        sale.service.state.lock().questions >= asked + 2
    })
    .await;
    assert!(start.elapsed() > Duration::from_millis(500), "once a second, by one worker");
    sale.service.state.lock().left.insert("stalls".into(), 1);
    until_state(&client, "a", BookingState::Reserved).await;
    worker.drain().await;
    other.drain().await;
}

#[tokio::test]
async fn a_refusal_that_is_answered_after_stock_came_back_ends_no_booking() {
    let sale = Sale::of(&[("stalls", 1)]).await;
    let (worker, mut client) = sale.worker().await;
    join(&mut client, "a", "stalls", 1).await;
    until_state(&client, "a", BookingState::Reserved).await;
    // Longer than a lease.
    sale.service.state.lock().late = Some(Duration::from_millis(1500));
    join(&mut client, "b", "stalls", 1).await;
    eventually("the Booking Service has refused b", || async {
        sale.service.state.lock().reserves.len() == 2
    })
    .await;
    cancel(&mut client, "a").await.unwrap();
    until_state(&client, "a", BookingState::Cancelled).await;
    until_state(&client, "b", BookingState::Reserved).await;
    assert_eq!(sale.world.store.snapshot().await.unwrap().totals.sold_out, 0);
    worker.drain().await;
}

#[tokio::test]
async fn a_late_payment_is_reserved_and_confirmed_ahead_of_the_line_and_repeats_are_harmless() {
    let (sale, worker, mut client, old) = with_an_overdue_hold().await;
    let late = support::pay(&mut client, "a", "p-a").await.unwrap_err();
    assert_eq!(reason(&late), ErrorReason::HoldExpired);
    let answer = pay_late(&mut client, "a").await;
    assert_eq!(answer.reacquired_for, old.booking_id);
    let booking = answer.booking.unwrap();
    assert_eq!(booking.state(), BookingState::Confirmed);
    let repeated = pay_late(&mut client, "a").await;
    assert_eq!(repeated.reacquired_for, old.booking_id);
    assert_eq!(repeated.booking.unwrap().booking_id, booking.booking_id);
    assert_eq!(sale.service.state.lock().confirmed["p-a"], [booking.booking_id]);
    assert_eq!(sale.world.store.snapshot().await.unwrap().totals.reacquired, 1);
    worker.drain().await;
}

#[tokio::test]
async fn a_late_payment_for_what_is_gone_is_refused_with_both_ids_so_that_it_can_be_returned() {
    let (sale, worker, mut client, old) = with_an_overdue_hold().await;
    sale.service.state.lock().sells_elsewhere = true;
    let answer = pay_late(&mut client, "a").await;
    let booking = answer.booking.unwrap();
    assert_eq!(answer.reacquired_for, old.booking_id);
    assert_ne!(booking.booking_id, old.booking_id);
    assert_eq!(booking.state(), BookingState::SoldOut);
    assert!(sale.service.state.lock().confirmed.is_empty());
    worker.drain().await;
}

#[tokio::test]
async fn no_client_is_served_before_the_sale_opens_and_the_outflow_limits_who_leaves_the_line() {
    let sale = Sale::of(&[("", 100)]).await;
    let opens_at = sale.world.store.snapshot().await.unwrap().now + Duration::from_millis(1500);
    let outflow = Outflow { per_minute: Some(60), burst: Some(2), max_holds: None };
    let rules = SaleRules { opens_at: Some(opens_at), outflow, ..SaleRules::default() };
    sale.world.store.set_rules(rules).await.unwrap();
    let (worker, mut client) = sale.worker().await;
    for n in 0..10 {
        join(&mut client, &format!("c{n}"), "", 1).await;
    }
    let before = queue(&mut client).await;
    assert!(before.opens_in.is_some() && before.opens_at.is_some());
    assert_eq!((before.backlog, before.outflow.unwrap().per_minute), (10, 60));
    until_state(&client, "c1", BookingState::Reserved).await;
    let now = sale.world.store.snapshot().await.unwrap();
    assert!(now.now >= opens_at);
    assert!(now.backlog >= 7, "at most two at once, then one a second: {}", now.backlog);
    let set = |outflow| v1::SetOutflowRequest { queue: "concert".into(), outflow: Some(outflow) };
    let wrong = v1::Outflow { burst: 5, ..v1::Outflow::default() };
    let wrong = client.set_outflow(set(wrong)).await.unwrap_err();
    assert_eq!(reason(&wrong), ErrorReason::InvalidArgument);
    assert_eq!(wrong.get_details_error_info().unwrap().metadata["field"], "outflow.burst");
    client.set_outflow(set(v1::Outflow::default())).await.unwrap();
    until_state(&client, "c9", BookingState::Reserved).await;
    let after = queue(&mut client).await;
    assert!(after.outflow.is_none() && after.opens_at.is_some() && after.opens_in.is_none());
    worker.drain().await;
}

#[tokio::test]
async fn a_client_of_a_paused_queue_gets_the_reason_instead_of_a_wait() {
    let sale = Sale::of(&[("", 100)]).await;
    sale.world.store.set_admission(bookingq_core::Admission::Paused).await.unwrap();
    let (worker, mut client) = sale.worker().await;
    join(&mut client, "a", "", 1).await;
    eventually("the worker has read the admission", || {
        let mut client = client.clone();
        async move { status(&mut client, "a").await.eta_unknown() == EtaUnknown::Paused }
    })
    .await;
    assert!(status(&mut client, "a").await.eta.is_none());
    worker.drain().await;
}

#[tokio::test]
async fn get_queue_shows_the_workers_as_they_were_last_recorded() {
    let sale = Sale::of(&[("", 100)]).await;
    let (worker, mut client) = sale.worker().await;
    assert!(queue(&mut client).await.workforce.is_none());
    let change = WorkforceChange {
        at: Timestamp(1_800_000_000_500),
        from: 2,
        to: 5,
        reason: "Demand".to_owned(),
        note: "1200 in line".to_owned(),
    };
    let workers = Workforce { wanted: 5, ready: 3, last_scaling: Some(change) };
    sale.world.store.set_workforce(&workers).await.unwrap();
    let shown = queue(&mut client).await.workforce.unwrap();
    assert_eq!((shown.wanted, shown.ready), (5, 3));
    let change = shown.last_scaling.unwrap();
    assert_eq!((change.from, change.to), (2, 5));
    assert_eq!((change.reason.as_str(), change.note.as_str()), ("Demand", "1200 in line"));
    assert_eq!(change.at.unwrap().nanos, 500_000_000);
    worker.drain().await;
}

#[tokio::test]
async fn get_queue_says_how_long_a_client_that_joins_now_waits_and_how_likely_a_ticket_is() {
    let sale = Sale::of(&[("stalls", 10), ("balcony", 1000)]).await;
    let outflow = Outflow { per_minute: Some(120), ..Outflow::default() };
    sale.world.store.set_rules(SaleRules { outflow, ..SaleRules::default() }).await.unwrap();
    let (worker, mut client) = sale.worker().await;
    for n in 0..150 {
        join(&mut client, &format!("s{n}"), ["stalls", "balcony"][usize::from(n == 1)], 1).await;
    }
    let chances = [("balcony", v1::Chance::Likely), ("stalls", v1::Chance::Unlikely)];
    eventually("the wait and the chances are known", || {
        let mut client = client.clone();
        async move {
            let state = queue(&mut client).await;
            state.eta.is_some() && state.chances.len() == chances.len()
        }
    })
    .await;
    let state = queue(&mut client).await;
    assert_eq!(state.eta_unknown(), EtaUnknown::Unspecified);
    // Two bookings leave the line each second.
    let (eta, all) = (state.eta.unwrap().seconds, i64::try_from(state.backlog / 2).unwrap());
    assert!((all - 2..=all + 2).contains(&eta), "{eta} s behind {} bookings", state.backlog);
    let range = state.eta_range.unwrap();
    assert!(range.low.unwrap().seconds <= eta && eta <= range.high.unwrap().seconds);
    let found = state.chances.iter().map(|of| (of.item.as_str(), of.chance()));
    assert!(found.eq(chances), "{:?}", state.chances);
    sale.world.store.set_admission(bookingq_core::Admission::Paused).await.unwrap();
    eventually("a paused queue has a reason and no wait", || {
        let mut client = client.clone();
        async move { queue(&mut client).await.eta_unknown() == EtaUnknown::Paused }
    })
    .await;
    assert!(queue(&mut client).await.eta.is_none());
    worker.drain().await;
}

#[tokio::test]
async fn a_worker_that_awaits_the_rules_serves_no_client_before_they_are_written() {
    let sale = Sale::of(&[("", 100)]).await;
    let config = WorkerConfig { await_rules: true, ..sale.config() };
    let worker = sale.world.worker_with(config).await;
    let mut client = connect(&worker).await;
    join(&mut client, "a", "", 1).await;
    // The claim loop has surely claimed by then: at least once a second.
    tokio::time::sleep(Duration::from_millis(1200)).await;
    assert_eq!(status(&mut client, "a").await.state(), BookingState::Queued);
    sale.world.store.set_rules(SaleRules::default()).await.unwrap();
    until_state(&client, "a", BookingState::Reserved).await;
    worker.drain().await;
}

#[tokio::test]
async fn restocked_serves_the_clients_that_wait_at_once() {
    let sale = Sale::of(&[("stalls", 1)]).await;
    let (worker, mut client) = sale.worker().await;
    join(&mut client, "a", "stalls", 1).await;
    until_state(&client, "a", BookingState::Reserved).await;
    join(&mut client, "b", "stalls", 1).await;
    until_parked(&client, "b").await;
    sale.service.state.lock().left.insert("stalls".into(), 5);
    let restocked =
        v1::RestockedRequest { queue: "concert".into(), item: "stalls".into(), left: Some(5) };
    let item = client.restocked(restocked).await.unwrap().into_inner().item.unwrap();
    assert_eq!((item.item.as_str(), item.left), ("stalls", Some(5)));
    let start = std::time::Instant::now();
    until_state(&client, "b", BookingState::Reserved).await;
    assert!(start.elapsed() < Duration::from_secs(3), "before the next probe: {start:?}");
    worker.drain().await;
}
