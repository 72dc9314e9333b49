//! Data of an earlier schema is taken over in place. On a real redis-server.
#![allow(clippy::unwrap_used)]

mod support;

use std::time::Duration;

use bookingq_core::{BookingState, ClientId, PaymentId};
use bookingq_harness::{Fsync, RedisServer};
use bookingq_store::redis::RedisStore;
use bookingq_store::{
    Confirm, Confirmed, Scope, Settled, Settlement, Store, StoreError, TaskOutcome,
};
use support::config;

const LEASE: Duration = Duration::from_secs(60);

/// Some far moment.
const LATER: &str = "9900000000000";

/// A booking as schema 1 stores it: its second line, lines 3 and 4, and line 7.
fn text(number: u64, second: &str, paid: &str, wanted: &str) -> String {
    let fence = number * u64::from(second.contains('*'));
    let request = "1800000000000 request";
    format!(
        "00000000-0000-0000-0000-{number:012} {number:012} {fence:015}\n{second}\n{paid}\n\n\
         {request}\n{wanted}\n\n"
    )
}

#[tokio::test]
async fn the_unsettled_bookings_of_schema_1_are_counted_once() {
    let server = RedisServer::start(Fsync::Off).unwrap();
    let config = config(&server);
    let key = |name: &str| format!("booking-{name}:{{{}}}", config.queue);
    server
        .cli(&["HSET", &key("meta"), "schema", "1", "epoch", "old", "admission", "Open"])
        .unwrap();
    server.cli(&["HSET", &key("stats"), "enqueued", "6", "claimed", "4", "entries", "9"]).unwrap();
    let hold = format!("{LATER} seat\n");
    let paid = format!("{hold}visa");
    for (number, set, score, second, paid, wanted) in [
        (1, "leases", "5", "reserving  - * 000", "\n", "2 a b"),
        (2, "timeouts", LATER, "reserved   - - 000", &*hold, "1 a b"),
        (3, "leases", LATER, "confirming - * 000", &*paid, ""),
        (4, "leases", LATER, "releasing  e * 000", &*hold, "1 a b"),
        (5, "queue", "5", "queued     - - 000", "\n", "1 a b"),
        (6, "", "", "cancelled  - - 000", "\n", ""),
    ] {
        let client = format!("c{number}");
        let booking = format!("{}:{client}", key("status"));
        server.cli(&["SET", &booking, &text(number, second, paid, wanted)]).unwrap();
        if !set.is_empty() {
            server.cli(&["ZADD", &key(set), score, &client]).unwrap();
        }
    }
    server.cli(&["ZADD", &key("leases"), LATER, "stranger"]).unwrap();

    let store = RedisStore::connect(config.clone()).unwrap();
    assert_eq!(store.open().await.unwrap().epoch, "old", "the data is the same");
    RedisStore::connect(config.clone()).unwrap().open().await.unwrap();
    let items = store.items(vec!["a b".into(), "".into()]).await.unwrap();
    assert_eq!(items.iter().map(|item| item.unsettled).collect::<Vec<_>>(), [3, 1]);
    assert_eq!(server.cli(&["HGET", &key("meta"), "schema"]).unwrap(), "3");

    // The life of each goes on, and the counts end at nothing.
    let confirm = Confirm {
        client: ClientId::new("c2").unwrap(),
        booking: None,
        payment: PaymentId::new("visa").unwrap(),
        reacquire: None,
    };
    let won = store.confirm(vec![confirm], LEASE).await.unwrap().remove(0).unwrap();
    let Confirmed::Won(paid, _) = won else { panic!("the hold is paid in time: {won:?}") };
    let mut tasks = store.claim(9, LEASE, Scope::Everything).await.unwrap().tasks;
    assert_eq!(tasks.iter().map(|task| task.client.as_str()).collect::<Vec<_>>(), ["c1", "c5"]);
    tasks.push(*paid);
    let settle = |(task, outcome): (&bookingq_store::Task, _)| Settlement {
        lease: task.lease(),
        outcome,
        busy: Duration::ZERO,
    };
    let no = TaskOutcome::Rejected { reason: String::new() };
    let outcomes = [no.clone(), no, TaskOutcome::Confirmed];
    let batch = tasks.iter().zip(outcomes).map(settle).collect();
    let last = [BookingState::Releasing, BookingState::Rejected, BookingState::Confirmed];
    assert_eq!(store.settle(batch).await.unwrap(), last.map(Settled::Applied));
    let release = store.claim(9, LEASE, Scope::DueOnly).await.unwrap().tasks.remove(0);
    store.settle(vec![settle((&release, TaskOutcome::Released))]).await.unwrap();
    assert_eq!(store.items(vec!["a b".into()]).await.unwrap()[0].unsettled, 1, "the release");
}

/// Schema 2 has no strays: its bookings end as they would have ended there.
#[tokio::test]
async fn the_bookings_of_schema_2_are_read_as_they_are() {
    let server = RedisServer::start(Fsync::Off).unwrap();
    let config = config(&server);
    let key = |name: &str| format!("booking-{name}:{{{}}}", config.queue);
    server.cli(&["HSET", &key("meta"), "schema", "2", "epoch", "old"]).unwrap();
    server.cli(&["HSET", &key("stats"), "enqueued", "3", "claimed", "3", "waiting", "1"]).unwrap();
    let item = "2 0 1 0 0 9900000000000 5000 1 0 0 - 001,";
    server.cli(&["HSET", &key("items"), "a b", item]).unwrap();
    server.cli(&["ZADD", &key("closed"), LATER, "a b"]).unwrap();
    for (number, set, score, second) in [
        (1, "leases", "5", "reserving  - - 001"),
        (2, "leases", LATER, "reserving  - * 000"),
        (3, "parked", "3", "queued     - - 000"),
    ] {
        let client = format!("c{number}");
        let booking = format!("{}:{client}", key("status"));
        server.cli(&["SET", &booking, &text(number, second, "\n", "1 a b")]).unwrap();
        let set = if set == "parked" { key(set) + ":001:a b" } else { key(set) };
        server.cli(&["ZADD", &set, score, &client]).unwrap();
    }

    let store = RedisStore::connect(config.clone()).unwrap();
    assert_eq!(store.open().await.unwrap().epoch, "old", "the data is the same");
    assert_eq!(server.cli(&["HGET", &key("meta"), "schema"]).unwrap(), "3");
    let tasks = store.claim(9, LEASE, Scope::Everything).await.unwrap().tasks;
    assert_eq!(tasks.iter().map(|task| task.client.as_str()).collect::<Vec<_>>(), ["c1"]);
    let settle = |lease, outcome| Settlement { lease, outcome, busy: Duration::ZERO };
    let second = bookingq_store::Lease {
        client: ClientId::new("c2").unwrap(),
        booking: bookingq_core::BookingId::from_u128(0x2),
        place: bookingq_core::Place::numbered(2),
        fence: bookingq_core::Fence(2),
        generation: bookingq_core::Generation::default(),
    };
    let batch = vec![
        settle(second, TaskOutcome::Rejected { reason: String::new() }),
        settle(tasks[0].lease(), TaskOutcome::Rejected { reason: String::new() }),
    ];
    let states = [BookingState::Rejected, BookingState::Releasing].map(Settled::Applied);
    assert_eq!(
        store.settle(batch).await.unwrap(),
        states,
        "only a repeated Reserve leaves a stray"
    );
    let waiting = store.items(vec!["a b".into()]).await.unwrap().remove(0);
    assert_eq!((waiting.unsettled, waiting.waiting, waiting.ended), (1, 1, false));
}

#[tokio::test]
async fn a_connection_that_only_reads_leaves_the_data_as_it_is() {
    let server = RedisServer::start(Fsync::Off).unwrap();
    let config = config(&server);
    let store = RedisStore::connect(config.clone()).unwrap();
    store.connect_read_only(true);
    assert_eq!(store.snapshot().await.unwrap().epoch, "", "new data is read");
    assert_eq!(server.cli(&["DBSIZE"]).unwrap(), "0");
    store.connect_read_only(false);
    assert!(!store.open().await.unwrap().epoch.is_empty(), "opening writes on the same connection");

    let meta = format!("booking-meta:{{{}}}", config.queue);
    server.cli(&["HSET", &meta, "schema", "1"]).unwrap();
    let reader = RedisStore::connect(config.clone()).unwrap();
    reader.connect_read_only(true);
    reader.snapshot().await.unwrap();
    assert_eq!(server.cli(&["HGET", &meta, "schema"]).unwrap(), "1", "nor is it taken over");
    server.cli(&["HSET", &meta, "schema", "999"]).unwrap();
    let reader = RedisStore::connect(config).unwrap();
    reader.connect_read_only(true);
    let error = reader.snapshot().await.unwrap_err();
    assert!(matches!(error, StoreError::NewerSchema { found: 999, .. }), "{error}");
}
