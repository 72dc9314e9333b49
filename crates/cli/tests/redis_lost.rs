//! A Redis that loses its data in the middle of a sale, all of it in two ways, or only what was
//! newest. What docs/operations.md promises for that day, with a real worker process, a real Redis
//! and a simulated Booking Service.

#![allow(missing_docs, clippy::unwrap_used)]

mod process;

use std::collections::HashSet;
use std::time::Duration;

use bookingq_harness::port::free_address;
use bookingq_harness::wait::eventually;
use bookingq_harness::{Fsync, RedisServer};
use bookingq_proto::error::reason_of;
use bookingq_proto::v1::{self, BookingState, ErrorReason};
use bookingq_sim::BookingSim;
use process::{Client, Worker};
use tonic::{Status, Streaming};

const LIMIT: Duration = Duration::from_secs(30);
const STOCK: u64 = 10;

async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, work).await.unwrap()
}

async fn until(what: &str, holds: impl AsyncFnMut() -> bool) {
    eventually(what, LIMIT, holds).await;
}

/// The value of one of the worker's metrics.
async fn metric(worker: &Worker, name: &str) -> Option<f64> {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut stream = tokio::net::TcpStream::connect(worker.admin).await.ok()?;
    stream
        .write_all(b"GET /metrics HTTP/1.1\r\nHost: w\r\nConnection: close\r\n\r\n")
        .await
        .ok()?;
    let mut page = String::new();
    stream.read_to_string(&mut page).await.ok()?;
    let line = page.lines().find(|line| line.starts_with(name) && !line.starts_with('#'))?;
    line.rsplit(' ').next()?.parse().ok()
}

async fn enqueue(client: &mut Client, who: &str) -> Result<v1::Booking, Status> {
    let request = v1::EnqueueRequest {
        queue: "concert".into(),
        client_id: who.into(),
        request_id: "r".into(),
        ..Default::default()
    };
    Ok(client.enqueue(request).await?.into_inner().booking.unwrap())
}

async fn status(client: &mut Client, who: &str) -> Result<v1::Booking, Status> {
    let request = v1::GetStatusRequest { queue: "concert".into(), client_id: who.into() };
    Ok(client.get_status(request).await?.into_inner().booking.unwrap())
}

async fn pay(client: &mut Client, who: &str) -> Result<v1::Booking, Status> {
    let request = v1::ConfirmPaymentRequest {
        queue: "concert".into(),
        client_id: who.into(),
        payment_id: format!("of-{who}"),
        ..Default::default()
    };
    Ok(client.confirm_payment(request).await?.into_inner().booking.unwrap())
}

async fn leave(client: &mut Client, who: &str) -> v1::Booking {
    let request =
        v1::CancelRequest { queue: "concert".into(), client_id: who.into(), ..Default::default() };
    client.cancel(request).await.unwrap().into_inner().booking.unwrap()
}

/// Once it has told something.
async fn watch(client: &mut Client, who: &str) -> Streaming<v1::WatchStatusResponse> {
    let request = v1::WatchStatusRequest { queue: "concert".into(), client_id: who.into() };
    let mut watched = client.watch_status(request).await.unwrap().into_inner();
    assert!(watched.message().await.unwrap().is_some());
    watched
}

async fn is_told_that_it_is_lost(mut watched: Streaming<v1::WatchStatusResponse>) {
    let told = within(async {
        loop {
            match watched.message().await {
                Ok(Some(_)) => {}
                other => return other.unwrap_err(),
            }
        }
    })
    .await;
    assert_eq!(reason_of(&told), Some(ErrorReason::BookingNotFound), "{told:?}");
}

async fn becomes(client: &mut Client, who: &str, wanted: BookingState) {
    until(&format!("{who} is {wanted:?}"), async || {
        status(client, who).await.is_ok_and(|booking| booking.state() == wanted)
    })
    .await;
}

/// Everybody's reservation but one's is unpaid, somebody waits, and then all data is gone.
async fn a_sale_whose_redis_loses_its_data(lose: impl FnOnce(&mut RedisServer)) {
    let spec = format!("stock={STOCK},keeps=2s").parse().unwrap();
    let booking = BookingSim::start(spec, free_address().unwrap()).await.unwrap();
    let mut redis = RedisServer::start(Fsync::Off).unwrap();
    let shop = format!("http://{}", booking.address());
    let worker =
        Worker::start(&redis.url(), &shop, &["--concurrency=1", "--hold=3s", "--lease=2s"]);
    let mut client = worker.connect().await;

    let mut ids = HashSet::new();
    for who in ["paid", "holds", "holds-too"] {
        until("a place", async || enqueue(&mut client, who).await.is_ok()).await;
        ids.insert(status(&mut client, who).await.unwrap().booking_id);
        becomes(&mut client, who, BookingState::Reserved).await;
    }
    pay(&mut client, "paid").await.unwrap();
    becomes(&mut client, "paid", BookingState::Confirmed).await;
    // From now on the Booking Service does not answer: who comes stays in line, one of them in a
    // worker's hands.
    booking.injector().pause();
    for who in ["in-hand", "waits"] {
        ids.insert(enqueue(&mut client, who).await.unwrap().booking_id);
    }
    let watched = watch(&mut client, "waits").await;

    lose(&mut redis);

    is_told_that_it_is_lost(watched).await;
    until("the worker to count it", async || {
        metric(&worker, "bookingqueue_store_losses_total").await == Some(1.0)
    })
    .await;
    for who in ["paid", "holds", "waits"] {
        for answer in [status(&mut client, who).await, pay(&mut client, who).await] {
            assert_eq!(
                reason_of(&answer.unwrap_err()),
                Some(ErrorReason::BookingNotFound),
                "{who}"
            );
        }
    }
    let epoch = redis.cli(&["HGET", "booking-meta:{concert}", "epoch"]).unwrap();
    assert!(!epoch.is_empty(), "the new data has a name");

    // Everybody comes again, with the request of before: a new booking each, in the order of
    // coming.
    booking.injector().resume();
    let mut numbers = Vec::new();
    for who in ["waits", "holds", "in-hand"] {
        let new = enqueue(&mut client, who).await.unwrap();
        assert!(ids.insert(new.booking_id), "a booking id was used twice");
        numbers.push(new.queue_number);
    }
    assert_eq!(numbers, [1, 2, 3]);
    becomes(&mut client, "waits", BookingState::Reserved).await;
    pay(&mut client, "waits").await.unwrap();
    becomes(&mut client, "waits", BookingState::Confirmed).await;
    // What was held for the lost ones comes back at the Booking Service by itself, so that it can
    // be sold.
    until("what the lost bookings held to be given back", async || {
        let copy = booking.ledger().copy();
        copy.entries
            .iter()
            .filter(|entry| &*entry.client_id == "holds-too")
            .all(|entry| !entry.state.holds())
    })
    .await;
    let totals = booking.ledger().totals();
    assert_eq!(totals.confirmed, 2, "what was paid before stays paid");
    assert!(totals.confirmed + totals.held <= STOCK);
    let twice =
        booking.ledger().copy().entries.iter().filter(|entry| entry.reservations > 1).count();
    assert_eq!(twice, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_was_emptied_starts_anew_and_everybody_is_told() {
    a_sale_whose_redis_loses_its_data(|redis| {
        assert_eq!(redis.cli(&["FLUSHALL"]).unwrap(), "OK");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_comes_back_empty_starts_anew_and_everybody_is_told() {
    a_sale_whose_redis_loses_its_data(|redis| {
        redis.kill();
        redis.restart().unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_is_set_back_keeps_what_was_sold_and_tells_who_has_lost_a_place() {
    let booking =
        BookingSim::start(format!("stock={STOCK}").parse().unwrap(), free_address().unwrap())
            .await
            .unwrap();
    let mut redis = RedisServer::start(Fsync::Off).unwrap();
    let shop = format!("http://{}", booking.address());
    let worker = Worker::start(&redis.url(), &shop, &["--hold=60s", "--lease=2s"]);
    let mut client = worker.connect().await;
    for who in ["pays-again", "leaves", "stays"] {
        until("a place", async || enqueue(&mut client, who).await.is_ok()).await;
        becomes(&mut client, who, BookingState::Reserved).await;
    }

    assert_eq!(redis.cli(&["SAVE"]).unwrap(), "OK");
    for who in ["pays-again", "leaves"] {
        pay(&mut client, who).await.unwrap();
        becomes(&mut client, who, BookingState::Confirmed).await;
    }
    let lost = enqueue(&mut client, "comes-too-late").await.unwrap().booking_id;
    becomes(&mut client, "comes-too-late", BookingState::Reserved).await;
    let watched = watch(&mut client, "comes-too-late").await;
    // The worker has read all that: it reads the queue every second.
    until("a reading", async || metric(&worker, "bookingqueue_queue_holds").await == Some(2.0))
        .await;
    redis.kill();
    redis.restart().unwrap();

    is_told_that_it_is_lost(watched).await;
    until("the worker to count it", async || {
        metric(&worker, "bookingqueue_store_losses_total").await == Some(1.0)
    })
    .await;
    // Both payments are forgotten here, and were taken there.
    for who in ["pays-again", "leaves"] {
        assert_eq!(status(&mut client, who).await.unwrap().state(), BookingState::Reserved);
    }
    pay(&mut client, "pays-again").await.unwrap();
    leave(&mut client, "leaves").await;
    leave(&mut client, "stays").await;
    for who in ["pays-again", "leaves"] {
        becomes(&mut client, who, BookingState::Confirmed).await;
    }
    becomes(&mut client, "stays", BookingState::Cancelled).await;
    let again = enqueue(&mut client, "comes-too-late").await.unwrap();
    assert_ne!(again.booking_id, lost, "a booking id was used twice");
    becomes(&mut client, "comes-too-late", BookingState::Reserved).await;
    let totals = booking.ledger().totals();
    assert_eq!(
        (totals.confirmed, totals.released, totals.released_after_confirm_bookings),
        (2, 1, 1)
    );
    assert_eq!(
        metric(&worker, "bookingqueue_store_losses_total").await,
        Some(1.0),
        "it is counted once"
    );
}
