//! The URL of a remote ledger.

use bookingq_sim::inspect::RemoteLedger;

#[test]
fn a_ledger_url_is_that_of_the_http_port_with_or_without_its_path() {
    let parse = |url: &str| url.parse::<RemoteLedger>();
    let port = parse("http://127.0.0.1:6080").unwrap();
    assert_eq!(parse("http://127.0.0.1:6080/ledger").unwrap(), port);
    assert_ne!(parse("http://127.0.0.1/ledger").unwrap(), port);
    for wrong in ["127.0.0.1:6080", "https://a", "http://a/stats", ""] {
        assert!(parse(wrong).is_err(), "{wrong}");
    }
}
