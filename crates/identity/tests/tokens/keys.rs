//! Key files, rings, and which key signs.

use bookingq_core::Timestamp;
use bookingq_identity::{
    JWKS_MAX_AGE, KeyError, KeyPurpose, KeyRing, MAX_KEYS, PlaceClaims, new_key_file,
};
use serde_json::{Value, json};

use crate::{NOW, a_place, forge, key_file, queue, ring_of, seconds};

fn parse(text: &str) -> Result<KeyRing, KeyError> {
    KeyRing::parse([("a.json", text)])
}

#[test]
fn every_form_of_a_key_is_read() {
    let valid = [
        key_file("k", "place", "HS256", "secret", &forge::secret(1)),
        key_file("k", "enqueue", "HS256", "secret", &forge::base64url(&[7; 64])),
        key_file("k", "backend", "HS256", "secret", &forge::secret(1)),
        key_file("k", "pass", "EdDSA", "privateKey", &forge::private_pem(1)),
        key_file("k", "pass", "EdDSA", "publicKey", &forge::public_key(1)),
        key_file("k", "enqueue", "EdDSA", "publicKey", &forge::public_key(1)),
        key_file("k", "enqueue", "EdDSA", "publicKey", &forge::public_pem(1)),
        key_file("k", "backend", "EdDSA", "publicKey", &forge::public_pem(1)),
    ];
    for text in valid {
        let ring = parse(&text).unwrap();
        assert_eq!(ring.keys().count(), 1, "{text}");
    }
}

/// Each row: a key file, and the field that its error names.
#[test]
fn a_wrong_key_file_is_refused_with_its_field_and_without_its_secret() {
    let secret = forge::secret(1);
    let pem = forge::private_pem(1);
    let p256 = "-----BEGIN PRIVATE KEY-----\nMEECAQAwEwYHKoZIzj0CAQYIKoZIzj0DAQcEJzAlAgEBBCA=\n\
                -----END PRIVATE KEY-----\n";
    let rows = [
        (key_file("", "place", "HS256", "secret", &secret), "kid"),
        (key_file("a b", "place", "HS256", "secret", &secret), "kid"),
        (key_file("a\"b", "place", "HS256", "secret", &secret), "kid"),
        (key_file(&"k".repeat(65), "place", "HS256", "secret", &secret), "kid"),
        (key_file("k", "places", "HS256", "secret", &secret), "purpose"),
        (key_file("k", "place", "none", "secret", &secret), "alg"),
        (key_file("k", "place", "EdDSA", "privateKey", &pem), "alg"),
        (key_file("k", "pass", "HS256", "secret", &secret), "alg"),
        (key_file("k", "pass", "RS256", "privateKey", &pem), "alg"),
        (key_file("k", "place", "HS256", "secret", &forge::base64url(&[1; 31])), "secret"),
        (key_file("k", "place", "HS256", "secret", "not base64!"), "secret"),
        (key_file("k", "place", "HS256", "publicKey", &secret), "key"),
        (key_file("k", "pass", "EdDSA", "secret", &secret), "key"),
        (key_file("k", "pass", "EdDSA", "privateKey", &secret), "privateKey"),
        (key_file("k", "pass", "EdDSA", "privateKey", p256), "privateKey"),
        (key_file("k", "pass", "EdDSA", "publicKey", &pem), "publicKey"),
        (key_file("k", "enqueue", "EdDSA", "privateKey", &pem), "key"),
        (key_file("k", "enqueue", "EdDSA", "publicKey", &forge::base64url(&[1; 31])), "publicKey"),
    ];
    for (text, field) in rows {
        let error = parse(&text).unwrap_err();
        let KeyError::Field { field: named, .. } = &error else { panic!("{text}: {error}") };
        assert_eq!(*named, field, "{text}: {error}");
        let shown = format!("{error} {error:?}");
        assert!(shown.contains("a.json") && !shown.contains(&secret[..20]), "{shown}");
        assert!(!shown.contains(&pem[40..60]), "{shown}");
    }
}

#[test]
fn a_file_that_is_no_key_is_refused_without_its_content() {
    let secret = forge::secret(1);
    let whole = key_file("k", "place", "HS256", "secret", &secret);
    let both: Value = serde_json::from_str(&whole).unwrap();
    let extra = {
        let mut extra = both.clone();
        extra["sercet"] = json!(secret);
        extra.to_string()
    };
    let typed = r#"{"kid":"k","purpose":"place","alg":"HS256","secret":123456789}"#.to_owned();
    let rows = [
        (String::new(), "line 1"),
        ("[]".to_owned(), "line 1"),
        (secret.clone(), "line 1"),
        (format!("\"{secret}\""), "line 1"),
        (whole[..whole.len() - 1].to_owned(), "line 1"),
        (typed, "line 1"),
        (extra, "`sercet`"),
        (r#"{"kid":"k"}"#.to_owned(), "`purpose`"),
        (" ".repeat(20_000), "20000 bytes"),
    ];
    for (text, part) in rows {
        let error = parse(&text).unwrap_err();
        assert!(matches!(error, KeyError::NotAKey { .. }), "{error}");
        let shown = format!("{error} {error:?}");
        assert!(shown.contains(part) && shown.contains("allowed"), "{shown}");
        assert!(!shown.contains(&secret[..12]) && !shown.contains("123456789"), "{shown}");
    }
}

#[test]
fn two_forms_of_one_key_are_refused() {
    let text = json!({"kid": "k", "purpose": "pass", "alg": "EdDSA",
        "privateKey": forge::private_pem(1), "publicKey": forge::public_key(2)});
    let error = parse(&text.to_string()).unwrap_err().to_string();
    assert!(error.contains("privateKey and publicKey"), "{error}");
}

#[test]
fn two_files_with_one_kid_are_refused_by_name() {
    let text = key_file("k", "place", "HS256", "secret", &forge::secret(1));
    let error = KeyRing::parse([("a.json", text.as_str()), ("b.json", &text)]).unwrap_err();
    let error = error.to_string();
    assert!(error.contains("a.json") && error.contains("b.json"), "{error}");
}

#[test]
fn more_keys_than_a_ring_holds_are_refused() {
    let file = |n: usize| key_file(&format!("k{n}"), "place", "HS256", "secret", &forge::secret(1));
    let texts: Vec<String> = (0..=MAX_KEYS).map(file).collect();
    let files = |count| texts.iter().take(count).map(|text| ("a.json", text.as_str()));
    assert_eq!(KeyRing::parse(files(MAX_KEYS)).unwrap().keys().count(), MAX_KEYS);
    assert!(matches!(KeyRing::parse(files(MAX_KEYS + 1)), Err(KeyError::TooMany { .. })));
}

#[test]
fn a_folder_is_read_as_the_kubelet_mounts_it() {
    let folder = tempfile::tempdir().unwrap();
    let place = key_file("p1", "place", "HS256", "secret", &forge::secret(1));
    let data = folder.path().join("..2026_11_30");
    std::fs::create_dir(&data).unwrap();
    std::fs::write(data.join("place.json"), &place).unwrap();
    std::os::unix::fs::symlink("..2026_11_30", folder.path().join("..data")).unwrap();
    std::os::unix::fs::symlink("..data/place.json", folder.path().join("place.json")).unwrap();
    std::fs::write(folder.path().join("README"), "no key").unwrap();
    std::fs::write(folder.path().join(".hidden.json"), "no key").unwrap();
    let ring = KeyRing::load(folder.path()).unwrap();
    assert_eq!(ring.keys().map(|key| key.kid().to_owned()).collect::<Vec<_>>(), ["p1"]);
    std::fs::write(folder.path().join("broken.json"), "{").unwrap();
    let error = KeyRing::load(folder.path()).unwrap_err().to_string();
    assert!(error.contains("broken.json"), "{error}");
    let missing = KeyRing::load(&folder.path().join("none")).unwrap_err().to_string();
    assert!(missing.contains("none"), "{missing}");
}

/// Keys with their ages.
type Aged<'a> = &'a [(&'a str, i64)];

/// A place key that was made so many seconds before `NOW`.
fn aged(kid: &str, age: i64) -> String {
    let millis = i64::try_from(NOW.0).unwrap() - age * 1000;
    let made = jiff::Timestamp::from_millisecond(millis).unwrap().to_string();
    json!({"kid": kid, "purpose": "place", "alg": "HS256", "secret": forge::secret(kid.as_bytes()[0]),
           "notBefore": made})
    .to_string()
}

#[test]
fn the_newest_key_that_all_know_by_now_signs_else_the_oldest() {
    let known = i64::try_from(2 * JWKS_MAX_AGE.as_secs()).unwrap();
    let rows: [(Aged<'_>, Option<&str>); 8] = [
        (&[], None),
        (&[("a", 0)], Some("a")),
        (&[("a", known), ("b", known - 1)], Some("a")),
        (&[("a", known + 1), ("b", known)], Some("b")),
        (&[("a", 9000), ("b", known + 5), ("c", 10)], Some("b")),
        (&[("a", 20), ("b", 10)], Some("a")),
        (&[("a", -40)], None),
        (&[("a", -40), ("b", 3)], Some("b")),
    ];
    for (keys, expected) in rows {
        let files: Vec<String> = keys.iter().map(|(kid, age)| aged(kid, *age)).collect();
        let ring = ring_of(&files);
        let signing = ring.signing(KeyPurpose::Place, NOW).ok();
        assert_eq!(signing.map(bookingq_identity::Key::kid), expected, "{keys:?}");
    }
}

#[test]
fn a_key_without_a_time_is_older_than_every_other() {
    let timeless = key_file("z", "place", "HS256", "secret", &forge::secret(1));
    let ring = ring_of(&[timeless, aged("a", 5)]);
    assert_eq!(ring.signing(KeyPurpose::Place, NOW).unwrap().kid(), "z");
    let later = NOW + 2 * JWKS_MAX_AGE;
    assert_eq!(ring.signing(KeyPurpose::Place, later).unwrap().kid(), "a");
}

/// E13: a place survives a rotation.
#[test]
fn a_place_survives_a_rotation_of_keys() {
    let (old, new) = (aged("a", 5000), aged("b", 0));
    let token = a_place().sign(&ring_of(std::slice::from_ref(&old)), NOW).unwrap();
    let both = ring_of(&[old, new.clone()]);
    let verify = |token: &str, ring: &KeyRing, now: Timestamp| {
        PlaceClaims::verify(token, ring, &queue("concert"), now).map_err(|error| error.check())
    };
    assert!(verify(&token, &both, NOW).is_ok());
    // A gateway that has read the new file makes tokens that one without it still reads.
    let meanwhile = a_place().sign(&both, NOW + seconds(300)).unwrap();
    assert!(verify(&meanwhile, &ring_of(&[aged("a", 5000)]), NOW + seconds(300)).is_ok());
    let later = a_place().sign(&both, NOW + seconds(700)).unwrap();
    let only_new = ring_of(&[new]);
    assert!(verify(&later, &only_new, NOW + seconds(700)).is_ok(), "signed by the new key");
    assert_eq!(verify(&token, &only_new, NOW), Err("kid"), "removed too early");
}

#[test]
fn a_key_from_the_future_verifies_nothing() {
    let future = aged("a", -60);
    let token = a_place().sign(&ring_of(&[aged("a", 60)]), NOW).unwrap();
    let outcome = PlaceClaims::verify(&token, &ring_of(&[future]), &queue("concert"), NOW);
    assert_eq!(outcome.unwrap_err().check(), "kid");
}

#[test]
fn new_key_files_are_valid_and_differ() {
    for purpose in KeyPurpose::ALL {
        let text = new_key_file(purpose, None, Some(NOW)).unwrap();
        assert_ne!(text, new_key_file(purpose, None, Some(NOW)).unwrap());
        let ring = parse(&text).unwrap();
        let key = ring.keys().next().unwrap();
        assert!(key.kid().starts_with(purpose.as_str()), "{}", key.kid());
        assert_eq!((key.purpose(), key.not_before(), key.can_sign()), (purpose, NOW, true));
        assert_eq!(key.algorithm(), purpose.usual_algorithm());
        let debug = format!("{ring:?}");
        let json: Value = serde_json::from_str(&text).unwrap();
        let secret = json["secret"].as_str().or(json["privateKey"].as_str()).unwrap();
        assert!(!debug.contains(&secret[30..40]), "Debug shows a secret");
    }
    assert!(new_key_file(KeyPurpose::Place, Some("a/b"), None).is_err());
    let named = new_key_file(KeyPurpose::Place, Some("2026-11"), None).unwrap();
    assert!(named.contains("\"2026-11\"") && !named.contains("notBefore"), "{named}");
}
