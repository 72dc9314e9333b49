//! Passes and the JWKS.

use bookingq_core::{BookingId, ClientId, Quantity, QueueName, ReservationId, Timestamp};
use bookingq_identity::{
    KeyError, KeyRing, PassClaims, PassGrant, PassVerifier, SignError, TokenError,
};
use serde_json::{Value, json};

use crate::forge::{self, Signer};
use crate::{ISSUER, NOW, a_place, key_file, ring, ring_of, seconds};

const AUDIENCE: &str = "https://tickets.example";

struct Reserved {
    client: ClientId,
    queue: QueueName,
    reservation: ReservationId,
    deadline: Timestamp,
}

fn reservation(deadline: Timestamp) -> Reserved {
    Reserved {
        client: crate::client("ann"),
        queue: crate::queue("concert"),
        reservation: ReservationId::new("r-1").unwrap(),
        deadline,
    }
}

impl Reserved {
    fn grant(&self) -> PassGrant<'_> {
        PassGrant {
            issuer: ISSUER,
            audience: AUDIENCE,
            client: &self.client,
            queue: &self.queue,
            booking: BookingId::from_u128(7),
            reservation: &self.reservation,
            item: "stalls",
            quantity: Quantity::new(2).unwrap(),
            deadline: self.deadline,
        }
    }
}

fn pass() -> String {
    reservation(NOW + seconds(600)).grant().sign(&ring(), NOW).unwrap().0
}

fn verifier() -> PassVerifier {
    PassVerifier::new(&ring().jwks(), ISSUER, AUDIENCE).unwrap()
}

fn verify(pass: &str) -> Result<PassClaims, TokenError> {
    verifier().verify(pass, NOW)
}

#[test]
fn a_pass_says_what_is_reserved_for_whom() {
    let made = reservation(NOW + seconds(600));
    let (pass, ends) = made.grant().sign(&ring(), NOW).unwrap();
    let claims = verify(&pass).unwrap();
    assert_eq!(ends, NOW + seconds(300));
    let expected = PassClaims {
        client: made.client,
        queue: made.queue,
        booking: BookingId::from_u128(7),
        reservation: made.reservation,
        item: "stalls".to_owned(),
        quantity: Quantity::new(2).unwrap(),
        deadline: NOW + seconds(600),
        expires_at: ends,
        issued_at: NOW,
        id: claims.id.clone(),
    };
    assert_eq!(claims, expected);
    assert_eq!(claims.id.len(), 22, "16 random bytes");
}

#[test]
fn a_pass_ends_at_the_deadline_or_after_five_minutes() {
    let ends =
        |deadline: Timestamp| reservation(deadline).grant().sign(&ring(), NOW).map(|it| it.1);
    assert_eq!(ends(NOW + seconds(90)), Ok(NOW + seconds(90)));
    assert_eq!(ends(NOW + seconds(301)), Ok(NOW + seconds(300)));
    assert_eq!(ends(NOW), Err(SignError::DeadlinePassed));
    assert_eq!(ends(Timestamp(NOW.0 + 999)), Err(SignError::DeadlinePassed), "less than a second");
    assert_eq!(ends(Timestamp(0)), Err(SignError::DeadlinePassed));
}

#[test]
fn two_passes_of_one_reservation_have_ids_of_their_own() {
    assert_ne!(forge::claims(&pass())["jti"], forge::claims(&pass())["jti"]);
}

#[test]
fn the_claims_have_the_names_that_sellers_read() {
    let claims = forge::claims(&pass());
    let mut names: Vec<&str> = claims.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    let expected = [
        "aud",
        "booking",
        "deadline",
        "exp",
        "iat",
        "iss",
        "item",
        "jti",
        "quantity",
        "queue",
        "reservation",
        "sub",
    ];
    assert_eq!(names, expected);
    assert_eq!(claims["booking"], "00000000-0000-0000-0000-000000000007");
    assert_eq!(claims["exp"], json!(NOW.0 / 1000 + 300));
}

/// Each row: a pass, and the check that must refuse it.
#[test]
fn forged_passes_are_refused_by_the_check_that_is_for_them() {
    let claims = forge::claims(&pass());
    let s1 = forge::header("EdDSA", "s1");
    let with = |name: &str, value: Value| {
        let mut claims = claims.clone();
        claims[name] = value;
        forge::token(&s1, &claims, Signer::Pair(4))
    };
    let public = forge::public_key(4);
    let raw_public: Vec<u8> =
        base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, &public).unwrap();
    let hs256 = forge::header("HS256", "s1");
    let pem = forge::public_pem(4);
    let rows = [
        ("altered", forge::with_claims(&pass(), |it| it["quantity"] = json!(9)), "signature"),
        ("signed by another", forge::token(&s1, &claims, Signer::Pair(9)), "signature"),
        ("no signature", forge::token(&s1, &claims, Signer::Nothing), "signature"),
        ("none", forge::token(&forge::header("none", "s1"), &claims, Signer::Nothing), "alg"),
        (
            "none without kid",
            forge::token(&json!({"alg": "none"}), &claims, Signer::Nothing),
            "format",
        ),
        ("HS256 with x", forge::token(&hs256, &claims, Signer::Hmac(public.as_bytes())), "alg"),
        ("HS256 with the bytes", forge::token(&hs256, &claims, Signer::Hmac(&raw_public)), "alg"),
        ("HS256 with the PEM", forge::token(&hs256, &claims, Signer::Hmac(pem.as_bytes())), "alg"),
        (
            "unknown kid",
            forge::token(&forge::header("EdDSA", "s2"), &claims, Signer::Pair(4)),
            "kid",
        ),
        ("a place token", a_place().sign(&ring(), NOW).unwrap(), "kid"),
        ("foreign aud", with("aud", json!("https://other.example")), "aud"),
        ("aud in a list", with("aud", json!([AUDIENCE])), "claims"),
        ("foreign iss", with("iss", json!("https://evil.example")), "iss"),
        ("expired", with("exp", json!(NOW.0 / 1000 - 31)), "exp"),
        ("from the future", with("iat", json!(NOW.0 / 1000 + 31)), "nbf"),
        ("no ticket", with("quantity", json!(0)), "claims"),
        ("101 tickets", with("quantity", json!(101)), "claims"),
        ("a foreign booking", with("booking", json!("7")), "claims"),
    ];
    for (what, pass, check) in rows {
        let error = verify(&pass).expect_err(what);
        assert_eq!(error.check(), check, "{what}: {error}");
    }
    assert!(verify(&with("exp", json!(NOW.0 / 1000 - 29))).is_ok(), "clocks may differ by 30 s");
}

#[test]
fn the_jwks_has_public_halves_of_pass_keys_only() {
    let jwks: Value = serde_json::from_str(&ring().jwks()).unwrap();
    let expected = json!({"keys": [{
        "kty": "OKP", "crv": "Ed25519", "x": forge::public_key(4), "kid": "s1", "use": "sig",
        "alg": "EdDSA",
    }]});
    assert_eq!(jwks, expected);
}

#[test]
fn a_jwks_with_keys_of_others_is_usable_and_one_without_ours_is_not() {
    let ours = json!({"kty": "OKP", "crv": "Ed25519", "x": forge::public_key(4), "kid": "s1"});
    let rsa = json!({"kty": "RSA", "n": "AQAB", "e": "AQAB", "kid": "s1"});
    let curve = json!({"kty": "OKP", "crv": "X25519", "x": forge::public_key(4), "kid": "s1"});
    let encryption = json!({"kty": "OKP", "crv": "Ed25519", "x": "AA", "kid": "s1", "use": "enc"});
    let read =
        |keys: Value| PassVerifier::new(&json!({ "keys": keys }).to_string(), ISSUER, AUDIENCE);
    let mixed = read(json!([rsa, curve, encryption, ours])).unwrap();
    assert!(mixed.verify(&pass(), NOW).is_ok());
    let short = json!({"kty": "OKP", "crv": "Ed25519", "x": "AA", "kid": "s1"});
    for unusable in [json!([]), json!([rsa]), json!([curve]), json!([short])] {
        assert!(matches!(read(unusable.clone()), Err(KeyError::Jwks(_))), "{unusable}");
    }
    for text in ["", "{}", "[]", "x", &" ".repeat(70_000)] {
        let jwks = PassVerifier::new(text, ISSUER, AUDIENCE);
        assert!(matches!(jwks, Err(KeyError::Jwks(_))), "{text}");
    }
}

#[test]
fn a_retired_key_verifies_and_does_not_sign() {
    let retired = ring_of(&[key_file("s0", "pass", "EdDSA", "publicKey", &forge::public_key(6))]);
    let made = reservation(NOW + seconds(60)).grant().sign(&retired, NOW).map(|_| ());
    assert!(matches!(made, Err(SignError::NoKey(_))));
    assert!(retired.jwks().contains("\"s0\""));
}

#[test]
fn an_ephemeral_ring_signs_places_and_passes() {
    let ring = KeyRing::ephemeral().unwrap();
    let (pass, _) = reservation(NOW + seconds(60)).grant().sign(&ring, NOW).unwrap();
    let verifier = PassVerifier::new(&ring.jwks(), ISSUER, AUDIENCE).unwrap();
    assert!(verifier.verify(&pass, NOW).is_ok());
    assert_eq!(verify(&pass).unwrap_err().check(), "kid", "another process, another key");
    assert!(a_place().sign(&ring, NOW).is_ok());
}
