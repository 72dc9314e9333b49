//! What the page takes from a request: language, query, encoding.

use axum::http::{HeaderMap, HeaderValue, header};

use super::query::PageAddress;
use super::strings::Language;

/// A request for the page.
#[derive(Debug, Clone)]
pub struct PageRequest {
    /// Its language.
    pub language: Language,
    /// What its address asks for.
    pub query: PageAddress,
    /// The Idempotency-Key of the join form: a random UUID, because it makes the client.
    pub key: String,
    /// Whether the browser takes gzip.
    pub gzip: bool,
}

impl PageRequest {
    /// From the query and the headers.
    pub fn new(query: PageAddress, headers: &HeaderMap) -> Self {
        let header = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        let language = query.language(header(header::ACCEPT_LANGUAGE).unwrap_or_default());
        let gzip = header(header::ACCEPT_ENCODING).is_some_and(takes_gzip);
        Self { language, query, key: uuid::Uuid::new_v4().to_string(), gzip }
    }

    pub(super) fn quantity(&self) -> u32 {
        let quantity = self.query.quantity.as_deref().and_then(|text| text.parse().ok());
        quantity.unwrap_or(1)
    }
}

/// `gzip` in an Accept-Encoding header, unless its weight is 0.
fn takes_gzip(header: &str) -> bool {
    header.split(',').any(|part| {
        let (coding, weight) = part.split_once(';').unwrap_or((part, ""));
        let refused = matches!(weight.trim(), "q=0" | "q=0.0" | "q=0.00" | "q=0.000");
        coding.trim().eq_ignore_ascii_case("gzip") && !refused
    })
}
