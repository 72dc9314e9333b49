//! Return URLs (E21): what is allowed is kept to the byte, and browsers read it as this crate does.

#![allow(clippy::unwrap_used)]

use bookingq_identity::{MAX_RETURN_URL_BYTES, ReturnOrigins, ReturnUrl, WebOrigin};
use proptest::prelude::*;

fn origins() -> ReturnOrigins {
    let listed = [
        "https://pay.example",
        "https://pay.example:8443",
        "http://localhost:8080",
        "https://[2001:db8::1]",
    ];
    ReturnOrigins::new(listed.iter().map(|origin| WebOrigin::new(origin).unwrap()).collect())
}

#[test]
fn allowed_urls_are_kept_to_the_byte() {
    let allowed = [
        "https://pay.example",
        "https://pay.example/",
        "HTTPS://Pay.Example/Path",
        "https://pay.example:443/cart?id=7&b=%2F%2f",
        "https://pay.example:8443/a/../b/./c//d;e=f",
        "https://pay.example?next=https://evil.example/",
        "https://pay.example/?q={}|^[]~!$&'()*+,;=:@",
        "https://pay.example/#/checkout?step=2",
        "https://pay.example//evil.example/",
        "http://localhost:8080/x",
        "https://[2001:db8::1]/pay",
    ];
    for text in allowed {
        let url = origins().parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(url.as_str(), text);
    }
}

const REFUSED: &[&str] = &[
    "",
    "/",
    "/cart",
    "cart",
    "//evil.example",
    "///evil.example",
    "\\\\evil.example",
    "/\\evil.example",
    "https:/pay.example",
    "https:pay.example",
    "https:///pay.example",
    "https://",
    "https:///",
    "https://evil.example/",
    "https://pay.example.evil.example/",
    "https://evilpay.example/",
    "https://www.pay.example/",
    "https://pay.example./",
    "https://pay.exampl/",
    "https://pay.example:444/",
    "https://pay.example:/",
    "https://pay.example:0/",
    "https://pay.example:99999/",
    "https://pay.example:+443/",
    "https://pay.example:8443:1/",
    "http://pay.example/",
    "http://pay.example:443/",
    "https://ann@pay.example/",
    "https://ann:pw@pay.example/",
    "https://pay.example@evil.example/",
    "https://@pay.example/",
    "https://evil.example\\@pay.example/",
    "https://pay.example\\.evil.example/",
    "https://pay.example/\\evil",
    "https://evil.example#@pay.example/",
    "https://evil.example?@pay.example/",
    "https://pay%2Eexample/",
    "https://pay.example%00.evil.example/",
    "https://pаy.example/",
    "https://pay。example/",
    "https://pay.example/ä",
    "https://pay.example/ b",
    " https://pay.example/",
    "https://pay.example/\t",
    "https://pay.\texample/",
    "https://pay.example/\n",
    "ht\ntps://pay.example/",
    "https://pay.example/\0",
    "https://pay.example/\u{7f}",
    "https://pay.example/\u{85}",
    "https://pay.example/\"onload=",
    "https://pay.example/<script>",
    "https://pay.example/`",
    "javascript:alert(1)",
    "JavaScript://pay.example/%0aalert(1)",
    "data:text/html,x",
    "file:///etc/passwd",
    "ftp://pay.example/",
    "ws://pay.example/",
    "blob:https://pay.example/x",
    "https;//pay.example/",
    "http://localhost/",
    "http://127.0.0.1:8080/",
    "https://[2001:db8::2]/",
    "https://[2001:db8::1/",
    "https://2001:db8::1/",
    "https://[::ffff:1.2.3.4]/",
    "https://[2001:db8::1%25eth0]/",
    "https://[]/",
];

#[test]
fn everything_else_is_refused_with_a_rule() {
    for text in REFUSED {
        let error = origins().parse(text).expect_err(text);
        assert_eq!(error.field, "returnUrl");
        assert!(!error.allowed.is_empty());
    }
    let long = format!("https://pay.example/{}", "a".repeat(MAX_RETURN_URL_BYTES));
    assert!(origins().parse(&long[..MAX_RETURN_URL_BYTES]).is_ok());
    assert!(origins().parse(&long[..=MAX_RETURN_URL_BYTES]).is_err());
}

#[test]
fn without_a_list_no_url_is_allowed() {
    assert!(ReturnOrigins::default().parse("https://pay.example/").is_err());
}

#[test]
fn a_url_of_an_origin_that_left_the_list_is_no_longer_allowed() {
    let url = origins().parse("https://pay.example/x").unwrap();
    assert!(origins().allows(&url));
    assert!(!ReturnOrigins::default().allows(&url));
}

#[test]
fn origins_are_compared_as_browsers_do() {
    let origin = |text: &str| WebOrigin::new(text).unwrap();
    assert_eq!(origin("https://Pay.Example"), origin("https://pay.example:443"));
    assert_eq!(origin("http://a:80").to_string(), "http://a");
    assert_ne!(origin("http://a"), origin("https://a"));
    for wrong in [
        "https://a/",
        "https://a/b",
        "https://a?b",
        "*",
        "https://*.a",
        "null",
        "",
        "a.b",
        "https://a b",
        "https://a,https://b",
        "https://u@a",
        "https://a..b",
        "https://.a",
        "https://0x7f.1",
        "https://127.1",
        "https://1.2.3.4.5",
        "https://[2001:0db8::1]",
        "https://a.08",
    ] {
        let error = WebOrigin::new(wrong).expect_err(wrong);
        assert_eq!(error.field, "origin");
    }
    let json = serde_json::to_string(&origin("https://a:8443")).unwrap();
    assert_eq!(json, "\"https://a:8443\"");
    assert!(serde_json::from_str::<WebOrigin>("\"https://a/b\"").is_err());
}

/// Pieces from which attacks are built.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("https://"),
        Just("http://"),
        Just("https:"),
        Just("//"),
        Just("/"),
        Just("\\"),
        Just("@"),
        Just(":"),
        Just("#"),
        Just("?"),
        Just("%2f"),
        Just("%40"),
        Just("."),
        Just(".."),
        Just("pay.example"),
        Just("evil.example"),
        Just("localhost"),
        Just(":8080"),
        Just(":443"),
        Just("\t"),
        Just("\n"),
        Just(" "),
        Just("\u{0}"),
        Just("["),
        Just("]"),
        Just("[2001:db8::1]"),
        Just("0x7f.1"),
        Just("。"),
        Just("ß"),
        Just("xn--"),
        Just(";"),
        Just("a"),
    ]
    .prop_map(str::to_owned)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    /// `url` follows the WHATWG standard, as browsers do.
    #[test]
    fn a_browser_takes_an_allowed_url_to_an_allowed_origin(
        start in prop_oneof![Just(""), Just("https://pay.example"), Just("http://localhost:8080"), Just("https://")],
        pieces in prop::collection::vec(piece(), 0..8), rest in ".{0,6}",
    ) {
        let text = format!("{start}{}{rest}", pieces.concat());
        let Ok(kept) = origins().parse(&text) else { return Ok(()) };
        prop_assert_eq!(kept.as_str(), &text);
        let seen = url::Url::parse(&text).unwrap();
        prop_assert!(matches!(seen.scheme(), "http" | "https"));
        prop_assert!(seen.username().is_empty() && seen.password().is_none());
        let origin = WebOrigin::new(&seen.origin().ascii_serialization()).unwrap();
        prop_assert_eq!(&origin, kept.origin());
        let base = url::Url::parse("https://queue.example/q/concert").unwrap();
        prop_assert_eq!(base.join(&text).unwrap().origin(), seen.origin());
    }

    #[test]
    fn no_text_panics(text in "\\PC*") {
        let _ = ReturnUrl::new(&text);
        let _ = WebOrigin::new(&text);
    }
}
