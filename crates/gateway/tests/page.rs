//! The waiting-room page as the server renders it.
#![allow(clippy::unwrap_used)]

use std::fmt::Write as _;
use std::io::Read as _;

use axum::body::to_bytes;
use axum::http::{HeaderMap, HeaderValue, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bookingq_core::{QueueName, Timestamp};
use bookingq_gateway::config::{Brand, ItemSetting, QueueConfig, QueueSettings, WorkersAt};
use bookingq_gateway::page::{
    Language, PageAddress, PageRequest, PageState, QueueGlance, WaitingPage,
};
use bookingq_gateway::place_json::{PlaceJson, PlaceReading, WaitJson};
use bookingq_proto::convert::timestamp;
use bookingq_proto::v1;
use flate2::read::GzDecoder;
use ring::digest::{SHA256, digest};

/// 14 KB: what a server may send before the first acknowledgement (10 segments of 1,460 bytes),
/// with room for the headers.
const LIMIT: usize = 14_000;
const NOW: Timestamp = Timestamp(1_700_000_000_000);

fn queue() -> QueueName {
    QueueName::new("concert").unwrap()
}

fn settings() -> QueueSettings {
    let workers = WorkersAt::Url("http://127.0.0.1:1".parse().unwrap());
    let mut settings = QueueConfig::new(queue(), workers).settings;
    "Summer <Concert> & \"More\"".clone_into(&mut settings.title);
    settings.brand = Brand {
        logo: Some("https://cdn.example/logo.svg".to_owned()),
        color: Some("#0a7d4b".to_owned()),
        text: Some("Opens at 7 <pm>".to_owned()),
        home: Some("https://tickets.example/?a=1&b=2".to_owned()),
    };
    settings
}

fn page() -> WaitingPage {
    WaitingPage::new(&queue(), &settings())
}

fn request(query: PageAddress, gzip: bool) -> PageRequest {
    let mut headers = HeaderMap::new();
    if gzip {
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("br, gzip;q=0.9"));
    }
    PageRequest::new(query, &headers)
}

fn in_language(language: Language, gzip: bool) -> PageRequest {
    request(PageAddress { lang: Some(language.code().to_owned()), ..PageAddress::default() }, gzip)
}

fn booking(state: v1::BookingState) -> v1::Booking {
    v1::Booking {
        queue: "concert".to_owned(),
        booking_id: "0193a0b2-0000-7000-8000-000000000001".to_owned(),
        state: state.into(),
        queue_number: 14_207,
        position: 12_481,
        item: "<Stalls>".to_owned(),
        quantity: 2,
        reason: "</script><b>".to_owned(),
        deadline: Some(timestamp(Timestamp(NOW.0 + 302_000))),
        ..Default::default()
    }
}

fn place(state: v1::BookingState) -> PlaceJson {
    let mut place = PlaceJson::new(&booking(state), PlaceReading { epoch: "e1", now: NOW });
    place.wait = Some(WaitJson { low: 240, expected: 300, high: 540 });
    place
}

fn glance() -> QueueGlance {
    let json = br#"{"queue":"concert","admission":"open","waiting":81234,"opensAt":null}"#;
    QueueGlance::parse(json).unwrap()
}

async fn body(page: &WaitingPage, request: &PageRequest, state: &PageState<'_>) -> Vec<u8> {
    let response = page.respond(request, state);
    assert_eq!(response.headers().contains_key(header::CONTENT_ENCODING), request.gzip);
    to_bytes(response.into_body(), usize::MAX).await.unwrap().to_vec()
}

async fn html(request: &PageRequest, state: &PageState<'_>) -> String {
    String::from_utf8(body(&page(), request, state).await).unwrap()
}

#[tokio::test]
async fn the_page_is_at_most_14_kb_in_every_language_and_state() {
    let page = page();
    let glance = glance();
    let place = place(v1::BookingState::Queued);
    for language in Language::all() {
        for place in [None, Some(&place)] {
            let state = PageState { place, queue: Some(&glance), now: NOW, ..Default::default() };
            let zipped = body(&page, &in_language(language, true), &state).await;
            let size = zipped.len();
            println!("{} {size} bytes", language.code());
            assert!(size <= LIMIT, "{}: {size} bytes", language.code());
            let mut text = String::new();
            GzDecoder::new(zipped.as_slice()).read_to_string(&mut text).unwrap();
            assert!(text.starts_with("<!doctype html>") && text.ends_with("</html>"), "{text}");
            assert!(!text.contains("{{"), "{text}");
        }
    }
}

#[tokio::test]
async fn the_policy_allows_exactly_the_inline_script_and_styles() {
    let request = in_language(Language::default(), false);
    let response = page().respond(&request, &PageState::default());
    let policy = response.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap().to_owned();
    let html = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    let html = std::str::from_utf8(&html).unwrap();
    let inline = |open: &str, close: &str| -> Vec<String> {
        let parts = html.split(open).skip(1);
        parts.map(|part| part.split_once(close).unwrap().0.to_owned()).collect()
    };
    let hashes = |inline: &[String]| {
        let hash = |text: &String| STANDARD.encode(digest(&SHA256, text.as_bytes()));
        let all: Vec<_> = inline.iter().map(|text| format!("'sha256-{}'", hash(text))).collect();
        all.join(" ")
    };
    let (scripts, styles) = (inline("<script>", "</script>"), inline("<style>", "</style>"));
    assert_eq!((scripts.len(), styles.len()), (1, 2));
    assert!(policy.contains(&format!("script-src {};", hashes(&scripts))), "{policy}");
    assert!(policy.contains(&format!("style-src {};", hashes(&styles))), "{policy}");
    assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
    let markup = html.split("<script").next().unwrap();
    assert!(!markup.contains(" style=") && !markup.contains(" onclick="), "inline attributes");
}

#[tokio::test]
async fn what_people_write_is_escaped() {
    let query = PageAddress {
        item: Some("\"><script>alert(1)</script>".to_owned()),
        return_url: Some("https://a.example/?x='\"<".to_owned()),
        ..PageAddress::default()
    };
    let place = place(v1::BookingState::Failed);
    for place in [None, Some(&place)] {
        let refusal = Some("<i>no</i>");
        let state = PageState { place, refusal, now: NOW, ..Default::default() };
        let html = html(&request(query.clone(), false), &state).await;
        let raw =
            ["<script>alert", "</script><b>", "<pm>", "<Concert>", "<Stalls>", "<i>no", "'\"<"];
        for raw in raw {
            assert!(!html.contains(raw), "{raw}");
        }
        // One for each script element of ours.
        assert_eq!(html.matches("</script>").count(), 4);
    }
}

#[tokio::test]
async fn the_server_shows_the_position_and_offers_update_and_leave() {
    let (place, glance) = (place(v1::BookingState::Queued), glance());
    let state =
        PageState { place: Some(&place), queue: Some(&glance), now: NOW, ..Default::default() };
    let html = html(&in_language(Language::parse("de").unwrap(), false), &state).await;
    for text in [
        r#"<html lang="de" dir="ltr">"#,
        "<strong id=\"big\">12.481</strong>",
        "<dd id=\"wait\">4 bis 9 Min.</dd>",
        "<dd id=\"line\">81.234</dd>",
        "&lt;Stalls&gt; × 2",
        r#"action="/q/concert/leave?lang=de""#,
        "<button>Aktualisieren</button>",
        r#"<form id="join" method="post" action="/q/concert/join?lang=de" hidden>"#,
    ] {
        assert!(html.contains(text), "{text}\n{html}");
    }
}

#[tokio::test]
async fn at_the_turn_the_server_shows_the_time_left_minus_two_seconds() {
    let place = place(v1::BookingState::Reserved);
    let state = PageState { place: Some(&place), now: NOW, ..Default::default() };
    let html = html(&in_language(Language::default(), false), &state).await;
    assert!(html.contains("<strong id=\"big\">5:00</strong>"), "{html}");
    assert!(html.contains("until 2023-11-14 22:18 UTC."), "{html}");
    let form = r#"<form id="continue" method="post" action="/q/concert/continue?lang=en">"#;
    assert!(html.contains(form), "{html}");
}

#[tokio::test]
async fn offered_items_are_a_choice_unless_the_address_names_one() {
    let mut settings = settings();
    let item = |name: &str, max_quantity| ItemSetting {
        name: name.to_owned(),
        title: format!("{name} seats"),
        max_quantity,
    };
    settings.items = vec![item("front", 2), item("back", 4)];
    let page = WaitingPage::new(&queue(), &settings);
    let shown = async |query| {
        let request = request(query, false);
        String::from_utf8(body(&page, &request, &PageState::default()).await).unwrap()
    };
    let html = shown(PageAddress::default()).await;
    assert!(html.contains(r#"<option value="back">back seats</option>"#), "{html}");
    assert!(html.contains(r#"name="quantity" min="1" max="4" value="1""#), "{html}");
    let html = shown(PageAddress { item: Some("back".to_owned()), ..PageAddress::default() }).await;
    assert!(!html.contains("<option"), "{html}");
    assert!(html.contains(r#"<input type="hidden" name="item" value="back">"#), "{html}");
    assert!(html.contains(r#"<p id="what">back seats</p>"#), "{html}");
}

#[tokio::test]
async fn every_page_has_its_own_idempotency_key() {
    let state = PageState::default();
    let key = async || {
        let html = html(&in_language(Language::default(), false), &state).await;
        let (_, rest) = html.split_once(r#"name="key" value=""#).unwrap();
        rest[..36].parse::<uuid::Uuid>().unwrap()
    };
    assert_ne!(key().await, key().await);
}

#[test]
fn the_built_script_and_style_are_made_from_the_sources() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/page/");
    let read = |name: &str| std::fs::read_to_string(format!("{folder}{name}")).unwrap();
    let scripts = ["data", "protocol", "text", "api", "stream", "tabs", "view", "main"];
    let mut sources = read("page.css") + &read("js/worker.js");
    sources.extend(scripts.map(|name| read(&format!("js/{name}.js"))));
    let sum = digest(&SHA256, sources.as_bytes());
    let mut hex = String::new();
    for byte in sum.as_ref() {
        write!(hex, "{byte:02x}").unwrap();
    }
    let sum = hex;
    let built = read("built/sources.sha256");
    assert_eq!(built.trim(), sum, "run `npm run build` in tests/browser");
}
