//! Tokens: what is accepted, and every way in which one is refused.

#![allow(clippy::unwrap_used)]

mod foreign;
mod forge;
mod keys;
mod pass;
mod place;
mod random;
mod samples;

use std::time::Duration;

use bookingq_core::{BookingId, ClientId, QueueName, QueueNumber, Timestamp};
use bookingq_identity::{KeyRing, PlaceClaims};

/// 2026-11-30T12:00:00Z.
const NOW: Timestamp = Timestamp(1_796_040_000_000);

/// The gateway's name in these tests.
const ISSUER: &str = "https://queue.example";

fn queue(name: &str) -> QueueName {
    QueueName::new(name).unwrap()
}

fn client(name: &str) -> ClientId {
    ClientId::new(name).unwrap()
}

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A place at `concert` that ends in an hour.
fn a_place() -> PlaceClaims {
    PlaceClaims {
        queue: queue("concert"),
        client: client("anon-0123456789abcdef0123456789abcdef"),
        booking: BookingId::from_u128(7),
        number: QueueNumber::new(81_234),
        epoch: "e-1".to_owned(),
        return_url: None,
        expires_at: NOW + seconds(3600),
    }
}

/// The text of a key file.
fn key_file(kid: &str, purpose: &str, alg: &str, field: &str, value: &str) -> String {
    serde_json::json!({"kid": kid, "purpose": purpose, "alg": alg, field: value}).to_string()
}

/// A ring of key files.
fn ring_of(files: &[String]) -> KeyRing {
    let names: Vec<String> = (0..files.len()).map(|index| format!("{index}.json")).collect();
    let files = names.iter().zip(files).map(|(name, text)| (name.as_str(), text.as_str()));
    KeyRing::parse(files).unwrap()
}

/// A ring with the keys `p1` for places, `s1` for passes, `e1` and `e2` (public) for enqueue
/// tokens, and `b1` for the backend.
fn ring() -> KeyRing {
    ring_of(&[
        key_file("p1", "place", "HS256", "secret", &forge::secret(1)),
        key_file("s1", "pass", "EdDSA", "privateKey", &forge::private_pem(4)),
        key_file("e1", "enqueue", "HS256", "secret", &forge::secret(2)),
        key_file("e2", "enqueue", "EdDSA", "publicKey", &forge::public_key(5)),
        key_file("b1", "backend", "HS256", "secret", &forge::secret(3)),
    ])
}
