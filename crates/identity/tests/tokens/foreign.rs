//! Tokens that a seller signs: enqueue tokens and those of its backend.

use bookingq_identity::{BackendClaims, EnqueueClaims, TokenError};
use serde_json::{Value, json};

use crate::forge::{self, Signer};
use crate::{ISSUER, NOW, client, queue, ring, seconds};

const SECOND: u64 = NOW.0 / 1000;

fn enqueue(token: &str) -> Result<EnqueueClaims, TokenError> {
    EnqueueClaims::verify(token, &ring(), &queue("concert"), ISSUER, NOW)
}

fn backend(token: &str) -> Result<BackendClaims, TokenError> {
    BackendClaims::verify(token, &ring(), &queue("concert"), ISSUER, NOW)
}

fn with(claims: &Value, name: &str, value: &Value) -> Value {
    let mut claims = claims.clone();
    match value {
        Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
        value => claims[name] = value.clone(),
    }
    claims
}

fn account() -> Value {
    json!({"sub": "account-7", "queue": "concert", "jti": "t-1", "exp": SECOND + 300, "iat": SECOND,
           "role": "a claim that is not read"})
}

#[test]
fn an_account_joins_with_a_shared_secret_or_a_public_key() {
    let expected = EnqueueClaims {
        client: client("account-7"),
        queue: queue("concert"),
        id: "t-1".to_owned(),
        expires_at: NOW + seconds(300),
    };
    let e1 = forge::token(&forge::header("HS256", "e1"), &account(), Signer::Hmac(&[2; 32]));
    let e2 = forge::token(&forge::header("EdDSA", "e2"), &account(), Signer::Pair(5));
    assert_eq!(enqueue(&e1), Ok(expected.clone()));
    assert_eq!(enqueue(&e2), Ok(expected));
}

#[test]
fn what_this_crate_signs_for_a_seller_is_accepted() {
    let ring = ring();
    let key = |kid: &str| ring.keys().find(|key| key.kid() == kid).unwrap();
    let claims =
        enqueue(&forge::token(&forge::header("HS256", "e1"), &account(), Signer::Hmac(&[2; 32])))
            .unwrap();
    assert_eq!(enqueue(&claims.sign(key("e1")).unwrap()), Ok(claims.clone()));
    assert!(claims.sign(key("e2")).is_err(), "a public key does not sign");
    let claims =
        BackendClaims { backend: "pay".to_owned(), queue: None, expires_at: NOW + seconds(60) };
    assert_eq!(backend(&claims.sign(key("b1")).unwrap()), Ok(claims));
}

/// Each row: a claim with its value, and the check that refuses it; none for what is allowed.
#[test]
fn enqueue_tokens_are_refused_by_the_check_that_is_for_them() {
    let rows = [
        ("exp", json!(SECOND + 330), None),
        ("exp", json!(SECOND + 331), Some("lifetime")),
        ("exp", json!(SECOND + 365 * 86_400), Some("lifetime")),
        ("exp", json!(u64::MAX), Some("lifetime")),
        ("exp", json!(SECOND - 29), None),
        ("exp", json!(SECOND - 30), Some("exp")),
        ("exp", Value::Null, Some("claims")),
        ("iat", json!(SECOND + 30), None),
        ("iat", json!(SECOND + 31), Some("nbf")),
        ("nbf", json!(SECOND + 31), Some("nbf")),
        ("iat", Value::Null, None),
        ("queue", json!("festival"), Some("queue")),
        ("queue", json!("concert "), Some("queue")),
        ("queue", Value::Null, Some("claims")),
        ("jti", Value::Null, Some("claims")),
        ("jti", json!(""), Some("claims")),
        ("jti", json!("j".repeat(129)), Some("claims")),
        ("sub", Value::Null, Some("claims")),
        ("sub", json!(""), Some("claims")),
        ("sub", json!("s".repeat(129)), Some("claims")),
        ("sub", json!("line\nbreak"), Some("claims")),
        ("sub", json!("anon-0123456789abcdef0123456789abcdef"), Some("claims")),
        ("sub", json!(7), Some("claims")),
        ("aud", json!(ISSUER), None),
        ("aud", json!(["https://a.example", ISSUER]), None),
        ("aud", json!("https://a.example"), Some("aud")),
        ("aud", json!([]), Some("aud")),
    ];
    for (name, value, check) in rows {
        let claims = with(&account(), name, &value);
        let token = forge::token(&forge::header("EdDSA", "e2"), &claims, Signer::Pair(5));
        let outcome = enqueue(&token).map_err(|error| error.check());
        assert_eq!(outcome.err(), check, "{name}: {value}");
    }
}

#[test]
fn the_public_key_of_a_seller_is_no_secret() {
    let claims = account();
    let hs256 = forge::header("HS256", "e2");
    for secret in [forge::public_key(5).into_bytes(), forge::public_pem(5).into_bytes()] {
        let token = forge::token(&hs256, &claims, Signer::Hmac(&secret));
        assert_eq!(enqueue(&token).unwrap_err().check(), "alg");
    }
    let none = forge::token(&forge::header("none", "e2"), &claims, Signer::Nothing);
    assert_eq!(enqueue(&none).unwrap_err().check(), "alg");
}

#[test]
fn a_key_for_one_kind_of_token_makes_no_other_kind() {
    let e1 = forge::token(&forge::header("HS256", "e1"), &account(), Signer::Hmac(&[2; 32]));
    let b1 = forge::token(&forge::header("HS256", "b1"), &account(), Signer::Hmac(&[3; 32]));
    assert_eq!(backend(&e1).unwrap_err().check(), "purpose");
    assert_eq!(enqueue(&b1).unwrap_err().check(), "purpose");
    assert!(backend(&b1).is_ok());
}

#[test]
fn a_backend_token_may_be_for_one_queue_or_all() {
    let token = |queue: &Value| {
        let claims = with(&json!({"sub": "pay", "exp": SECOND + 60}), "queue", queue);
        forge::token(&forge::header("HS256", "b1"), &claims, Signer::Hmac(&[3; 32]))
    };
    assert_eq!(backend(&token(&json!("concert"))).unwrap().queue, Some(queue("concert")));
    assert_eq!(backend(&token(&Value::Null)).unwrap().queue, None);
    assert_eq!(backend(&token(&json!("festival"))).unwrap_err().check(), "queue");
    assert_eq!(backend(&token(&json!("NO QUEUE"))).unwrap_err().check(), "claims");
}
