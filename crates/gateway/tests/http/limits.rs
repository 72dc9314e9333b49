//! Limits of addresses: a challenge first, a refusal at four times, and never for a place.

use bookingq_gateway::limits::proxies::TrustedProxies;
use futures::future::join_all;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::client::{Connection, get};
use crate::world::{ME, World, join};

async fn limited(proxies: &[&str]) -> World {
    let proxies = TrustedProxies::new(proxies).unwrap();
    World::with("stock=1000,latency=1h", |config| {
        config.address_limits = true;
        config.trusted_proxies = proxies;
    })
    .await
}

fn key() -> String {
    Uuid::new_v4().to_string()
}

/// Joins as new clients until one is refused. A busy machine gets 5 a second more than 300.
async fn until_limited(world: &World, body: &str, headers: &[(&str, &str)]) -> (usize, Value) {
    let mut connection = Connection::open(world.public()).await;
    for joined in 0..5000 {
        let ask = headers.iter().fold(join(body, &key()), |ask, (name, it)| ask.with(name, it));
        let answer = connection.send(ask).await;
        if answer.status != 201 {
            assert_eq!(answer.status, 429, "{answer:?}");
            return (joined, answer.json());
        }
    }
    panic!("no limit");
}

fn solve(challenge: &Value) -> Value {
    let seed = challenge["seed"].as_str().unwrap();
    let difficulty = u32::try_from(challenge["difficulty"].as_u64().unwrap()).unwrap();
    let nonce = (0..u64::MAX).find(|nonce| {
        let text = format!("{seed}:{nonce}");
        let hash = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
        let (first, _) = hash.as_ref().split_first_chunk::<8>().unwrap();
        u64::from_be_bytes(*first).leading_zeros() >= difficulty
    });
    json!({"challenge": {"seed": seed, "nonce": nonce.unwrap().to_string()}})
}

#[tokio::test(flavor = "multi_thread")]
async fn over_the_limit_a_solved_challenge_joins_and_a_place_is_never_limited() {
    let world = limited(&[]).await;
    let first = world.join("{}").await;
    // Without a trusted proxy, the header says nothing.
    let (joined, problem) = until_limited(&world, "{}", &[("x-forwarded-for", "1.1.1.1")]).await;
    assert!(joined >= 299, "{joined}");
    assert_eq!(problem["reason"], "CHALLENGE_REQUIRED");
    // A challenge is for its own join.
    let other = solve(&problem["challenge"]).to_string();
    assert_eq!(until_limited(&world, &other, &[]).await.1["reason"], "CHALLENGE_REQUIRED");
    let key = key();
    let challenge = world.send(get("/v1/challenges").with("idempotency-key", &key)).await.json();
    let solution = solve(&challenge).to_string();
    until_limited(&world, "{}", &[]).await;
    assert_eq!(world.send(join(&solution, &key)).await.status, 201);
    assert_eq!(world.send(join(&solution, &key)).await.status, 200, "a repeat");
    // Who has a place is not limited, and may also join again.
    let again = join("{}", &self::key()).browser(&first.cookie(), &world.host());
    assert_eq!(world.send(again).await.status, 200);
    let looks = (0..8).map(|_| async {
        let mut connection = Connection::open(world.public()).await;
        for _ in 0..500 {
            let look = get(ME).with("cookie", &first.cookie());
            assert_eq!(connection.send(look).await.status, 200);
        }
    });
    join_all(looks).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_a_trusted_proxy_each_client_has_its_own_limit() {
    let world = limited(&["127.0.0.0/8"]).await;
    let one = [("x-forwarded-for", "9.9.9.9, 203.0.113.1")];
    let other = [("x-forwarded-for", "9.9.9.9, 203.0.113.2")];
    for client in [one, other] {
        assert!(until_limited(&world, "{}", &client).await.0 >= 300);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_challenge_in_advance_needs_the_key_of_its_join() {
    let world = limited(&[]).await;
    let missing = world.send(get("/v1/challenges")).await;
    assert_eq!(
        (missing.status.as_u16(), &missing.json()["field"]),
        (422, &json!("Idempotency-Key"))
    );
}
