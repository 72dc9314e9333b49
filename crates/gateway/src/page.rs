//! The waiting-room page: one HTML with its style and script inside, for one queue.
//!
//! ```text
//!   page/page.html ── style, script (built from page/js), texts of the language: compressed once
//!     '── page/dynamic.html ── card: the state of the place, so that it works without JavaScript
//! ```
//!
//! The script takes over the same elements. Which view fits a state, and which elements a view has,
//! is decided here (`view`) and in the script by the same table, `page/views.json`.

mod brand;
mod card;
mod csp;
mod glance;
mod gzip;
mod query;
mod request;
mod settings;
mod strings;
mod template;
mod text;
mod view;

use std::sync::{LazyLock, OnceLock};

use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use bookingq_core::QueueName;
use bookingq_serve::html::escape;
use serde_json::json;

pub(crate) use self::csp::inline_hash;
pub use self::glance::QueueGlance;
use self::gzip::Piece;
pub use self::query::PageAddress;
pub use self::request::PageRequest;
use self::settings::PageSettings;
pub use self::strings::{Language, Strings};
use self::template::{Values, json_in_script};
pub use self::view::PageState;
use crate::config::{ItemSetting, QueueSettings};

const CONTINUE: &str = include_str!("../page/continue.html");
const TEMPLATE: &str = include_str!("../page/page.html");
const STYLE: &str = include_str!("../page/built/page.css");
const SCRIPT: &str = include_str!("../page/built/page.js");
const WORKER: &str = include_str!("../page/built/worker.js");

/// A text with its compressed form.
#[derive(Debug)]
struct KeptPart {
    text: String,
    piece: Piece,
}

impl KeptPart {
    fn new(text: String) -> Self {
        Self { piece: Piece::kept(&text), text }
    }
}

/// The same on every page.
static STYLE_PART: LazyLock<KeptPart> = LazyLock::new(|| KeptPart::new(STYLE.trim().to_owned()));
static SCRIPT_PART: LazyLock<KeptPart> = LazyLock::new(|| {
    let (worker, script) = (WORKER.trim(), SCRIPT.trim());
    KeptPart::new(format!(
        "<script type=\"text/plain\" id=\"pow\">{worker}</script>\n<script>{script}</script>"
    ))
});

/// The page of a queue in one language, around what differs between two clients.
#[derive(Debug)]
struct PageFrame {
    strings: Strings,
    /// Before the style, between style and card, between card and script, after the script.
    parts: [KeptPart; 4],
}

/// The page of one queue. Each language is made when it is first asked for.
#[derive(Debug)]
pub struct WaitingPage {
    settings: PageSettings,
    brand_css: String,
    policy: HeaderValue,
    frames: [OnceLock<PageFrame>; Language::COUNT],
}

impl WaitingPage {
    /// The page of `queue`.
    pub fn new(queue: &QueueName, settings: &QueueSettings) -> Self {
        let brand = &settings.brand;
        let brand_css = brand::css(brand.color.as_deref());
        let styles = [STYLE.trim(), &brand_css];
        let targets = settings.return_origins.iter().map(ToString::to_string);
        let policy = csp::policy(SCRIPT.trim(), styles, brand.logo.as_deref(), targets);
        Self {
            settings: PageSettings::new(queue, settings),
            // Hashes, and origins that were parsed: ASCII without control characters.
            policy: HeaderValue::try_from(policy)
                .unwrap_or(HeaderValue::from_static("default-src 'none'")),
            frames: [const { OnceLock::new() }; Language::COUNT],
            brand_css,
        }
    }

    /// The answer: the page as `state` is.
    pub fn respond(&self, request: &PageRequest, state: &PageState<'_>) -> Response {
        let frame = self.frame(request.language);
        let card = card::render(&self.settings, &frame.strings, request, state);
        let [head, header, data, end] = &frame.parts;
        let body = if request.gzip {
            let card = Piece::once(&card);
            let [style, script] = [&STYLE_PART.piece, &SCRIPT_PART.piece];
            gzip::join(&[&head.piece, style, &header.piece, &card, &data.piece, script, &end.piece])
        } else {
            let [style, script] = [&STYLE_PART.text, &SCRIPT_PART.text].map(String::as_str);
            [&head.text, style, &header.text, &card, &data.text, script, &end.text]
                .concat()
                .into_bytes()
        };
        self.answer(request, request.gzip, body)
    }

    /// The page whose form brings a pass to `url`, for clients without JavaScript.
    pub(crate) fn hand_over(&self, request: &PageRequest, url: &str, pass: &str) -> Response {
        let frame = self.frame(request.language);
        let mut values = Values::default();
        values.text("url", url).text("pass", pass);
        let [head, header, ..] = &frame.parts;
        let card = values.fill(CONTINUE, &frame.strings);
        let html = [&head.text, &STYLE_PART.text, &header.text, &card].map(String::as_str).concat();
        self.answer(request, false, html.into_bytes())
    }

    fn answer(&self, request: &PageRequest, gzip: bool, body: Vec<u8>) -> Response {
        let mut response = Response::new(Body::from(body));
        let headers = response.headers_mut();
        for (name, value) in HEADERS {
            headers.insert(name, HeaderValue::from_static(value));
        }
        headers.insert(header::CONTENT_SECURITY_POLICY, self.policy.clone());
        headers.insert(header::CONTENT_LANGUAGE, HeaderValue::from_static(request.language.code()));
        if gzip {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        response
    }

    fn frame(&self, language: Language) -> &PageFrame {
        self.frames[language.index()].get_or_init(|| {
            let strings = Strings::new(language);
            let mut values = Values::default();
            values
                .html("lang", language.code())
                .html("dir", strings.get("_dir"))
                .text("title", &self.settings.title)
                .html("brandCss", self.brand_css.as_str())
                .html("logo", self.logo())
                .html("data", json_in_script(&self.data(language, &strings)));
            let parts = TEMPLATE.trim_end().split("{{part}}");
            let mut parts = parts.map(|part| KeptPart::new(values.fill(part, &strings)));
            // A test renders the page: the template has three marks.
            let parts = std::array::from_fn(|_| {
                parts.next().unwrap_or_else(|| KeptPart::new(String::new()))
            });
            PageFrame { strings, parts }
        })
    }

    fn logo(&self) -> String {
        let logo = self.settings.brand.logo.as_deref().map(escape);
        logo.map_or(String::new(), |logo| format!(r#"<img src="{logo}" alt="">"#))
    }

    /// What the script knows from the start.
    fn data(&self, language: Language, strings: &Strings) -> String {
        let item = |item: &ItemSetting| json!({"name": item.name, "title": item.title});
        let facts = json!({
            "queueName": self.settings.queue.as_str(),
            "title": self.settings.title,
            "lang": language.code(),
            "items": self.settings.items.iter().map(item).collect::<Vec<_>>(),
        });
        let facts = facts.to_string();
        // Both are JSON already.
        let (strings, views) = (strings.json(), view::parts_json());
        let open = facts.trim_end_matches('}');
        format!(r#"{open},"strings":{strings},"views":{views}}}"#)
    }
}

/// On every answer of the page.
const HEADERS: [(header::HeaderName, &str); 7] = [
    (header::CONTENT_TYPE, "text/html; charset=utf-8"),
    (header::CACHE_CONTROL, "no-store"),
    (header::VARY, "Accept-Language, Accept-Encoding, Cookie"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    // The origin alone, never an address: the seller may check where a pass comes from.
    (header::REFERRER_POLICY, "strict-origin"),
    (header::HeaderName::from_static("cross-origin-opener-policy"), "same-origin-allow-popups"),
];
