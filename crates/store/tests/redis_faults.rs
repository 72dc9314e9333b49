//! The Redis store when Redis, its data or the network fails. On a real redis-server.
#![allow(clippy::unwrap_used)]

mod support;

use std::time::Duration;

use bookingq_core::{
    BookingState, ClientId, Details, EventSeq, PaymentId, RequestId, ReservationId,
};
use bookingq_harness::{Fsync, RedisServer};
use bookingq_store::redis::{RedisConfig, RedisStore};
use bookingq_store::{
    Confirm, Confirmed, Enqueue, Scope, Settled, Settlement, Store, StoreError, Task, TaskOutcome,
};
use support::{config, enqueue};
use tokio::time::{Instant, sleep, timeout};

const LEASE: Duration = Duration::from_secs(60);
const HOLD: Duration = Duration::from_secs(600);
/// Limit for the store to work again.
const BACK: Duration = Duration::from_secs(10);

fn settlement(task: &Task, outcome: TaskOutcome) -> Settlement {
    Settlement { lease: task.lease(), outcome, busy: Duration::ZERO }
}

fn reserved() -> TaskOutcome {
    TaskOutcome::Reserved {
        reservation: ReservationId::new("seat").unwrap(),
        hold: HOLD,
        left: None,
    }
}

fn store(config: RedisConfig) -> RedisStore {
    RedisStore::connect(RedisConfig { deadline: Duration::from_millis(500), ..config }).unwrap()
}

/// Repeats a request until it is answered, as a client does after an unknown outcome.
async fn place(store: &RedisStore, asked: &Enqueue) -> bookingq_store::Enqueued {
    let repeat = async {
        loop {
            match store.enqueue(vec![asked.clone()]).await {
                Ok(mut places) => return places.remove(0).unwrap(),
                Err(error) => assert!(error.is_transient(), "{error}"),
            }
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(BACK, repeat).await.expect("the store must come back by itself")
}

async fn one_task(store: &RedisStore) -> Task {
    let mut tasks = store.claim(1, LEASE, Scope::Everything).await.unwrap().tasks;
    assert_eq!(tasks.len(), 1);
    tasks.remove(0)
}

#[tokio::test]
async fn scripts_flushed_by_the_server_are_loaded_again() {
    let server = RedisServer::start(Fsync::Off).unwrap();
    let store = store(config(&server));
    place(&store, &enqueue("a")).await;
    server.cli(&["SCRIPT", "FLUSH"]).unwrap();
    let task = one_task(&store).await;
    server.cli(&["SCRIPT", "FLUSH"]).unwrap();
    let settled = store.settle(vec![settlement(&task, reserved())]).await.unwrap();
    assert_eq!(settled, [Settled::Applied(BookingState::Reserved)]);
}

#[tokio::test]
async fn invariant_1_what_was_acknowledged_survives_sigkill_with_appendfsync_always() {
    let mut server = RedisServer::start(Fsync::Always).unwrap();
    let config = config(&server);
    let store = store(config.clone());
    assert!(store.open().await.unwrap().warnings.is_empty());
    let mut places = Vec::new();
    for round in 0..3 {
        for n in 0..20 {
            let asked = enqueue(&format!("client {round}-{n}"));
            places.push((asked.clone(), place(&store, &asked).await.booking));
        }
        server.kill();
        server.restart().unwrap();
    }
    for (n, (asked, booking)) in places.into_iter().enumerate() {
        let again = place(&store, &asked).await;
        assert!(again.existing, "{} was lost", asked.client);
        assert_eq!(again.booking, booking);
        assert_eq!(again.booking.position, Some(n as u64 + 1));
    }
}

#[tokio::test]
async fn without_redis_calls_fail_fast_and_with_it_they_work_again() {
    let mut server = RedisServer::start(Fsync::Off).unwrap();
    let config = config(&server);
    let store = store(config);
    place(&store, &enqueue("a")).await;
    server.kill();
    let failed = async {
        // The first call may find the old connection; the next ones must fail at once.
        while !matches!(store.snapshot().await, Err(StoreError::Unavailable(_))) {}
        let started = Instant::now();
        for _ in 0..20 {
            let refused = store.status(vec![ClientId::new("a").unwrap()]).await;
            assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
            sleep(Duration::from_millis(10)).await;
        }
        assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    };
    timeout(BACK, failed).await.expect("no call may hang");
    server.restart().unwrap();
    assert!(!place(&store, &enqueue("b")).await.existing);
}

#[tokio::test]
async fn a_store_can_be_made_before_redis_starts() {
    let mut server = RedisServer::start(Fsync::Off).unwrap();
    let config = config(&server);
    server.kill();
    let store = store(config);
    assert!(matches!(store.open().await, Err(StoreError::Unavailable(_))));
    server.restart().unwrap();
    place(&store, &enqueue("a")).await;
}

#[tokio::test]
async fn a_server_that_became_a_replica_is_unavailable_until_it_can_be_written_again() {
    let server = RedisServer::start(Fsync::Off).unwrap();
    let primary = RedisServer::start(Fsync::Off).unwrap();
    let store = store(config(&server));
    place(&store, &enqueue("a")).await;
    server.cli(&["REPLICAOF", "127.0.0.1", &primary.address().port().to_string()]).unwrap();
    let refused = store.enqueue(vec![enqueue("b")]).await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    let refused = store.snapshot().await;
    assert!(
        matches!(refused, Err(StoreError::Unavailable(_))),
        "it serves nothing old: {refused:?}"
    );
    server.cli(&["REPLICAOF", "NO", "ONE"]).unwrap();
    place(&store, &enqueue("c")).await;
}

#[tokio::test]
async fn invariant_8_a_call_without_an_answer_is_a_timeout_and_its_repeat_is_harmless() {
    let server = RedisServer::start(Fsync::Off).unwrap();
    let store = store(config(&server));
    place(&store, &enqueue("a")).await;
    let task = one_task(&store).await;
    let settlement = settlement(&task, reserved());
    // A paused server runs what it has received once it continues.
    server.cli(&["CLIENT", "PAUSE", "900", "ALL"]).unwrap();
    let lost = store.settle(vec![settlement.clone()]).await;
    assert!(matches!(lost, Err(StoreError::Timeout(_))), "{lost:?}");
    let again = timeout(BACK, async {
        loop {
            match store.settle(vec![settlement.clone()]).await {
                Ok(settled) => return settled[0],
                Err(error) => assert!(error.is_transient(), "{error}"),
            }
            sleep(Duration::from_millis(20)).await;
        }
    });
    let again = again.await.expect("the store must come back");
    let state = BookingState::Reserved;
    assert!(again == Settled::Applied(state) || again == Settled::Repeated(state), "{again:?}");
    let snapshot = store.snapshot().await.unwrap();
    assert_eq!((snapshot.totals.reserved, snapshot.holds, snapshot.in_flight), (1, 1, 0));
}

#[tokio::test]
async fn foreign_and_corrupt_data_is_skipped_and_counted() {
    let server = RedisServer::start(Fsync::Off).unwrap();
    let config = config(&server);
    let queue = config.queue.clone();
    let store = store(config);
    let key = |name: &str| format!("booking-{name}:{{{queue}}}");
    let status = |client: &str| format!("booking-status:{{{queue}}}:{client}");
    for name in ["a", "b", "c", "d", "good"] {
        place(&store, &enqueue(name)).await;
    }
    // Cut off behind the id.
    let whole = server.cli(&["GET", &status("d")]).unwrap();
    server
        .cli(&["SET", &status("d"), &whole.lines().take(2).collect::<Vec<_>>().join("\n")])
        .unwrap();
    server.cli(&["DEL", &status("a")]).unwrap();
    server.cli(&["DEL", &status("b")]).unwrap();
    server.cli(&["HSET", &status("b"), "state", "queued 0"]).unwrap();
    server.cli(&["SET", &status("c"), "dancing 0 - 0"]).unwrap();
    server.cli(&["ZADD", &key("leases"), "1", "stranger"]).unwrap();
    server.cli(&["ZADD", &key("timeouts"), "1", "stranger"]).unwrap();
    server.cli(&["XADD", &key("events"), "*", "foreign", "entry"]).unwrap();
    let mut tasks = store.claim(9, LEASE, Scope::Everything).await.unwrap().tasks;
    assert_eq!(tasks.len(), 1);
    assert_eq!(tasks.remove(0).client.as_str(), "good");
    assert_eq!(store.sweep(9).await.unwrap().expired, 0);
    let clients = ["a", "b", "c", "d"].map(|name| ClientId::new(name).unwrap());
    assert_eq!(store.status(clients.to_vec()).await.unwrap(), [None, None, None, None]);
    for name in ["a", "b", "c", "d"] {
        let place = place(&store, &enqueue(name)).await;
        assert!(!place.existing, "{name} can join again");
    }
    assert_eq!(store.claim(9, LEASE, Scope::Everything).await.unwrap().tasks.len(), 4);
    let snapshot = store.snapshot().await.unwrap();
    assert_eq!((snapshot.backlog, snapshot.holds, snapshot.in_flight), (0, 0, 5));
    // a, b, c, d in the line, the stranger in two sets, and c and d again when they were replaced.
    assert_eq!(snapshot.totals.damaged, 8);
    let events = store.events(EventSeq::START, 100, Duration::ZERO).await.unwrap();
    assert_eq!((events.events.len(), events.gap), (14, false));
}

#[tokio::test]
async fn data_of_a_newer_release_is_refused() {
    let server = RedisServer::start(Fsync::Off).unwrap();
    let config = config(&server);
    server.cli(&["HSET", &format!("booking-meta:{{{}}}", config.queue), "schema", "4"]).unwrap();
    let refused = store(config).open().await;
    assert!(matches!(refused, Err(StoreError::NewerSchema { found: 4, known: 3 })), "{refused:?}");
}

#[tokio::test]
async fn data_that_was_lost_has_another_epoch_and_a_follower_notices() {
    let server = RedisServer::start(Fsync::Off).unwrap();
    let store = store(config(&server));
    let before = store.open().await.unwrap();
    assert_eq!(before.epoch, store.open().await.unwrap().epoch);
    assert!(before.warnings.iter().any(|warning| warning.starts_with("appendonly")), "{before:?}");
    for name in ["a", "b"] {
        place(&store, &enqueue(name)).await;
    }
    let after = store.events(EventSeq::START, 9, Duration::ZERO).await.unwrap().next;
    assert_eq!(store.snapshot().await.unwrap().epoch, before.epoch);
    server.cli(&["FLUSHALL"]).unwrap();
    assert_eq!(
        store.snapshot().await.unwrap().epoch,
        "",
        "new data has no epoch until a store opens it"
    );
    let opened = store.open().await.unwrap();
    assert_ne!(opened.epoch, before.epoch);
    assert_eq!(store.snapshot().await.unwrap().epoch, opened.epoch);
    place(&store, &enqueue("c")).await;
    let found = store.events(after, 9, Duration::ZERO).await.unwrap();
    assert!(found.gap);
    assert_eq!(found.events.len(), 1);
}

#[tokio::test]
async fn a_follower_that_fell_behind_a_trimmed_outbox_gets_a_gap() {
    let server = RedisServer::start(Fsync::Off).unwrap();
    let store = store(RedisConfig { outbox_entries: 1, ..config(&server) });
    // Redis trims by whole nodes of a hundred entries.
    for n in 0..250 {
        place(&store, &enqueue(&format!("c{n}"))).await;
    }
    let found = store.events(EventSeq::START, 1000, Duration::ZERO).await.unwrap();
    assert!(found.gap);
    assert!(store.snapshot().await.unwrap().outbox < 250);
    let latest = store.latest_event().await.unwrap();
    assert!(!store.events(latest, 10, Duration::ZERO).await.unwrap().gap);
}

#[tokio::test]
async fn waiting_followers_delay_no_other_call() {
    let server = RedisServer::start(Fsync::Off).unwrap();
    let store = store(config(&server));
    place(&store, &enqueue("a")).await;
    let after = store.latest_event().await.unwrap();
    let wait = || store.events(after, 10, Duration::from_secs(20));
    let others = async {
        for _ in 0..20 {
            store.snapshot().await.unwrap();
        }
        place(&store, &enqueue("b")).await;
    };
    let all = async { tokio::join!(wait(), wait(), wait(), others) };
    let (one, two, three, ()) = timeout(BACK, all).await.expect("all are woken by the next event");
    for followed in [one, two, three] {
        assert_eq!(followed.unwrap().events.len(), 1);
    }
}

#[tokio::test]
async fn every_key_of_a_queue_is_in_one_slot_and_a_final_booking_has_a_ttl() {
    let server = RedisServer::start(Fsync::Off).unwrap();
    let config = RedisConfig { retention: Duration::from_secs(100), ..config(&server) };
    let queue = config.queue.clone();
    let store = store(config);
    store.open().await.unwrap();
    let details = Details::new("an item", 2, b"a payload").unwrap();
    place(&store, &Enqueue { details, ..enqueue("a client {with} braces") }).await;
    place(&store, &enqueue("waiting")).await;
    let task = one_task(&store).await;
    store.settle(vec![settlement(&task, reserved())]).await.unwrap();
    let payment = PaymentId::new("p").unwrap();
    let paid = Confirm { client: task.client.clone(), booking: None, payment, reacquire: None };
    let won = store.confirm(vec![paid], LEASE).await.unwrap().remove(0).unwrap();
    let Confirmed::Won(task, _) = won else { panic!("a payment in time must win") };
    store.settle(vec![settlement(&task, TaskOutcome::Confirmed)]).await.unwrap();
    store.sweep(1).await.unwrap();
    store.notifier("me", LEASE, None).await.unwrap();

    let keys = server.cli(&["KEYS", "*"]).unwrap();
    assert!(keys.lines().count() >= 7, "{keys}");
    for key in keys.lines() {
        assert_eq!(key.split(['{', '}']).nth(1), Some(queue.as_str()), "{key}");
    }
    let key = |client: &str| format!("booking-status:{{{queue}}}:{client}");
    let ttl: u64 = server.cli(&["PTTL", &key("a client {with} braces")]).unwrap().parse().unwrap();
    assert!((90_000..=100_000).contains(&ttl), "{ttl}");
    assert_eq!(server.cli(&["PTTL", &key("waiting")]).unwrap(), "-1");
    let kept = server.cli(&["GET", &key("a client {with} braces")]).unwrap();
    assert!(kept.contains(" 000000000000002\nconfirmed  - - 000\n"), "{kept}");
    assert!(!kept.contains("an item") && !kept.contains("a payload"), "{kept}");

    // The next booking replaces it; it stays under its request for the rest of its retention.
    let next =
        Enqueue { request: RequestId::new("next").unwrap(), ..enqueue("a client {with} braces") };
    place(&store, &next).await;
    assert_eq!(server.cli(&["PTTL", &key("a client {with} braces")]).unwrap(), "-1");
    let earlier =
        key(&format!("a client {{with}} braces\n{}", enqueue("a client {with} braces").request));
    let left: u64 = server.cli(&["PTTL", &earlier]).unwrap().parse().unwrap();
    assert!((90_000..=ttl).contains(&left), "{left} of {ttl}");
    assert_eq!(server.cli(&["GET", &earlier]).unwrap(), kept);
}

#[tokio::test]
async fn a_line_without_its_counters_is_still_served() {
    let server = RedisServer::start(Fsync::Off).unwrap();
    let config = config(&server);
    let stats = format!("booking-stats:{{{}}}", config.queue);
    let store = store(config);
    place(&store, &enqueue("a")).await;
    server.cli(&["DEL", &stats]).unwrap();
    let task = one_task(&store).await;
    server.cli(&["DEL", &stats]).unwrap();
    let done = store.settle(vec![settlement(&task, reserved())]).await.unwrap();
    assert_eq!(done, [Settled::Applied(BookingState::Reserved)]);
    server.cli(&["DEL", &stats]).unwrap();
    let paid = Confirm {
        client: task.client,
        booking: None,
        payment: PaymentId::new("p").unwrap(),
        reacquire: None,
    };
    assert!(matches!(store.confirm(vec![paid], LEASE).await.unwrap()[0], Ok(Confirmed::Won(..))));
}

#[tokio::test]
async fn a_new_booking_of_a_client_loses_the_ttl_of_the_old_one() {
    let server = RedisServer::start(Fsync::Off).unwrap();
    let config = config(&server);
    let key = format!("booking-status:{{{}}}:a", config.queue);
    let store = store(config);
    place(&store, &enqueue("a")).await;
    let task = one_task(&store).await;
    store.settle(vec![settlement(&task, TaskOutcome::SOLD_OUT)]).await.unwrap();
    assert_ne!(server.cli(&["PTTL", &key]).unwrap(), "-1");
    let again = Enqueue { request: RequestId::new("another").unwrap(), ..enqueue("a") };
    assert!(!place(&store, &again).await.existing);
    assert_eq!(server.cli(&["PTTL", &key]).unwrap(), "-1");
    assert!(server.cli(&["GET", &key]).unwrap().contains("\nqueued     - - 000\n"));
}

#[test]
fn an_invalid_url_is_refused_without_showing_its_password() {
    let config =
        RedisConfig::new("http://user:secret@host", bookingq_core::QueueName::new("q").unwrap());
    assert!(!format!("{config:?}").contains("secret"));
    let error = RedisStore::connect(config).err().unwrap();
    assert!(matches!(error, StoreError::Settings(_)));
    assert!(!error.to_string().contains("secret"), "{error}");
}
