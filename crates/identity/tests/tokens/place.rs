//! Place tokens.

use bookingq_core::Timestamp;
use bookingq_identity::{MAX_TOKEN_BYTES, PlaceClaims, ReturnUrl, TokenError};
use serde_json::{Value, json};

use crate::forge::{self, Signer};
use crate::{ISSUER, NOW, a_place, client, queue, ring, seconds};

fn verify(token: &str) -> Result<PlaceClaims, TokenError> {
    PlaceClaims::verify(token, &ring(), &queue("concert"), NOW)
}

fn wire() -> Value {
    forge::claims(&a_place().sign(&ring(), NOW).unwrap())
}

#[test]
fn a_place_token_says_what_was_signed() {
    let mut place = a_place();
    place.return_url = Some(ReturnUrl::new("https://pay.example/a%2Fb?x=1&y=%20#z").unwrap());
    place.client = client("Zoë \"quoted\" \\ 北");
    let token = place.sign(&ring(), NOW).unwrap();
    assert_eq!(verify(&token), Ok(place));
}

#[test]
fn a_place_with_the_longest_values_fits_into_a_cookie() {
    let mut place = a_place();
    place.client = client(&"\"".repeat(128));
    place.queue = queue(&"q".repeat(127));
    place.return_url = ReturnUrl::new(&format!("https://pay.example/{}", "&".repeat(1004))).ok();
    place.epoch = "0123456789abcdef0123456789abcdef".to_owned();
    let token = place.sign(&ring(), NOW).unwrap();
    let cookie = format!("__Host-bq-{}={token}; Path=/; Secure; HttpOnly", place.queue);
    assert!(cookie.len() < 4096 - 100, "{} bytes", cookie.len());
    assert_eq!(PlaceClaims::verify(&token, &ring(), &place.queue, NOW), Ok(place));
}

#[test]
fn a_place_token_ends_at_its_end() {
    let token = a_place().sign(&ring(), NOW).unwrap();
    let at = |now: Timestamp| PlaceClaims::verify(&token, &ring(), &queue("concert"), now);
    assert!(at(NOW + seconds(3599)).is_ok());
    assert_eq!(at(NOW + seconds(3600)), Err(TokenError::Expired { seconds: 0 }));
    assert_eq!(at(NOW + seconds(3725)), Err(TokenError::Expired { seconds: 125 }));
}

#[test]
fn a_place_at_another_queue_is_refused() {
    let token = a_place().sign(&ring(), NOW).unwrap();
    let elsewhere = PlaceClaims::verify(&token, &ring(), &queue("festival"), NOW);
    assert_eq!(elsewhere, Err(TokenError::WrongQueue));
}

/// A forged token, and the check that must refuse it.
type Row = (&'static str, String, &'static str);

const OWN: Signer<'_> = Signer::Hmac(&[1; 32]);

fn assert_refused(rows: Vec<Row>) {
    for (what, token, check) in rows {
        let error = verify(&token).expect_err(what);
        assert_eq!(error.check(), check, "{what}: {error}");
        assert!(error.to_string().len() < 200, "{what}: {error}");
    }
}

#[test]
fn what_is_no_compact_jws_is_refused() {
    let good = a_place().sign(&ring(), NOW).unwrap();
    let parts: Vec<&str> = good.split('.').collect();
    let of = |header: Value| forge::token(&header, &wire(), OWN);
    let twice = forge::raw(r#"{"alg":"HS256","kid":"p1","kid":"s1"}"#, "{}", OWN);
    assert_refused(vec![
        ("nothing", String::new(), "format"),
        ("one part", "x".to_owned(), "format"),
        ("two parts", format!("{}.{}", parts[0], parts[1]), "format"),
        ("four parts", format!("{good}.x"), "format"),
        ("five parts, encrypted", "e30.e30.e30.e30.e30".to_owned(), "format"),
        ("padding", format!("{}=.{}.{}", parts[0], parts[1], parts[2]), "format"),
        ("huge", format!("{good}{}", "A".repeat(MAX_TOKEN_BYTES)), "length"),
        ("not base64", format!("{}.{}.ü", parts[0], parts[1]), "format"),
        ("no JSON", forge::raw("{", &wire().to_string(), OWN), "format"),
        ("no kid", of(json!({"alg": "HS256"})), "format"),
        ("no alg", of(json!({"kid": "p1"})), "format"),
        ("kid twice", twice, "format"),
        ("kid is a number", of(json!({"alg": "HS256", "kid": 1})), "format"),
        ("crit", of(json!({"alg": "HS256", "kid": "p1", "crit": ["exp"]})), "crit"),
    ]);
    assert!(verify(&good).is_ok(), "the rows must differ from a good token");
}

#[test]
fn a_token_that_its_key_did_not_sign_is_refused() {
    let good = a_place().sign(&ring(), NOW).unwrap();
    let of = |alg: &str, kid: &str, signer| forge::token(&forge::header(alg, kid), &wire(), signer);
    let inside = json!({"alg": "HS256", "kid": "p9", "jwk": {"kty": "oct", "k": "AA"}});
    // The public pass key as a secret: the classical confusion of HS256 with a public key.
    let public = forge::public_key(4);
    let confused = of("HS256", "s1", Signer::Hmac(public.as_bytes()));
    assert_refused(vec![
        ("altered", forge::with_claims(&good, |claims| claims["n"] = json!(1)), "signature"),
        ("signed by another", of("HS256", "p1", Signer::Hmac(&[9; 32])), "signature"),
        ("no signature", of("HS256", "p1", Signer::Nothing), "signature"),
        ("none", of("none", "p1", Signer::Nothing), "alg"),
        ("None", of("None", "p1", OWN), "alg"),
        ("lower case", of("hs256", "p1", OWN), "alg"),
        ("HS512", of("HS512", "p1", OWN), "alg"),
        ("EdDSA", of("EdDSA", "p1", Signer::Pair(4)), "alg"),
        ("unknown kid", of("HS256", "p9", OWN), "kid"),
        ("kid is a path", of("HS256", "../p1", OWN), "kid"),
        ("key inside", forge::token(&inside, &wire(), OWN), "kid"),
        ("key of passes", of("EdDSA", "s1", Signer::Pair(4)), "purpose"),
        ("public key as secret", confused, "purpose"),
        ("key of the seller", of("HS256", "e1", Signer::Hmac(&[2; 32])), "purpose"),
    ]);
}

#[test]
fn claims_that_no_gateway_makes_are_refused_even_if_signed() {
    let raw = |claims: &str| forge::raw(&forge::header("HS256", "p1").to_string(), claims, OWN);
    assert_refused(vec![
        ("a list", raw("[1]"), "claims"),
        ("text", raw("x"), "claims"),
        ("no end", raw(&without(&wire(), "exp")), "claims"),
        ("no client", raw(&without(&wire(), "c")), "claims"),
        ("client of 129 bytes", claim("c", &json!("c".repeat(129))), "claims"),
        ("negative end", claim("exp", &json!(-1)), "claims"),
        ("end as text", claim("exp", &json!("9999999999")), "claims"),
        ("end with a fraction", claim("exp", &json!(9_999_999_999.5)), "claims"),
        ("a return URL that is a script", claim("r", &json!("javascript:alert(1)")), "claims"),
        ("expired", claim("exp", &json!(NOW.0 / 1000)), "exp"),
        ("of 1970", claim("exp", &json!(0)), "exp"),
    ]);
}

fn claim(name: &str, value: &Value) -> String {
    let mut claims = wire();
    claims[name] = value.clone();
    forge::token(&forge::header("HS256", "p1"), &claims, OWN)
}

fn without(claims: &Value, name: &str) -> String {
    let mut claims = claims.clone();
    claims.as_object_mut().unwrap().remove(name);
    claims.to_string()
}

#[test]
fn an_end_that_overflows_is_no_panic() {
    let token = claim("exp", &json!(u64::MAX));
    let place = verify(&token).unwrap();
    let again = place.sign(&ring(), NOW).unwrap();
    assert_eq!(verify(&again), Ok(place), "our own signature; it never ends");
}

#[test]
fn an_error_shows_neither_token_nor_claims() {
    let good = a_place().sign(&ring(), NOW).unwrap();
    let altered = forge::with_claims(&good, |claims| claims["n"] = json!(1));
    let late = PlaceClaims::verify(&good, &ring(), &queue("concert"), NOW + seconds(9999));
    let elsewhere = PlaceClaims::verify(&good, &ring(), &queue("festival"), NOW);
    for error in [verify(&altered), late, elsewhere] {
        let text = format!("{0} {0:?}", error.unwrap_err());
        let parts = good.split('.').chain([a_place().client.as_str().to_owned().leak() as &str]);
        for secret in parts.chain(["concert", ISSUER]) {
            assert!(!text.contains(secret), "{text}");
        }
    }
}

#[test]
fn repeats_of_an_anonymous_join_are_one_client_and_others_are_others() {
    let key = |n: u128| uuid::Uuid::from_u128(n);
    let id = |name: &str, n| ring().anonymous_client(&queue(name), key(n), NOW).unwrap();
    assert_eq!(id("concert", 1), id("concert", 1));
    assert_ne!(id("concert", 1), id("concert", 2));
    assert_ne!(id("concert", 1), id("festival", 1));
    let text = id("concert", 1).to_string();
    let digits = text.strip_prefix("anon-").unwrap();
    assert_eq!(digits.len(), 32);
    assert!(digits.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)), "{text}");
}

#[test]
fn a_seal_is_for_its_data_and_its_keys_only() {
    let seal = ring().seal(b"time and difficulty", NOW).unwrap();
    assert_eq!(seal.len(), 32);
    assert!(ring().is_sealed(b"time and difficulty", &seal));
    assert!(!ring().is_sealed(b"time and difficultz", &seal));
    assert!(!ring().is_sealed(b"time and difficulty", &seal[..31]));
    assert!(!ring().is_sealed(b"time and difficulty", &[]));
    let other = crate::key_file("p1", "place", "HS256", "secret", &forge::secret(8));
    assert!(!crate::ring_of(&[other]).is_sealed(b"time and difficulty", &seal));
}
