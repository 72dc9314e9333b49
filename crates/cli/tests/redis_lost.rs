//! A Redis that loses its data in the middle of a sale: all of it, in two ways, or only the newest
//! part. Checks what docs/operations.md promises for that case, with a real worker process, a real
//! Redis and a simulated Booking Service.

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

async fn until(what: &str, holds: impl AsyncFnMut() -> bool) {
    eventually(what, LIMIT, holds).await;
}

/// One queue, its worker, its Redis and its Booking Service.
struct Sale {
    booking: BookingSim,
    redis: RedisServer,
    worker: Worker,
    client: Client,
}

impl Sale {
    async fn start(booking: &str, options: &[&str]) -> Self {
        let spec = format!("stock={STOCK}{booking}").parse().unwrap();
        let booking = BookingSim::start(spec, free_address().unwrap()).await.unwrap();
        let redis = RedisServer::start(Fsync::Off).unwrap();
        let service = format!("http://{}", booking.address());
        let worker = Worker::start(&redis.url(), &service, options);
        let client = worker.connect().await;
        Self { booking, redis, worker, client }
    }

    async fn enqueue(&mut self, who: &str) -> Result<v1::Booking, Status> {
        let request = v1::EnqueueRequest {
            queue: "concert".into(),
            client_id: who.into(),
            request_id: "r".into(),
            ..Default::default()
        };
        Ok(self.client.enqueue(request).await?.into_inner().booking.unwrap())
    }

    async fn status(&mut self, who: &str) -> Result<v1::Booking, Status> {
        let request = v1::GetStatusRequest { queue: "concert".into(), client_id: who.into() };
        Ok(self.client.get_status(request).await?.into_inner().booking.unwrap())
    }

    async fn pay(&mut self, who: &str) -> Result<v1::Booking, Status> {
        let request = v1::ConfirmPaymentRequest {
            queue: "concert".into(),
            client_id: who.into(),
            payment_id: format!("of-{who}"),
            ..Default::default()
        };
        Ok(self.client.confirm_payment(request).await?.into_inner().booking.unwrap())
    }

    async fn cancel(&mut self, who: &str) -> v1::Booking {
        let request = v1::CancelRequest {
            queue: "concert".into(),
            client_id: who.into(),
            ..Default::default()
        };
        self.client.cancel(request).await.unwrap().into_inner().booking.unwrap()
    }

    async fn becomes(&mut self, who: &str, wanted: BookingState) {
        until(&format!("{who} is {wanted:?}"), async || {
            self.status(who).await.is_ok_and(|booking| booking.state() == wanted)
        })
        .await;
    }

    /// Enqueues as soon as the store is open, and waits for the reservation. Returns the booking
    /// id.
    async fn reserve(&mut self, who: &str) -> String {
        until("a place", async || self.enqueue(who).await.is_ok()).await;
        self.becomes(who, BookingState::Reserved).await;
        self.status(who).await.unwrap().booking_id
    }

    async fn sell(&mut self, who: &str) {
        self.pay(who).await.unwrap();
        self.becomes(who, BookingState::Confirmed).await;
    }

    /// A watch that has received its first update.
    async fn watch(&mut self, who: &str) -> Streaming<v1::WatchStatusResponse> {
        let request = v1::WatchStatusRequest { queue: "concert".into(), client_id: who.into() };
        let mut updates = self.client.watch_status(request).await.unwrap().into_inner();
        assert!(updates.message().await.unwrap().is_some());
        updates
    }

    /// The value of one of the worker's metrics.
    async fn metric(&self, name: &str) -> Option<f64> {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let mut stream = tokio::net::TcpStream::connect(self.worker.admin).await.ok()?;
        let request = b"GET /metrics HTTP/1.1\r\nHost: w\r\nConnection: close\r\n\r\n";
        stream.write_all(request).await.ok()?;
        let mut page = String::new();
        stream.read_to_string(&mut page).await.ok()?;
        let line = page.lines().find(|line| line.starts_with(name) && !line.starts_with('#'))?;
        line.rsplit(' ').next()?.parse().ok()
    }

    async fn counts_one_loss(&self) {
        until("the worker to count the loss", async || {
            self.metric("bookingqueue_store_losses_total").await == Some(1.0)
        })
        .await;
    }
}

/// The watch ends because the booking is lost.
async fn ends_with_not_found(mut updates: Streaming<v1::WatchStatusResponse>) {
    let end = async {
        loop {
            if let Err(status) = updates.message().await {
                return status;
            }
        }
    };
    let status = tokio::time::timeout(LIMIT, end).await.unwrap();
    assert_eq!(reason_of(&status), Some(ErrorReason::BookingNotFound), "{status:?}");
}

/// All data is lost while one booking is sold, two are held, one is in the worker's hands and one
/// waits.
async fn all_data_is_lost(lose: impl FnOnce(&mut RedisServer)) {
    let mut sale = Sale::start(",keeps=2s", &["--concurrency=1", "--hold=3s", "--lease=2s"]).await;
    let mut ids = HashSet::new();
    for who in ["paid", "holds", "holds-too"] {
        ids.insert(sale.reserve(who).await);
    }
    sale.sell("paid").await;
    // From now on the Booking Service does not answer: clients stay in line, one of them in the
    // worker's hands.
    sale.booking.injector().pause();
    for who in ["in-hand", "waits"] {
        ids.insert(sale.enqueue(who).await.unwrap().booking_id);
    }
    let updates = sale.watch("waits").await;

    lose(&mut sale.redis);

    ends_with_not_found(updates).await;
    sale.counts_one_loss().await;
    for who in ["paid", "holds", "waits"] {
        for answer in [sale.status(who).await, sale.pay(who).await] {
            let refused = reason_of(&answer.unwrap_err());
            assert_eq!(refused, Some(ErrorReason::BookingNotFound), "{who}");
        }
    }
    let epoch = sale.redis.cli(&["HGET", "booking-meta:{concert}", "epoch"]).unwrap();
    assert!(!epoch.is_empty(), "the new data has an epoch");
    clients_start_again(&mut sale, ids).await;
}

/// Clients repeat their requests and get new bookings, in the order in which they come.
async fn clients_start_again(sale: &mut Sale, mut ids: HashSet<String>) {
    sale.booking.injector().resume();
    let mut numbers = Vec::new();
    for who in ["waits", "holds", "in-hand"] {
        let new = sale.enqueue(who).await.unwrap();
        assert!(ids.insert(new.booking_id), "a booking id was used twice");
        numbers.push(new.queue_number);
    }
    assert_eq!(numbers, [1, 2, 3]);
    sale.becomes("waits", BookingState::Reserved).await;
    sale.sell("waits").await;
    // The Booking Service gives the reservations of lost bookings back by itself, so that they can
    // be sold.
    until("the reservations of lost bookings to time out", async || {
        let copy = sale.booking.ledger().copy();
        let mut lost = copy.entries.iter().filter(|entry| &*entry.client_id == "holds-too");
        lost.all(|entry| !entry.state.holds())
    })
    .await;
    let totals = sale.booking.ledger().totals();
    assert_eq!(totals.confirmed, 2, "a sold booking stays sold");
    assert!(totals.confirmed + totals.held <= STOCK);
    let copy = sale.booking.ledger().copy();
    assert!(copy.entries.iter().all(|entry| entry.reservations <= 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn after_redis_was_emptied_clients_are_notified_and_can_start_again() {
    all_data_is_lost(|redis| assert_eq!(redis.cli(&["FLUSHALL"]).unwrap(), "OK")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_redis_came_back_empty_clients_are_notified_and_can_start_again() {
    all_data_is_lost(|redis| {
        redis.kill();
        redis.restart().unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_redis_was_set_back_sales_stay_and_the_clients_of_lost_bookings_are_notified() {
    let mut sale = Sale::start("", &["--hold=60s", "--lease=2s"]).await;
    for who in ["pays-again", "leaves", "stays"] {
        sale.reserve(who).await;
    }
    assert_eq!(sale.redis.cli(&["SAVE"]).unwrap(), "OK");
    sale.sell("pays-again").await;
    sale.sell("leaves").await;
    let lost = sale.reserve("comes-too-late").await;
    let updates = sale.watch("comes-too-late").await;
    // The worker reads the queue every second.
    until("the worker to read the newest data", async || {
        sale.metric("bookingqueue_queue_holds").await == Some(2.0)
    })
    .await;
    sale.redis.kill();
    sale.redis.restart().unwrap();

    ends_with_not_found(updates).await;
    sale.counts_one_loss().await;
    // Redis has lost both payments; the Booking Service has not.
    for who in ["pays-again", "leaves"] {
        assert_eq!(sale.status(who).await.unwrap().state(), BookingState::Reserved);
    }
    sale.pay("pays-again").await.unwrap();
    sale.cancel("leaves").await;
    sale.cancel("stays").await;
    for who in ["pays-again", "leaves"] {
        sale.becomes(who, BookingState::Confirmed).await;
    }
    sale.becomes("stays", BookingState::Cancelled).await;
    let again = sale.enqueue("comes-too-late").await.unwrap();
    assert_ne!(again.booking_id, lost, "a booking id was used twice");
    sale.becomes("comes-too-late", BookingState::Reserved).await;
    let totals = sale.booking.ledger().totals();
    assert_eq!(
        (totals.confirmed, totals.released, totals.released_after_confirm_bookings),
        (2, 1, 1)
    );
    let losses = sale.metric("bookingqueue_store_losses_total").await;
    assert_eq!(losses, Some(1.0), "the loss is counted once");
}
