//! A place is made by POST only, and by as many POSTs with one key only once.

use axum::http::Method;
use futures::future::join_all;
use uuid::Uuid;

use crate::client::{Connection, ask, get, send};
use crate::world::{ME, World, join};

#[tokio::test(flavor = "multi_thread")]
async fn sixty_four_parallel_sends_of_one_key_are_one_booking() {
    let world = World::waiting().await;
    let key = Uuid::new_v4().to_string();
    let sends = (0..64).map(|_| send(world.public(), join("{}", &key)));
    let answers = join_all(sends).await;
    let created = answers.iter().filter(|answer| answer.status == 201).count();
    let existed = answers.iter().filter(|answer| answer.status == 200).count();
    assert_eq!((created, existed), (1, 63));
    let first = answers[0].json()["place"]["bookingId"].clone();
    assert!(answers.iter().all(|answer| answer.json()["place"]["bookingId"] == first));
    assert_eq!(world.bookings().await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_reads_make_no_booking() {
    let world = World::waiting().await;
    let paths = [
        "/v1/queues/concert",
        "/v1/queues/concert/tick",
        "/v1/queues/concert/places",
        ME,
        "/v1/queues/concert/places/me/pass",
        "/v1/queues/concert/socket",
        "/v1/queues/concert/events",
        "/.well-known/jwks.json",
        "/openapi.json",
        "/q/concert",
        "/q/concert/join",
    ];
    let key = Uuid::new_v4().to_string();
    let reader = |number: usize| {
        let (address, key) = (world.public(), key.clone());
        async move {
            let mut connection = Connection::open(address).await;
            for count in 0..1250 {
                let path = paths[(number + count) % paths.len()];
                let method = if count % 3 == 0 { Method::HEAD } else { Method::GET };
                let read = ask(method, path).with("idempotency-key", &key);
                let answer = connection.send(read).await;
                assert!(answer.status.as_u16() < 500 || answer.status == 503, "{path}: {answer:?}");
            }
        }
    };
    join_all((0..8).map(reader)).await;
    assert_eq!(world.bookings().await, 0);
    assert_eq!(world.send(join("{}", &key)).await.status, 201, "the key was not used up");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rush_of_joins_keeps_one_booking_for_each_client() {
    let world = World::waiting().await;
    let clients = (0..20).map(|_| async {
        let mut connection = Connection::open(world.public()).await;
        for _ in 0..50 {
            let answer = connection.send(join("{}", &Uuid::new_v4().to_string())).await;
            assert_eq!(answer.status, 201, "{answer:?}");
        }
    });
    join_all(clients).await;
    assert_eq!(world.bookings().await, 1000);
    let queue = world.send(get("/v1/queues/concert")).await.json();
    assert_eq!(queue["queue"], "concert");
    assert_eq!(queue["admission"], "open");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_with_a_place_stays_the_same_client() {
    let world = World::waiting().await;
    let first = world.join("{}").await;
    let again = join("{}", &Uuid::new_v4().to_string()).browser(&first.cookie(), &world.host());
    let again = world.send(again).await;
    assert_eq!(again.status, 200, "it has an active booking");
    assert_eq!(again.json()["place"]["bookingId"], first.json()["place"]["bookingId"]);
}
